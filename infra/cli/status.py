"""scout status: how every stream stands, what waits, and what the answer costs."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import groupby
from typing import TYPE_CHECKING, Annotated, Any

import typer

from infra.cli.terminal import AsJson, answer, out, refuse, rows, working

if TYPE_CHECKING:
    from rich.table import Table

    from shared.runtime.clients import Clients
    from shared.streaming.status import StreamStatus

MOST_DEAD_LETTERS = 1_000
RUNS = 10
# What copies, compares, repairs, re-drives and erases; the loop's own runs are on the page.
KINDS = ("backfill", "verify", "repair", "replay", "erase", "reconcile")


def status(
    tenant: Annotated[str, typer.Option(help="One tenant; otherwise all.")] = "",
    documents: Annotated[bool, typer.Option(help="Count documents in Firestore too.")] = False,
    quick: Annotated[bool, typer.Option(help="Ask BigQuery nothing: no rows.")] = False,
    everything: Annotated[bool, typer.Option("--all", help="Show empty streams too.")] = False,
    as_json: AsJson = False,
) -> None:
    """How every stream stands: rows, the tail that is not merged yet, refused rows, dead letters, leases, last runs."""
    from shared.streaming.status import Status, streams_of

    with working() as clients:
        known = clients.tenants.ids()
        if tenant and tenant not in known:
            refuse(f"no such tenant: {tenant}", f"known: {', '.join(sorted(known)) or 'none; make tenant TENANT=x'}")
        asked = Status(clients.warehouse, clients.ops, clients.scan)
        streams = list(streams_of(clients.ops, [tenant] if tenant else known))
        found = asked.of(streams, rows=not quick, documents=documents)
        waits = _waiting(clients, tenant)
        cost = {
            "bigquery_bytes_read": sum(each.bytes_read for each in found),
            "bigquery_bytes_billed_at_least": sum(each.bytes_billed for each in found),
            "firestore_reads": len(known) + sum(each.reads for each in found) + waits.pop("reads"),
        }
        value = {
            "at": datetime.now(UTC),
            "streams": [_plain(each) for each in found],
            **waits,
            "unwatched_databases": _unwatched(clients),
            "cost": cost,
        }
        if as_json:
            answer(value, True)
        else:
            _show(found, value, everything)


def _waiting(clients: Clients, tenant: str) -> dict[str, Any]:
    """Dead letters by reason, leases that are held, and the newest runs."""
    of_tenant = [("tenant_id", "==", tenant)] if tenant else []
    letters = list(
        clients.ops.find("dead_letters", where=[*of_tenant, ("status", "==", "waiting")], limit=MOST_DEAD_LETTERS)
    )
    leases = list(clients.ops.find("leases"))
    of_kinds = [*of_tenant, ("kind", "in", list(KINDS))]
    progress = list(clients.ops.find("progress", where=of_kinds, order_by="-started_at", limit=RUNS))
    now = datetime.now(UTC)
    return {
        "dead_letters": dict(Counter(letter["reason"] for _, letter in letters).most_common()),
        "dead_letters_counted_up_to": MOST_DEAD_LETTERS,
        "leases": [
            {"resource": lease["resource"], "until": lease["until"]}
            for _, lease in leases
            if lease["holder"] and lease["until"] > now
        ],
        "runs": [run for _, run in progress],
        "reads": len(letters) + len(leases) + len(progress),
    }


def _unwatched(clients: Clients) -> list[str]:
    """Databases that a pattern names and no trigger watches: a pattern may be added without a deployment."""
    watched = clients.settings.databases.split()
    return sorted({pattern.database for pattern in clients.patterns.load()} - set(watched))


def _plain(each: StreamStatus) -> dict[str, Any]:
    return {**asdict(each), "differs": each.differs}


def _show(found: list[StreamStatus], value: dict[str, Any], everything: bool) -> None:
    shown = [each for each in found if everything or not (each.empty or each.missing)]
    for dataset, tables in groupby(shown, key=lambda each: each.table.partition(".")[0]):
        out.print(_table(dataset, list(tables), value["at"]))
    if not all(each.declared for each in shown):
        out.print("* undeclared: a pattern streams it")
    if len(shown) < len(found):
        out.print(f"{len(found) - len(shown)} more hold nothing; --all shows them")
    if any(each.differs for each in shown):
        out.print("≠ documents are on their way, or lost: scout verify tells which", style="yellow")
    for each in shown:
        if each.merge_error:
            out.print(f"{each.table} was not merged when it was due: {each.merge_error}", style="yellow", markup=False)
    for database in value["unwatched_databases"]:
        said = f'A pattern streams database {database}, which no trigger watches: deploy with DATABASES="{database}"'
        out.print(said, style="yellow", markup=False)
    letters = value["dead_letters"]
    if letters:
        total = sum(letters.values())
        many = f"{MOST_DEAD_LETTERS:,} or more" if total >= MOST_DEAD_LETTERS else f"{total:,}"
        reasons = ", ".join(f"{reason} {count:,}" for reason, count in letters.items())
        out.print(
            f"Dead letters waiting: {many} ({reasons}); scout replay re-drives them", style="yellow", markup=False
        )
    else:
        out.print("Dead letters waiting: none")
    for lease in value["leases"]:
        out.print(f"At work: {lease['resource']}, its lease ends {_when(lease['until'], value['at'])}", markup=False)
    if value["runs"]:
        columns = ("run", "kind", "status", "done", "counts", "started")
        lines = []
        for run in value["runs"]:
            said = run["error"] or run["status"]
            lines.append(
                (run["run_id"], run["kind"], said, _done(run), run["counts"], _when(run["started_at"], value["at"]))
            )
        out.print(rows(columns, lines, "Last runs"))
    cost = value["cost"]
    asked = f"{_size(cost['bigquery_bytes_read'])} of BigQuery" if cost["bigquery_bytes_read"] else "BigQuery"
    billed = _size(cost["bigquery_bytes_billed_at_least"])
    reads = f"{cost['firestore_reads']:,} Firestore reads"
    said = (
        f"This answer read {asked} (at least 10 MiB a table are billed: {billed}) and took {reads}; --quick asks less"
    )
    out.print(said if cost["bigquery_bytes_billed_at_least"] else f"This answer took {reads}", style="dim")


def _table(dataset: str, shown: list[StreamStatus], now: datetime) -> Table:
    counted = any(each.documents is not None for each in shown)
    asked = any(each.rows is not None for each in shown)
    columns = ["table"]
    columns += ["documents"] if counted else []
    columns += ["rows", "tail", "refused"] if asked else []
    lines = []
    for each in shown:
        line: list[Any] = [_name(each)]
        if counted:
            line.append("" if each.documents is None else f"{each.documents:,}{' ≠' if each.differs else ''}")
        if asked:
            line += [each.rows or 0, each.tail_rows or 0, each.refused_rows or 0]
        lines.append((*line, _when(each.merged_at, now), _due(each, now), _when(each.compacted_until, now)))
    from rich.box import SIMPLE_HEAD

    table = rows((*columns, "merged", "due", "compacted"), lines, dataset)
    table.box = SIMPLE_HEAD
    for column in table.columns[1:]:
        # A number that is cut off reads as another one: only the name may give way.
        column.no_wrap = True
        column.min_width = max(len(str(column.header)), *(len(str(cell)) for cell in column.cells))
        column.justify = "right" if column.header == "documents" else column.justify
    return table


def _name(each: StreamStatus) -> str:
    """The table; a star where nobody declared it; its collection where the name does not say it."""
    table = each.table.partition(".")[2]
    name = table if each.declared else f"{table} *"
    place = each.collection if each.database == "(default)" else f"{each.database}: {each.collection}"
    return name if place.endswith(f"/{table}") and place.count("/") == 2 else f"{name}\n  {place}"


def _due(each: StreamStatus, now: datetime) -> str:
    """When the next merge is due. A table that was never merged is found each hour, one that is due each minute."""
    if each.merged_at is None:
        return "within 1h" if each.tail_rows else ""
    due = each.due_at or each.merged_at + timedelta(seconds=each.merge_every_seconds)
    return "now" if due <= now else _when(due, now)


def _when(at: datetime | None, now: datetime) -> str:
    if at is None:
        return "never"
    seconds = (at - now).total_seconds()
    size = abs(seconds)
    told = next(f"{size / unit:.0f}{name}" for unit, name in UNITS if size >= unit or unit == 1)
    return f"in {told}" if seconds > 0 else f"{told} ago"


UNITS = ((86_400, "d"), (3_600, "h"), (60, "m"), (1, "s"))


def _done(run: dict[str, Any]) -> str:
    return f"{run['done']:,} of {run['total']:,}" if run["total"] else f"{run['done']:,}"


def _size(count: int) -> str:
    size = float(count)
    for unit in ("B", "KiB", "MiB", "GiB"):
        if size < 1024:
            return f"{size:.0f} {unit}"
        size /= 1024
    return f"{size:.1f} TiB"
