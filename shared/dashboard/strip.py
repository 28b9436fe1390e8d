"""The strip above the list: what runs, what arrived, what was set aside."""

from typing import Any

from shared.dashboard.needs import Needs
from shared.ops.records import Arrivals, Progress

RUNS = 24
DEAD_LETTERS = 100
"""More than this is shown as `99+`: nobody reads the exact number, and it bounds the reads."""

Values = dict[str, Any]


def strip(needs: Needs, tenant_id: str) -> Values:
    """The newest run of each kind, the newest arrivals and the number of dead letters of a tenant."""
    newest: dict[str, Progress] = {}
    for run in needs.progress.latest(tenant_id, limit=RUNS):
        newest.setdefault(run.kind, run)
    waiting = needs.ops.find(
        "dead_letters", where=[("tenant_id", "==", tenant_id), ("status", "==", "waiting")], limit=DEAD_LETTERS
    )
    return {
        "runs": [_run(run) for run in newest.values()],
        "busy": any(run.status in ("requested", "running") for run in newest.values()),
        "arrivals": _arrivals(needs, tenant_id),
        "dead_letters": sum(1 for _ in waiting),
    }


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
        "last_day": max((day for each in days for day in each), default=None),
        "finished_at": newest[0].finished_at.isoformat(),
    }
