"""Syncs under way: which slice each is at, so that a message that comes twice is worked once, and which still live."""

from collections.abc import Mapping
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.ops.records import Progress, SourceState, SyncRun
from shared.schema.ports import Documents
from shared.sources.messages import SyncRequested

ALIVE = {"sync": timedelta(minutes=20), "check": timedelta(minutes=3)}
"""A run of which nothing was heard for so long does not run any more; Pub/Sub tries again within ten minutes."""
RUNS = 40


class SyncRuns:
    """The runs of syncs."""

    def __init__(self, ops: Documents) -> None:
        self._ops = ops

    def ask(self, request: SyncRequested) -> None:
        """Note what a run is asked to do."""
        self._ops.create(_path(request.run_id), _asked(request).document())

    def begin(self, request: SyncRequested, account: str, since: Mapping[str, str]) -> SyncRun | None:
        """The run at the slice of a message; None where a later slice has begun already.

        account, since: of a run that begins; one that goes on keeps its own.
        """

        now = datetime.now(UTC)

        def change(found: dict[str, Any] | None) -> dict[str, Any] | None:
            run = SyncRun.model_validate(found) if found else _asked(request)
            if run.slice > request.slice:
                return None
            if run.slice < request.slice:
                run = run.model_copy(update={"slice": request.slice, "handed_to": None, "slice_began_at": now})
            kept = {
                "account": run.account if run.since else account,
                "since": {**since, **run.since},
                "slice_began_at": run.slice_began_at or now,
            }
            return run.model_copy(update=kept).document()

        begun = self._ops.transact(_path(request.run_id), change)
        return SyncRun.model_validate(begun) if begun else None

    def hand_over(self, run: SyncRun, following: SyncRequested, done: int) -> SyncRequested | None:
        """Keep the message of the next slice: whoever repeats this one sends that again, and does no more.

        The message that is kept; where another worked the slice when its lease was over, that one's, or None.
        """
        kept = self._close(run, {"handed_to": following.model_dump(mode="json"), "done": done})
        return SyncRequested.model_validate(kept.handed_to) if kept.handed_to else None

    def end(self, run: SyncRun) -> None:
        """Note that all is told that a run brought."""
        self._close(run, {"ended": True})

    def _close(self, run: SyncRun, changes: Mapping[str, Any]) -> SyncRun:
        """The run after its slice, which ends once; a slice that outlived its lease sets it back no more."""
        kept = run

        def change(found: dict[str, Any] | None) -> dict[str, Any] | None:
            nonlocal kept
            kept = SyncRun.model_validate(found) if found else run
            if kept.slice != run.slice or kept.handed_to is not None or kept.ended:
                return None
            kept = kept.model_copy(update=dict(changes))
            return kept.document()

        self._ops.transact(_path(run.run_id), change)
        return kept

    def live(
        self, tenant_id: str, source: str, since: date | None, state: SourceState | None, now: datetime
    ) -> Progress | None:
        """A run that lives and does the same, also one that failed and is tried again."""
        for run in works(self._ops, tenant_id):
            waits = run.status == "failed" and state is not None and state.again and state.run_id == run.run_id
            lives = is_alive(run, now) or (waits and now - run.updated_at < ALIVE["sync"])
            if lives and is_of(run, "sync", source, tenant_id):
                found = self._ops.get(_path(run.run_id))
                if found and not found.get("ended") and found.get("asked_since") == _iso(since):
                    return run
        return None


def works(ops: Documents, tenant_id: str) -> list[Progress]:
    """The newest syncs and tests of connections of a tenant."""
    found = ops.find(
        "progress",
        where=[("tenant_id", "==", tenant_id), ("kind", "in", list(ALIVE))],
        order_by="-started_at",
        limit=RUNS,
    )
    return [Progress.model_validate(values) for _, values in found]


def is_alive(run: Progress, now: datetime) -> bool:
    """True where a run is waited for, or works."""
    return run.status in ("requested", "running") and now - run.updated_at < ALIVE[run.kind]


def is_of(run: Progress, kind: str, source: str, tenant_id: str) -> bool:
    """True of runs of this kind and source: their ids begin so."""
    return run.kind == kind and run.run_id.startswith(f"{kind}-{source}-{tenant_id}-")


def tried_again(state: SourceState, now: datetime) -> bool:
    """True where the sync that failed is still being tried."""
    return state.again and now - state.updated_at < ALIVE["sync"]


def _asked(request: SyncRequested) -> SyncRun:
    return SyncRun(
        run_id=request.run_id,
        tenant_id=request.tenant_id,
        source=request.source,
        asked_since=_iso(request.since),
        slice=request.slice,
    )


def _iso(day: date | None) -> str | None:
    return day.isoformat() if day else None


def _path(run_id: str) -> str:
    return f"sync_runs/{run_id}"
