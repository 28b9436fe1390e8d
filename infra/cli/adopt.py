"""Adopt a changelog of the Firebase extension firestore-bigquery-export."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import REFUSED, AsJson, Yes, answer, confirm, err, fields, out, refuse, rows, working

if TYPE_CHECKING:
    from shared.adoption.extension import Extension
    from shared.adoption.inspection import Inspection
    from shared.runtime.clients import Clients


def adopt(
    log: Annotated[str, typer.Argument(help="The extension's table: firestore_export.users_raw_changelog.")],
    collection: Annotated[str, typer.Option(help="Its collection: users, or users/{user_id}/orders.")] = "",
    database: Annotated[str, typer.Option(help="Firestore database.")] = "(default)",
    table: Annotated[
        str, typer.Option(help="Current table, if not beside the log: aso_tenant_{tenant_id}.things.")
    ] = "",
    views: Annotated[bool, typer.Option("--views", help="Put views under the extension's names, too.")] = False,
    schemas: Annotated[
        list[Path] | None, typer.Option(help="Schema file of fs-bq-schema-views, or a folder of them; with --views.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it finds and would do.")] = False,
    undo: Annotated[bool, typer.Option("--undo", help="Go back: the old views, and no streaming by Scout.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Adopt a changelog of the Firebase extension: stream its collection, build its current table from its rows.

    The extension may go on meanwhile. The log is read in place and never changed; a second run takes in what came
    since. With --views, existing dashboards read Scout's tables; --undo puts everything back.
    """
    with working() as clients:
        if undo:
            confirm(f"Put back the views of before, and stream the collection of {log} no longer?", yes)
            undone = clients.adopter.undo(log)
            answer(undone.model_dump(mode="json"), as_json, f"{log}: back to the extension; Scout's tables stay")
            return
        if not collection:
            refuse("say which collection the log is of", f"scout adopt {log} --collection users")
        _adopt(
            clients, _extension(clients, log, collection, database, table), views, schemas or [], dry_run, yes, as_json
        )


def _extension(clients: Clients, log: str, collection: str, database: str, table: str) -> Extension:
    from shared.adoption.extension import Extension
    from shared.schema.registry import streamed_records

    for record in streamed_records():
        declared = record.collection
        if declared and declared.database == database and declared.match(f"{collection}/_") is not None:
            refuse(
                f"{record.__name__} declares this collection and streams it into its own tables",
                f"nothing is to be adopted: scout backfill {collection}",
            )
    return Extension.of(log, collection, clients.settings.project, database, table)


def _adopt(
    clients: Clients, extension: Extension, views: bool, schemas: list[Path], dry_run: bool, yes: bool, as_json: bool
) -> None:
    from shared.adoption.inspection import agreement
    from shared.adoption.schema_views import read_schemas

    read = read_schemas(schemas)
    found = clients.adopter.inspect(extension)
    compared = None if found.problems else agreement(clients.warehouse, extension, found.columns, found.values[0])
    said: dict[str, Any] = {"inspection": found.model_dump(mode="json")}
    said["agreement"] = compared.model_dump() if compared else None
    if not as_json:
        _print(found, said["agreement"])
    if found.problems or dry_run:
        if as_json:
            answer(said, as_json)
        raise typer.Exit(REFUSED if found.problems else 0)
    confirm(f"Stream {extension.pattern.path} and build its current table from {found.rows:,} rows?", yes)
    said["changed"] = clients.adopter.adopt(extension, found)
    said["views"] = clients.adopter.show(extension, found, read) if views else []
    if as_json:
        answer(said, as_json)
        return
    out.print(rows(("table", "rows changed"), said["changed"].items()))
    for name in said["views"]:
        out.print(f"view {name}", markup=False)
    database = "" if extension.pattern.database == "(default)" else f" --database {extension.pattern.database}"
    err.print(
        f"next, a minute from now: scout backfill '{extension.pattern.path}'{database}, then scout verify", markup=False
    )


def _print(found: Inspection, compared: dict[str, int] | None) -> None:
    shown = found.model_dump(exclude={"columns", "others", "problems", "remarks", "values"})
    out.print(fields(shown, title=found.log))
    if compared:
        out.print(fields(compared, title="times of the same writes in both logs"))
    if found.others:
        listed = ((one.collection, one.rows) for one in found.others)
        out.print(rows(("not of this collection", "rows"), listed))
    for remark in found.remarks:
        err.print(remark, markup=False)
    for problem in found.problems:
        err.print(problem, style="bold red", markup=False)
