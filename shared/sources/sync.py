"""Pulling a source into Firestore: page by page, resumable, each page written before the next is asked for."""

import secrets
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Protocol

from shared.errors import BadRequest, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.records import Arrivals, Cursor
from shared.schema.ports import Documents, Publisher
from shared.sources.messages import SourceSynced, SyncAsked, SyncRequested
from shared.sources.reports import REPORTS, Report
from shared.tenants.fan_out import Asked, ask_each
from shared.tenants.records import SourceSettings
from shared.tenants.service import Tenants

HISTORY_DAYS = 400
"""How far the first sync looks back: a year and the weeks before it."""
RESTATED_DAYS = 3
"""Days that GA4 still changes (up to 72 h): pulled again by every sync."""
LEASE_SECONDS = 600
SLICE_SECONDS = 240
"""After this long a sync hands over to its next slice, well inside the function's timeout."""


@dataclass(frozen=True)
class Page:
    """One page of one report: documents as (id, fields), and how many rows the source says there are in all."""

    documents: list[tuple[str, dict[str, Any]]]
    next_offset: int | None
    reported: int


class Source(Protocol):
    """A source of rows."""

    def pages(
        self, report: Report, settings: SourceSettings, tenant_id: str, run_id: str, since: date, offset: int
    ) -> Iterator[Page]:
        """Pages of one report from `since` until yesterday, from row `offset` on."""
        ...


def new_run_id(source: str, tenant_id: str) -> str:
    """A run id that says what it is: `sync-ga4-demo-1a2b3c4d`."""
    return f"sync-{source}-{tenant_id}-{secrets.token_hex(4)}"


