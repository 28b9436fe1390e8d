"""Copy what a collection already holds into BigQuery, beside the live stream."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import REFUSED, AsJson, Yes, answer, confirm, err, fields, out, progress, refuse, rows, working

if TYPE_CHECKING:
    from rich.console import Group

    from shared.runtime.clients import Clients
    from shared.streaming.estimate import Estimate
    from shared.streaming.records import Backfill


def backfill(
    collection: Annotated[
        str, typer.Argument(help="tenants/demo/things, or tenants/demo/orders/{order_id}/items.")
    ] = "",
    database: Annotated[str, typer.Option(help="Firestore database.")] = "(default)",
    since: Annotated[str | None, typer.Option(help="Only documents whose --field is not before this date.")] = None,
    field: Annotated[str | None, typer.Option(help="The field that --since is about: created_at.")] = None,
    slices: Annotated[int, typer.Option(min=0, max=1000, help="Parts; 0: one for each 50,000 documents.")] = 0,
    run: Annotated[str, typer.Option("--run", help="Take up a run that was interrupted.")] = "",
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what it would read, write and cost.")] = False,
    yes: Yes = False,
    as_json: AsJson = False,
) -> None:
    """Copy what a collection already holds into BigQuery, beside the live stream.

    It says first what it will cost. It never overwrites what is newer, a second run adds nothing, and a run that was
    killed goes on with --run. Exit code 1 where a document was refused.
    """
    if bool(collection) == bool(run):
        refuse("say which collection, or which run to take up", "scout backfill tenants/demo/things")
    with working() as clients:
        if run:
            _finish(clients, run, as_json)
            return
        from shared.streaming.messages import BackfillAsked

        asked = BackfillAsked(collection=collection, database=database, since=since, field=field, slices=slices)
        if dry_run or not (yes and as_json):
            expected = clients.backfills.estimate(asked)
            if dry_run:
                _answer(_plain(expected), as_json, _shown(expected))
                return
            err.print(_shown(expected))
            confirm(f"Copy {expected.documents:,} documents?", yes)
        _finish(clients, clients.backfills.start(asked, "scout").run_id, as_json)


def _finish(clients: Clients, run_id: str, as_json: bool) -> None:
    if not as_json:
        err.print(f"run {run_id}; if it is interrupted: scout backfill --run {run_id}", markup=False)
    with progress(quiet=as_json) as shown:
        bar = shown.add_task("reading", total=None)
        while True:
            run = clients.backfills.work(
                run_id, heard=lambda done, total: shown.update(bar, completed=done, total=total)
            )
            if run.status == "done":
                break
    _answer(run.model_dump(mode="json"), as_json, _summary(run))
    if run.refused:
        raise typer.Exit(REFUSED)


def _answer(value: dict[str, Any], as_json: bool, shown: Group) -> None:
    if as_json:
        answer(value, as_json)
    else:
        out.print(shown)


def _summary(run: Backfill) -> Group:
    from rich.console import Group

    from shared.streaming.backfill_turn import COUNTS

    parts: list[Any] = [fields({name: getattr(run, name) for name in COUNTS}, title=run.run_id), *run.notes]
    if run.refused_documents:
        listed = ((one.name, one.reason) for one in run.refused_documents)
        parts.append(rows(("document", "reason"), listed, title=f"refused ({run.refused:,} in all)"))
    return Group(*parts)


def _shown(expected: Estimate) -> Group:
    from rich.console import Group

    what = {name: getattr(expected, name) for name in ("documents", "reads", "rows", "bytes", "slices")}
    bill = [
        (cost.what, cost.amount, f"{cost.usd:.4f}", f"{cost.price.usd} per {cost.price.amount}, {cost.price.source}")
        for cost in expected.costs
    ]
    table = rows(
        ("what", "amount", "USD", "list price"),
        [
            *bill,
            (
                "together",
                "",
                f"{expected.usd:.4f}",
                f"as noted on {expected.costs[0].price.noted_on}, without free quotas",
            ),
        ],
    )
    return Group(fields(what, title=expected.collection), table)


def _plain(expected: Estimate) -> dict[str, Any]:
    from dataclasses import asdict

    return {**asdict(expected), "usd": round(expected.usd, 4)}
