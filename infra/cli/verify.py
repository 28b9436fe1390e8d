"""scout verify: does BigQuery hold what Firestore holds, document by document?"""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import REFUSED, AsJson, answer, err, progress, refuse, rows, working

if TYPE_CHECKING:
    from rich.table import Table

    from shared.comparison.records import Difference, Verification
    from shared.streaming.reconcile import Reconciler

SHOWN = 20


def verify(
    collection: Annotated[
        str,
        typer.Argument(help="Path of a collection: tenants/demo/things, or tenants/demo/orders/{order_id}/items."),
    ] = "",
    database: Annotated[str, typer.Option(help="Firestore database.")] = "(default)",
    tenant: Annotated[str, typer.Option(help="Of a collection that tenants share: whose documents.")] = "",
    repair: Annotated[bool, typer.Option("--repair", help="Repair what is found.")] = False,
    settle: Annotated[float, typer.Option(min=0, max=120, help="Seconds that a write may be on its way.")] = 60.0,
    run: Annotated[str, typer.Option(help="Go on with this run.")] = "",
    as_json: AsJson = False,
) -> None:
    """Compare a collection with BigQuery, document by document. Exit code 0: equal, 1: something differs."""
    from shared.comparison.messages import ReconcileAsked
    from shared.errors import BadRequest
    from shared.runtime.invocation import parse
    from shared.streaming.reconcile import new_run_id

    with working() as clients:
        run_id = run or new_run_id()
        if not run and not collection:
            raise BadRequest("nothing to compare", collection="its path: tenants/demo/things; or --run ID")
        if collection:
            wanted = {"collection": collection, "database": database, "repair": repair, "settle_seconds": settle}
            asked = parse(ReconcileAsked, wanted)
            clients.reconciler.start(run_id, asked, tenant or None, "scout")
        err.print(f"run {run_id}; scout verify --run {run_id} goes on with it", style="dim", markup=False)
        found = carried_on(clients.reconciler, run_id, quiet=as_json)
        show(found, list(clients.reconciler.differences(run_id, SHOWN)), as_json)


def carried_on(reconciler: Reconciler, run_id: str, quiet: bool) -> Verification:
    """The run, once it is done."""
    from shared.comparison.verification import KIND

    with progress(quiet) as bar:
        task = bar.add_task(KIND, total=None)

        def seen() -> bool:
            at = reconciler.progress_of(run_id)
            if at is not None:
                bar.update(task, description=at.step or KIND, completed=at.done, total=at.total)
            return False

        found = reconciler.carry_on(run_id, seen)
        while found.status != "done":
            found = reconciler.carry_on(run_id, seen)
    return found


def show(found: Verification, differences: list[Difference], as_json: bool) -> None:
    """Print what a run found, and end with its exit code."""
    from shared.comparison.comparer import DIFFERENCES

    number = sum(found.counts.get(kind, 0) for kind in DIFFERENCES)
    left = number - sum(found.repairs.get(status, 0) for status in ("repaired", "gone"))
    value = {
        "run_id": found.run_id,
        "collection": found.subject,
        "database": found.database,
        "equal": left == 0,
        "counts": found.counts,
        "repairs": found.repairs,
        "left": left,
        "differences": [difference.model_dump(exclude={"difference_id", "expires_at"}) for difference in differences],
    }
    answer(value, as_json, table(found))
    if differences and not as_json:
        shown = [
            [one.kind, one.key.split("/documents/")[-1], one.status, one.note or one.reason] for one in differences
        ]
        title = f"the first {len(differences)} of {number:,}" if number > len(differences) else ""
        answer(value, False, rows(["kind", "document", "", "why"], shown, title))
        if not found.repairs and left:
            err.print(f"scout repair {found.run_id} repairs them", style="dim", markup=False)
    if left:
        raise typer.Exit(REFUSED)
    if not any(found.counts.values()):
        refuse(f"neither side holds a document of {found.subject}", "is it spelled as in Firestore? scout status lists")


def table(found: Verification) -> Table:
    """Kinds with their counts, then what became of them."""
    counted: list[list[Any]] = [[kind.replace("_", " "), count] for kind, count in sorted(found.counts.items())]
    counted += [[f"of which {status}", count] for status, count in sorted(found.repairs.items())]
    return rows(["documents", "number"], counted or [["none", 0]], found.subject)
