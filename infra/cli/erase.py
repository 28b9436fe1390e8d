"""Erase a document or a tenant from every store, and prove it.

What arrives late is erased again: an hourly sweep (`scout erase sweep`, or the function sweep_erasures) goes on for 26
hours; then the certificate is final, and holds no name.
"""

from __future__ import annotations

import getpass
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import REFUSED, AsJson, Yes, answer, confirm, fields, out, refuse, rows, working

if TYPE_CHECKING:
    from shared.erasure.records import Erasure
    from shared.erasure.subject import Subject

app = typer.Typer(no_args_is_help=True, help=__doc__)


@app.command()
def document(
    path: Annotated[str, typer.Argument(help="tenants/demo/contacts/x: the document, and all that lies below it.")],
    database: Annotated[str, typer.Option(help="Its Firestore database.")] = "(default)",
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase one document with all below it: Firestore, changelog, tables, set-aside events, caches."""
    from shared.erasure.subject import document as subject_of

    with working():
        subject = subject_of(path, database)
    confirm(f"Erase {path} of {database} for good?", yes)
    _erase(subject, as_json)


@app.command()
def tenant(
    tenant_id: Annotated[str, typer.Argument(help="The tenant's id.")],
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Erase one tenant: its documents, its datasets, its set-aside events, its cached answers, Scout's state of it."""
    from shared.erasure.subject import tenant as subject_of

    with working():
        subject = subject_of(tenant_id)
    if not yes:
        confirm(f"Erase everything of the tenant {tenant_id} for good?", yes)
        if typer.prompt("Type its id to go on", err=True) != tenant_id:
            refuse("that is not the tenant's id", "nothing was erased")
    _erase(subject, as_json)


@app.command()
def show(
    erasure_id: Annotated[str, typer.Argument(help="Its id; without one, the newest 20 are listed.")] = "",
    of: Annotated[str, typer.Option(help="A path: say whether the certificate is about it.")] = "",
    as_json: AsJson = False,
) -> None:
    """Show a certificate: what each store held before and after, the statements and the sweeps."""
    from shared.erasure.service import subject_hash

    with working() as clients:
        if not erasure_id:
            found = clients.erasures.latest()
            table = rows(
                ("erasure_id", "kind", "status", "requested_at", "sweeps"),
                [(each.erasure_id, each.kind, each.status, each.requested_at, len(each.sweeps)) for each in found],
            )
            answer([each.model_dump(mode="json") for each in found], as_json, table)
            return
        erasure = clients.erasures.get(erasure_id)
    about = subject_hash(erasure_id, erasure.database, of) == erasure.subject_hash if of else None
    _show(erasure, as_json, {} if about is None else {"about_the_path": about})
    if about is False:
        raise typer.Exit(REFUSED)


@app.command()
def sweep(as_json: AsJson = False) -> None:
    """Erase again what arrived since, of every erasure that is not final (sweep_erasures does so hourly)."""
    with working() as clients:
        answer(clients.erasures.sweep(operator=True), as_json)


def _erase(subject: Subject, as_json: bool) -> None:
    with working() as clients:
        asked = clients.erasures.request(subject, getpass.getuser())
        erasure = clients.erasures.run(asked.erasure_id)
    _show(erasure, as_json, {})
    if erasure.status == "superseded":
        refuse("the tenant was provisioned again since: nothing was erased", "ask once more to erase what it has now")
    if not erasure.clean:
        refuse("not everything could be erased yet", f"the next sweep tries again: scout erase show {asked.erasure_id}")


def _show(erasure: Erasure, as_json: bool, more: dict[str, Any]) -> None:
    certificate = erasure.model_dump(mode="json") | more
    if as_json:
        answer(certificate, as_json)
        return
    told = ("erasure_id", "kind", "subject_hash", "status", "requested_at", "gone_at", "finished_at", "final_at")
    out.print(fields({name: certificate[name] for name in told} | more))
    parts = [
        (store, part, each.before, each.removed, each.after)
        for store, held in erasure.stores.items()
        for part, each in held.items()
    ]
    held = [part for part in parts if any(part[2:])]
    out.print(rows(("store", "part", "before", "removed", "after"), held, f"{len(parts)} places looked at; held it:"))
    for statement in erasure.statements:
        out.print(statement, markup=False)
    waiting = erasure.sweeps[-1].waiting if erasure.sweeps else {}
    for store, why in waiting.items():
        out.print(f"{store} waits: {why}", markup=False)
