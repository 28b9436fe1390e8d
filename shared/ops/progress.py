"""Progress of runs: one document each, written at most once a second."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

from shared.errors import AppError
from shared.ops.records import Progress
from shared.schema.ports import Documents

THROTTLE = timedelta(seconds=1)


class ProgressBook:
    """Opens, reads and lists the progress of runs."""

    def __init__(self, documents: Documents, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._documents = documents
        self._now = now

    def request(self, run_id: str, kind: str, tenant_id: str, requested_by: str = "") -> None:
        """Note that a run was asked for; a run that has begun is left alone."""
        at = self._now()
        progress = Progress(
            run_id=run_id,
            kind=kind,
            tenant_id=tenant_id,
            status="requested",
            requested_by=requested_by,
            started_at=at,
            updated_at=at,
        )
        self._documents.create(f"progress/{run_id}", progress.document())

    def track(self, run_id: str, kind: str, tenant_id: str) -> "Tracker":
        """Follow a run: `with book.track(...) as run: run.step("...", done=3)`."""
        found = self.get(run_id)
        at = self._now()
        return Tracker(
            self._documents,
            self._now,
            Progress(
                run_id=run_id,
                kind=kind,
                tenant_id=tenant_id,
                status="running",
                counts=found.counts if found else {},
                done=found.done if found else 0,
                requested_by=found.requested_by if found else "",
                started_at=found.started_at if found else at,
                updated_at=at,
            ),
        )

    def get(self, run_id: str) -> Progress | None:
        """The run's progress, or None."""
        values = self._documents.get(f"progress/{run_id}")
        return Progress.model_validate(values) if values else None

    def latest(self, tenant_id: str, limit: int = 20) -> list[Progress]:
        """A tenant's newest runs."""
        found = self._documents.find(
            "progress", where=[("tenant_id", "==", tenant_id)], order_by="-started_at", limit=limit
        )
        return [Progress.model_validate(values) for _, values in found]


class Tracker:
    """The progress of one run while it works; leaving the block by an error marks it failed."""

    def __init__(self, documents: Documents, now: Callable[[], datetime], progress: Progress) -> None:
        self._documents = documents
        self._now = now
        self.progress = progress
        self._written_at = datetime.min.replace(tzinfo=UTC)

    def __enter__(self) -> "Tracker":
        self._write()
        return self

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if error is not None:
            # Scout's own words name no values; those of libraries quote them.
            said = error.message if isinstance(error, AppError) else type(error).__name__
            self._change(status="failed", error=said[:500])
            self._write()
        elif self.progress.status == "running":
            self.finish()

    def step(
        self,
        step: str | None = None,
        *,
        done: int | None = None,
        total: int | None = None,
        counts: dict[str, int] | None = None,
    ) -> None:
        """Say what the run does now; written at most once a second."""
        changes: dict[str, object] = {"counts": {**self.progress.counts, **(counts or {})}}
        for name, value in (("step", step), ("done", done), ("total", total)):
            if value is not None:
                changes[name] = value
        self._change(**changes)
        if self._now() - self._written_at >= THROTTLE:
            self._write()

    def pause(self) -> None:
        """Leave the run open: a next slice goes on with it."""
        self._write()
        self._change(status="requested")

    def finish(self, counts: dict[str, int] | None = None) -> None:
        """Mark the run done."""
        self._change(
            status="done",
            step="",
            counts={**self.progress.counts, **(counts or {})},
            finished_at=self._now(),
            error=None,
        )
        self._write()

    def _change(self, **changes: object) -> None:
        self.progress = self.progress.model_copy(update=changes)

    def _write(self) -> None:
        at = self._now()
        self._change(updated_at=at)
        self._documents.put(f"progress/{self.progress.run_id}", self.progress.document())
        self._written_at = at
