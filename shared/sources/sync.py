"""Pulling a source into Firestore: page by page, resumable, each page written before the next is asked for."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.errors import AppError, BadRequest, CredentialsRefused, Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.records import Cursor
from shared.schema.ports import Documents, Publisher, Secrets
from shared.sources.catalogue import SOURCES, SourceKind
from shared.sources.deadline import ANSWER_SECONDS, within
from shared.sources.ledger import Entry, Ledger
from shared.sources.messages import SourceSynced, SyncAsked, SyncRequested
from shared.sources.slices import Days, Slice
from shared.sources.source import Feed, Page, Pull, Source
from shared.sources.states import SourceStates, said
from shared.tenants.fan_out import Asked, ask_each
from shared.tenants.records import SourceSettings
from shared.tenants.service import Tenants

LEASE_SECONDS = 600

SAME_BUT_FOR = frozenset(("sync_run_id", "synced_at"))
"""What tells one sync from the next, and not one document from another: a document like that is not written again."""


def new_run_id(source: str, tenant_id: str) -> str:
    """A run id that says what it is: `sync-ga4-demo-1a2b3c4d`."""
    return f"sync-{source}-{tenant_id}-{secrets.token_hex(4)}"


class Sync:
    """Pulls one source of one tenant.

    sources: those that there are, by name, connected for a tenant. after: what is done with a source's rows once all of
    them are written; a repeat of it must be harmless.
    """

    def __init__(
        self,
        sources: Mapping[str, Callable[[str], Source]],
        documents: Documents,
        ops: Documents,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        tenants: Tenants,
        secrets: Secrets,
        after: Mapping[str, Callable[[Pull], int]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._documents = documents
        self._ops = ops
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._tenants = tenants
        self._secrets = secrets
        self._states = SourceStates(ops)
        self._ledger = Ledger(ops)
        self._after = after or {}
        self._clock = clock

    def ask(self, asked: SyncAsked, requested_by: str) -> Asked:
        """Ask for a sync of one tenant, or, without a tenant, of every tenant that has the source.

        BadRequest where `since` is yet to come, or the tenant that is named has no such source.
        """
        if asked.since is not None and asked.since > datetime.now(UTC).date():
            raise BadRequest(
                "since lies in the future", errors=[{"field": "since", "expected": "today (UTC) or earlier"}]
            )
        kind_of(asked.source)
        if asked.tenant_id:
            self.settings(asked.tenant_id, asked.source)
            return Asked([self._request(asked.tenant_id, asked, requested_by)])

        def ask(tenant_id: str) -> str | None:
            settings = self._tenants.get(tenant_id).sources.get(asked.source)
            has = settings is not None and settings.enabled and not SOURCES[asked.source].lacks(settings)
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
        due = self._due(tenant_id, request.source)
        since = request.since or due
        with self._leases.hold(f"sync:{tenant_id}:{request.source}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("a sync of this source is running", source=request.source)
            with self._progress.track(run_id, "sync", tenant_id) as tracker, self._watched(request):
                pull = self.pull(tenant_id, request.source, run_id, since, settings)
                outcome = self._slice(request, pull, tracker)
                if tracker.progress.status == "running":
                    if request.source in self._after:
                        outcome["followed"] = self._after[request.source](pull)
                    self._publisher.publish(SourceSynced(tenant_id=tenant_id, source=request.source, run_id=run_id))
                    failed = self._ledger.shortages(run_id)
                    if since <= due and not failed:
                        # Days before `since` that nobody has pulled yet, and what was refused, stay due.
                        # What changed while it was pulled, by slices that may take days, is due as well.
                        until = tracker.progress.started_at.date()
                        cursor = Cursor(tenant_id=tenant_id, source=request.source, synced_until=until.isoformat())
                        self._ops.put(f"cursors/{tenant_id}:{request.source}", cursor.document())
                    self._ended(request, failed)
        return outcome

    @within(ANSWER_SECONDS)
    def check(self, tenant_id: str, source: str) -> str:
        """What the tenant's credentials open, in the vendor's own name for it. Errors as of a source's pages."""
        settings, today = self.settings(tenant_id, source), datetime.now(UTC).date()
        try:
            account = self._sources[source](tenant_id).check(self.pull(tenant_id, source, "check", today, settings))
        except AppError as error:
            self._states.failed(tenant_id, source, error)
            raise
        self._states.answered(tenant_id, source, account=account)
        return account

    def pull(self, tenant_id: str, source: str, run_id: str, since: date, settings: SourceSettings) -> Pull:
        """What is pulled, with the credentials as they are now. CredentialsRefused where there are none."""
        credentials = self._secrets.get(tenant_id, source) if SOURCES[source].credentials else ""
        return Pull(tenant_id, run_id, since, settings, credentials)

    @contextmanager
    def _watched(self, request: SyncRequested) -> Iterator[None]:
        """What goes wrong with the source is known on the page, too."""
        try:
            yield
        except AppError as error:
            self._states.failed(request.tenant_id, request.source, error, request.run_id)
            raise

    def _ended(self, request: SyncRequested, failed: list[str]) -> None:
        if failed:
            error = Rejected("; ".join(failed)[:500])
            self._states.failed(request.tenant_id, request.source, error, request.run_id)
        else:
            self._states.answered(request.tenant_id, request.source, request.run_id, synced=True)

    def settings(self, tenant_id: str, source: str) -> SourceSettings:
        """How the tenant's source is reached; BadRequest where it has none, or there is no such source."""
        kind = kind_of(source)
        settings = self._tenants.get(tenant_id).sources.get(source)
        if settings is None or not settings.enabled:
            raise BadRequest(
                f"the tenant has no {source} source",
                errors=[{"field": "source", "expected": "a source that the tenant's settings enable"}],
            )
        lacks = kind.lacks(settings)
        if lacks:
            raise BadRequest(
                f"the tenant's {source} source is not complete: {', '.join(lacks)}",
                errors=[{"field": f"sources.{source}.{name}", "expected": "a value"} for name in lacks],
            )
        return settings

    def _slice(self, request: SyncRequested, pull: Pull, tracker: Tracker) -> dict[str, int]:
        source = self._sources[request.source](request.tenant_id)
        slice_ = Slice(self._clock, tracker, base=tracker.progress.done if request.feed or request.position else 0)
        number, position, days = request.feed, "", Days("")
        began_at = tracker.progress.started_at
        try:
            for number, feed in enumerate(source.feeds[request.feed :], request.feed):
                position = request.position if number == request.feed else ""
                days, bare = Days(position), self._is_bare(feed, pull)
                entry = Entry(pull.run_id, pull.tenant_id, request.source, feed.collection.name, began_at)
                tracker.step(feed.collection.name)
                try:
                    for asked_at, page in _asked(source.pages(feed, pull, position)):
                        written, unchanged = self._write(feed, request, page.documents, asked_at, bare)
                        self._ledger.add(entry, page, position, written, unchanged)
                        slice_.wrote(len(written), len(unchanged))
                        if feed.restates and not bare:
                            slice_.removed += self._remove(feed, pull, days.complete(page, position))
                        if page.following is not None:
                            position = page.following
                            if slice_.is_over:
                                self._hand_over(request, pull.since, number, days.resume_at(position), tracker)
                                return slice_.counts
                except CredentialsRefused:
                    raise
                except Rejected as error:
                    # One report that the vendor will not give costs no other. It is due again at the next sync.
                    self._ledger.refuse(entry, said(error))
                    slice_.refused.append(error)
                    if len(slice_.refused) == len(source.feeds):
                        raise
                if slice_.is_over and number + 1 < len(source.feeds):
                    self._hand_over(request, pull.since, number + 1, "", tracker)
                    break
        except Unavailable:
            if slice_.pages == 0:
                raise
            # What was pulled stays pulled: repeating it would burn the quota that may just have run out.
            self._hand_over(request, pull.since, number, days.resume_at(position), tracker)
        return slice_.counts

    def _is_bare(self, feed: Feed, pull: Pull) -> bool:
        """True where the collection holds nothing yet."""
        return not any(self._documents.find(feed.collection.at(tenant_id=pull.tenant_id), limit=1))

    def _write(
        self,
        feed: Feed,
        request: SyncRequested,
        documents: list[tuple[str, dict[str, Any]]],
        asked_at: datetime,
        bare: bool,
    ) -> tuple[list[str], list[str]]:
        """Write a page; the days of the documents that this run wrote, and of those that were there already."""
        path = feed.collection.at(tenant_id=request.tenant_id)
        stamp = stamped(request.tenant_id, request.source, request.run_id, asked_at)
        named = {f"{path}/{name}": {**fields, **stamp} for name, fields in documents}
        if feed.mutable:
            # A webhook may have brought what is newer than this page.
            kept = self._documents.put_newer(list(named.items()), "synced_at", SAME_BUT_FOR)
        elif bare:
            # To look what is there would only cost.
            self._documents.put_many(named.items())
            return [fields["date"] for fields in named.values()], []
        else:
            kept = self._documents.put_changed(list(named.items()), SAME_BUT_FOR)
        # What this very run wrote before it was repeated counts as written: the log has it under this run.
        before = {name for name, fields in kept.items() if fields.get("sync_run_id") != request.run_id}
        written = [fields["date"] for name, fields in named.items() if name not in before]
        return written, [named[name]["date"] for name in before]

    def _remove(self, feed: Feed, pull: Pull, complete: Mapping[str, set[str]]) -> int:
        """Delete the rows of whole days that the source reports no more, of the same account.

        GA4 attributes recent sessions anew: without this the old row would be counted beside the new. A day of which
        nothing is reported removes nothing: a source that reports no row at all is more likely broken than right.
        """
        path, removed = feed.collection.at(tenant_id=pull.tenant_id), 0
        for day, names in complete.items():
            for name, fields in list(self._documents.find(path, where=[("date", "==", day)])):
                same = all(fields.get(each) == getattr(pull.settings, each) for each in feed.account)
                if same and name.rpartition("/")[2] not in names:
                    self._documents.delete(name)
                    removed += 1
        return removed

    def _hand_over(self, request: SyncRequested, since: date, feed: int, position: str, tracker: Tracker) -> None:
        changes = {"since": since, "feed": feed, "position": position}
        self._publisher.publish(request.model_copy(update=changes))
        tracker.pause()

    def _due(self, tenant_id: str, source: str) -> date:
        kind, found = SOURCES[source], self._ops.get(f"cursors/{tenant_id}:{source}")
        if found is None:
            return datetime.now(UTC).date() - timedelta(days=kind.history_days)
        return date.fromisoformat(found["synced_until"]) - timedelta(days=kind.restated_days)


def kind_of(source: str) -> SourceKind:
    """The source of this name; BadRequest where there is none."""
    if source not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise BadRequest("there is no such source", errors=[{"field": "source", "expected": f"one of: {known}"}])
    return SOURCES[source]


def stamped(tenant_id: str, source: str, run_id: str, asked_at: datetime) -> dict[str, Any]:
    """What every raw row carries beside what its source says of it; asked_at: when the source was asked, not later."""
    return {"tenant_id": tenant_id, "source": source, "sync_run_id": run_id, "synced_at": asked_at}


def _asked(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page]]:
    """Each page, and when it was asked for."""
    while True:
        asked_at = datetime.now(UTC)
        page = next(pages, None)
        if page is None:
            return
        yield asked_at, page
