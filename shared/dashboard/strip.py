"""The strips above the list: what runs, what arrived, what was set aside; and what was copied and compared."""

from collections import Counter
from collections.abc import Iterable, Iterator
from typing import Any

from shared.comparison.comparer import DIFFERENCES
from shared.dashboard.needs import Needs
from shared.ops.records import NO_DAY, Arrivals, Progress

RUNS = 24
DATA_RUNS = 6
DEAD_LETTERS = 100
"""More than this is shown as `99+`: nobody reads the exact number, and it bounds the reads."""

Values = dict[str, Any]


def strip(needs: Needs, tenant_id: str) -> Values:
    """A tenant's newest runs, arrivals, copies and comparisons, and its dead letters by reason."""
    loop = needs.ops.find(
        "progress",
        where=[("tenant_id", "==", tenant_id), ("kind", "in", ["sync", "etl", "detectors", "opportunities"])],
        order_by="-started_at",
        limit=RUNS,
    )
    newest: dict[str, Progress] = {}
    for run in _read(loop):
        newest.setdefault(run.kind, run)
    data = list(_data(needs, tenant_id))
    waiting = needs.ops.find(
        "dead_letters", where=[("tenant_id", "==", tenant_id), ("status", "==", "waiting")], limit=DEAD_LETTERS
    )
    reasons = Counter(letter["reason"] for _, letter in waiting)
    runs = [_run(run) for run in newest.values()]
    return {
        "runs": runs,
        "data": data,
        "busy": any(run["status"] in ("requested", "running") for run in (*runs, *data)),
        "arrivals": _arrivals(needs, tenant_id),
        "dead_letters": reasons.total(),
        "reasons": dict(reasons.most_common()),
    }


def _data(needs: Needs, tenant_id: str) -> Iterator[Values]:
    """The newest copy and comparison of each collection, and the newest replay."""
    found = needs.ops.find(
        "progress",
        where=[("tenant_id", "==", tenant_id), ("kind", "in", ["backfill", "verify", "replay"])],
        order_by="-started_at",
        limit=DATA_RUNS,
    )
    seen = set()
    for run in _read(found):
        subject, differences = _subject(needs, run)
        if (run.kind, subject) not in seen:
            seen.add((run.kind, subject))
            yield {**_run(run), "subject": subject.removeprefix(f"tenants/{tenant_id}/"), "differences": differences}


def _subject(needs: Needs, run: Progress) -> tuple[str, Values | None]:
    """The collection that a run works on; what a comparison found, by kind, and how much of it was mended."""
    if run.kind == "backfill":
        return str((needs.ops.get(f"backfills/{run.run_id}") or {}).get("collection_path", "")), None
    values = needs.ops.get(f"verifications/{run.run_id}") if run.kind == "verify" else None
    if values is None:
        return "", None
    counts, repairs = values["counts"], values["repairs"]
    kinds = {kind: counts[kind] for kind in DIFFERENCES if counts.get(kind)}
    return str(values["subject"]), {"kinds": kinds, "mended": repairs.get("repaired", 0) + repairs.get("gone", 0)}


def _read(found: Iterable[tuple[str, Values]]) -> list[Progress]:
    return [Progress.model_validate(values) for _, values in found]


def _run(run: Progress) -> Values:
    return {
        "run_id": run.run_id,
        "kind": run.kind,
        "status": run.status,
        "step": run.step,
        "done": run.done,
        "total": run.total,
        "counts": run.counts,
        # The kind of the error is enough here; its words may quote what was refused.
        "error": (run.error or "").partition(":")[0] or None,
        "started_at": run.started_at.isoformat(),
        "finished_at": run.finished_at.isoformat() if run.finished_at else None,
    }


def _arrivals(needs: Needs, tenant_id: str) -> Values | None:
    found = [
        Arrivals.model_validate(values)
        for _, values in needs.ops.find(
            "arrivals", where=[("tenant_id", "==", tenant_id)], order_by="-finished_at", limit=RUNS
        )
    ]
    newest = [entry for entry in found if entry.run_id == found[0].run_id]
    if not newest:
        return None
    days = [entry.days() for entry in newest]
    return {
        "source": newest[0].source,
        "documents": sum(count for each in days for count in each.values()),
        "collections": len(newest),
        "last_day": max((day for each in days for day in each if day != NO_DAY), default=None),
        "finished_at": newest[0].finished_at.isoformat(),
    }