class Sync:
    """Pulls one source of one tenant."""

    def __init__(
        self,
        source: Source,
        documents: Documents,
        ops: Documents,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        tenants: Tenants,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._source = source
        self._documents = documents
        self._ops = ops
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._tenants = tenants
        self._clock = clock

    def ask(self, asked: SyncAsked, requested_by: str) -> Asked:
        """Ask for a sync of one tenant, or, without a tenant, of every tenant that has the source.

        BadRequest where `since` is yet to come, or the tenant that is named has no such source.
        """
        if asked.since is not None and asked.since > datetime.now(UTC).date():
            raise BadRequest(
                "since lies in the future", errors=[{"field": "since", "expected": "today (UTC) or earlier"}]
            )
        if asked.tenant_id:
            self.settings(asked.tenant_id, asked.source)
            return Asked([self._request(asked.tenant_id, asked, requested_by)])

        def ask(tenant_id: str) -> str | None:
            has = _usable(self._tenants.get(tenant_id).sources.get(asked.source))
            return self._request(tenant_id, asked, requested_by) if has else None

        return ask_each(self._tenants.ids(), ask)

    def _request(self, tenant_id: str, asked: SyncAsked, requested_by: str) -> str:
        run_id = new_run_id(asked.source, tenant_id)
        request = SyncRequested(tenant_id=tenant_id, source=asked.source, since=asked.since, run_id=run_id)
        self._progress.request(run_id, "sync", tenant_id, requested_by)
        self._publisher.publish(request)
        return run_id

    def run(self, request: SyncRequested) -> dict[str, int]:
        """Pull one slice; documents and pages written.

        A repeat writes the same documents and counts again; a crash in the middle is repeated from the slice's start;
        the messages that follow are harmless twice. Unavailable while another sync of the same source works.
        """
        tenant_id, run_id = request.tenant_id, request.run_id
        settings = self.settings(tenant_id, request.source)
        until = datetime.now(UTC).date()
        due = self._due(tenant_id, request.source)
        since = request.since or due
        with self._leases.hold(f"sync:{tenant_id}:{request.source}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("a sync of this source is running", source=request.source)
            with self._progress.track(run_id, "sync", tenant_id) as tracker:
                outcome = self._slice(request, settings, since, tracker)
                if tracker.progress.status == "running":
                    self._publisher.publish(SourceSynced(tenant_id=tenant_id, source=request.source, run_id=run_id))
                    if since <= due:
                        # Days before `since` that nobody has pulled yet stay due.
                        cursor = Cursor(tenant_id=tenant_id, source=request.source, synced_until=until.isoformat())
                        self._ops.put(f"cursors/{tenant_id}:{request.source}", cursor.document())
        return outcome

    def settings(self, tenant_id: str, source: str) -> SourceSettings:
        """How the tenant's source is reached; BadRequest where it has none."""
        settings = self._tenants.get(tenant_id).sources.get(source)
        if settings is None or not _usable(settings):
            raise BadRequest(
                f"the tenant has no {source} source",
                errors=[{"field": "source", "expected": "a source that the tenant's settings enable"}],
            )
        return settings

    def _slice(self, request: SyncRequested, settings: SourceSettings, since: date, tracker: Tracker) -> dict[str, int]:
        started, written, pages, removed = self._clock(), 0, 0, 0
        base = tracker.progress.done if request.report or request.offset else 0
        number, offset = request.report, request.offset
        try:
            for number, report in enumerate(REPORTS[request.report :], request.report):
                offset = request.offset if number == request.report else 0
                path = report.collection.at(tenant_id=request.tenant_id)
                tracker.step(report.collection.name)
                for page in self._source.pages(report, settings, request.tenant_id, request.run_id, since, offset):
                    written += self._documents.put_many((f"{path}/{name}", fields) for name, fields in page.documents)
                    pages += 1
                    self._note(report, request, page, offset, tracker.progress.started_at)
                    tracker.step(done=base + written, counts={"documents": base + written})
                    if page.next_offset is None:
                        removed += self._remove_restated(path, request, settings, since) if page.reported else 0
                        continue
                    offset = page.next_offset
                    if self._clock() - started > SLICE_SECONDS:
                        self._hand_over(request, since, number, offset, tracker)
                        return {"documents": written, "pages": pages, "removed": removed}
                if self._clock() - started > SLICE_SECONDS and number + 1 < len(REPORTS):
                    self._hand_over(request, since, number + 1, 0, tracker)
                    break
        except Unavailable:
            if pages == 0:
                raise
            # What was pulled stays pulled: repeating it would burn the quota that may just have run out.
            self._hand_over(request, since, number, offset, tracker)
        return {"documents": written, "pages": pages, "removed": removed}

    def _remove_restated(self, path: str, request: SyncRequested, settings: SourceSettings, since: date) -> int:
        """Delete the rows of the pulled days that the source reports no more, of the same property.

        GA4 attributes recent sessions anew: without this the old row would be counted beside the new. An empty answer
        removes nothing: a source that reports no row at all is more likely broken than right.
        """
        if self._ops.get(f"cursors/{request.tenant_id}:{request.source}") is None:
            return 0
        gone = [
            name
            for name, fields in self._documents.find(path, where=[("date", ">=", since.isoformat())])
            if fields.get("sync_run_id") != request.run_id and fields.get("property_id") == settings.property_id
        ]
        for name in gone:
            self._documents.delete(name)
        return len(gone)

    def _hand_over(self, request: SyncRequested, since: date, report: int, offset: int, tracker: Tracker) -> None:
        changes = {"since": since, "report": report, "offset": offset}
        self._publisher.publish(request.model_copy(update=changes))
        tracker.pause()

    def _note(self, report: Report, request: SyncRequested, page: Page, offset: int, started_at: datetime) -> None:
        """Add a page to the ledger: keyed by its offset, so that a repeated page is counted once."""
        days: dict[str, int] = {}
        for day in {name: fields["date"] for name, fields in page.documents}.values():
            days[day] = days.get(day, 0) + 1

        def add(found: dict[str, Any] | None) -> dict[str, Any]:
            pages = {**(found or {}).get("pages", {}), str(offset): days}
            return Arrivals(
                run_id=request.run_id,
                tenant_id=request.tenant_id,
                source=request.source,
                collection_name=report.collection.name,
                pages=pages,
                reported=page.reported,
                complete=page.next_offset is None,
                started_at=started_at,
                finished_at=datetime.now(UTC),
            ).document()

        self._ops.transact(f"arrivals/{request.run_id}:{report.collection.name}", add)

    def _due(self, tenant_id: str, source: str) -> date:
        found = self._ops.get(f"cursors/{tenant_id}:{source}")
        if found is None:
            return datetime.now(UTC).date() - timedelta(days=HISTORY_DAYS)
        return date.fromisoformat(found["synced_until"]) - timedelta(days=RESTATED_DAYS)


def _usable(settings: SourceSettings | None) -> bool:
    return settings is not None and settings.enabled and settings.property_id is not None
