"""Pulling a source into Firestore: page by page, resumable, each page written before the next is asked for."""

import secrets
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any

from shared.errors import AppError, BadRequest, CredentialsRefused, Rejected, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook, Tracker
from shared.ops.records import NO_DAY, SyncRun
from shared.schema.ports import Documents, Publisher, Secrets
from shared.sources.catalogue import REACH_DAYS, SOURCES, SourceKind, account
from shared.sources.cursors import Cursors
from shared.sources.deadline import ANSWER_SECONDS, within
from shared.sources.ledger import Entry, Ledger, Tally, shortage
from shared.sources.messages import SourceSynced, SyncAsked, SyncRequested
from shared.sources.raw import RawDocuments
from shared.sources.runs import SyncRuns
from shared.sources.slices import Days, Slice
from shared.sources.source import Feed, Page, Pull, Source
from shared.sources.states import SourceStates, said
from shared.tenants.fan_out import Asked, ask_each
from shared.tenants.records import SourceSettings
from shared.tenants.service import Tenants

LEASE_SECONDS = 600


def new_run_id(source: str, tenant_id: str) -> str:
    """A run id that says what it is: `sync-ga4-demo-1a2b3c4d`."""
    return f"sync-{source}-{tenant_id}-{secrets.token_hex(4)}"


class Sync:
    """Pulls one source of one tenant.

    sources: those that there are, by name, connected for a tenant. after: what is done with a source's rows once all of
    them are written and told; what it counts. A repeat of it must be harmless.
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
        after: Mapping[str, Callable[[Pull], Mapping[str, int]]] | None = None,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._sources = sources
        self._raw = RawDocuments(documents)
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._tenants = tenants
        self._secrets = secrets
        self._states = SourceStates(ops)
        self._ledger = Ledger(ops)
        self._cursors = Cursors(ops)
        self._runs = SyncRuns(ops)
        self._after = after or {}
        self._clock = clock

    def ask(self, asked: SyncAsked, requested_by: str) -> Asked:
        """Ask for a sync of one tenant, or, without a tenant, of every tenant that has the source.

        Where a run that lives does the same already it is that one's id. BadRequest where `since` is yet to come or too
        long ago, or the tenant that is named has no such source.
        """
        today = datetime.now(UTC).date()
        earliest = today - timedelta(days=REACH_DAYS)
        if asked.since is not None and not earliest <= asked.since <= today:
            raise BadRequest(
                "since lies in the future" if asked.since > today else "since lies too far back",
                errors=[{"field": "since", "expected": f"a day from {earliest} to {today} (UTC today)"}],
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
        state, now = self._states.get(tenant_id, asked.source), datetime.now(UTC)
        live = self._runs.live(tenant_id, asked.source, asked.since, state, now)
        run_id = live.run_id if live else new_run_id(asked.source, tenant_id)
        request = SyncRequested(tenant_id=tenant_id, source=asked.source, since=asked.since, run_id=run_id)
        if live is None:
            self._runs.ask(request)
            self._progress.request(run_id, "sync", tenant_id, requested_by)
        if live is None or live.status == "requested":
            # Nobody has begun it: its message may have been lost, and a second one does no harm.
            self._publisher.publish(request)
        return run_id

    def run(self, request: SyncRequested) -> dict[str, int]:
        """Pull one slice; documents and pages written.

        A crash in the middle is repeated from the slice's start, and writes the same documents. A repeat of a slice
        that handed over, or of a run that ended, asks the source nothing. Unavailable while another sync of the same
        source works, and before the time at which the source said to come back.
        """
        tenant_id, run_id = request.tenant_id, request.run_id
        settings = self.settings(tenant_id, request.source)
        with self._leases.hold(_lease(tenant_id, request.source), LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("a sync of this source is running", source=request.source)
            named = account(settings)
            run = self._runs.begin(request, named, self._due(request, named))
            if run is None:
                return {"repeated": 1}
            if run.handed_to is not None:
                self._publisher.publish(SyncRequested.model_validate(run.handed_to))
                return {"repeated": 1}
            with self._progress.track(run_id, "sync", tenant_id) as tracker:
                outcome = dict[str, int]()
                with self._watched(request):
                    if not run.ended:
                        self._states.wait(tenant_id, request.source)
                    first_day = min(map(date.fromisoformat, run.since.values()))
                    pull = self.pull(tenant_id, request.source, run_id, first_day, settings)
                    if not run.ended:
                        outcome = self._slice(request, run, pull, tracker)
                        if tracker.progress.status != "running":
                            return outcome
                        self._end(request, run, tracker.progress.started_at.date())
                if request.source in self._after:
                    outcome |= self._after[request.source](pull)
        return outcome

    def _due(self, request: SyncRequested, named: str) -> dict[str, str]:
        """Collection -> ISO day since which it is due, of an account."""
        tenant_id, kind, today = request.tenant_id, SOURCES[request.source], datetime.now(UTC).date()
        feeds = self._sources[request.source](tenant_id).feeds
        due = [(feed, request.since or self._cursors.due(tenant_id, kind, feed, named, today)) for feed in feeds]
        return {feed.collection.name: day.isoformat() for feed, day in due}

    def _end(self, request: SyncRequested, run: SyncRun, began: date) -> None:
        """Tell what came, and move the cursors of the feeds that gave all of theirs."""
        tenant_id, kind, today = request.tenant_id, SOURCES[request.source], datetime.now(UTC).date()
        self._publisher.publish(SourceSynced(tenant_id=tenant_id, source=kind.name, run_id=run.run_id))
        ledger = self._ledger.of(run.run_id)
        failed = {name: short for name, entry in ledger.items() if (short := shortage(entry))}
        feeds = self._sources[kind.name](tenant_id).feeds
        for feed in feeds:
            name = feed.collection.name
            since = date.fromisoformat(run.since[name])
            # Days before `since` that nobody has pulled yet stay due, and what was refused, or is a collection only
            # since a deployment in mid-run.
            whole = name in ledger and ledger[name].complete and name not in failed
            if whole and since <= self._cursors.due(tenant_id, kind, feed, run.account, today):
                came = {*ledger[name].days(), *ledger[name].days_unchanged()} - {NO_DAY}
                newest = date.fromisoformat(max(came)) if came else None
                self._cursors.move(tenant_id, kind.name, feed, run.account, began, newest)
        self._cursors.part(tenant_id, kind.name, feeds)
        self._ended(request, list(failed.values()))
        self._runs.end(run)

    def is_running(self, tenant_id: str, source: str) -> bool:
        """True while a page that was asked for may not be written yet."""
        return self._leases.is_held(_lease(tenant_id, source))

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
        tenant_id, source, run_id = request.tenant_id, request.source, request.run_id
        try:
            yield
        except AppError as error:
            self._states.failed(tenant_id, source, error, run_id, again=isinstance(error, Unavailable))
            raise
        except Exception as error:
            bug = Unavailable(f"Scout cannot read what it gave ({type(error).__name__})")
            self._states.failed(tenant_id, source, bug, run_id, again=True)
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

    def _slice(self, request: SyncRequested, run: SyncRun, pull: Pull, tracker: Tracker) -> dict[str, int]:
        source = self._sources[request.source](request.tenant_id)
        request = _placed(request, source.feeds)
        slice_ = Slice(self._clock, tracker, base=run.done)

        def hand_over(feed: int, position: str) -> None:
            if feed == number:
                tally.cut(position)
                self._ledger.cut(entry, tally)
            name = source.feeds[feed].collection.name
            changes = {"slice": request.slice + 1, "feed": feed, "collection_name": name, "position": position}
            following = request.model_copy(update=changes)
            kept = self._runs.hand_over(run, following, slice_.done)
            if kept is not None:
                self._publisher.publish(kept)
            tracker.pause()

        for number, feed in enumerate(source.feeds[request.feed :], request.feed):
            name = feed.collection.name
            position = request.position if number == request.feed else ""
            days, tally = Days(position if number == request.feed else None), Tally(run.slice_began_at)
            bare = self._raw.is_bare(feed, pull.tenant_id)
            entry = Entry(pull.run_id, pull.tenant_id, request.source, name, tracker.progress.started_at, request.slice)
            asking = replace(pull, since=date.fromisoformat(run.since[name]))
            tracker.step(name)
            try:
                for asked_at, page in _asked(self._raw.pages(source, feed, asking, position)):
                    if isinstance(page, Unavailable):
                        if slice_.pages == 0:
                            raise page
                        # What was pulled stays pulled: repeating it would burn the quota that may just have run out.
                        self._states.failed(request.tenant_id, request.source, page, request.run_id, again=True)
                        hand_over(number, days.resume_at(position))
                        return slice_.counts
                    stamp = stamped(pull.tenant_id, request.source, pull.run_id, asked_at)
                    told = self._raw.write(feed, pull.tenant_id, page, stamp, bare, tally)
                    tally.add(position, told)
                    self._ledger.add(entry, tally, page)
                    slice_.wrote(told)
                    slice_.removed += self._raw.drop(feed, pull, page.gone, asked_at)
                    if feed.restates and not bare:
                        slice_.removed += self._raw.remove(feed, pull, days.complete(page, position))
                    if page.following is not None:
                        position = page.following
                        if slice_.is_over:
                            hand_over(number, days.resume_at(position))
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
                hand_over(number + 1, "")
                break
        return slice_.counts


def kind_of(source: str) -> SourceKind:
    """The source of this name; BadRequest where there is none."""
    if source not in SOURCES:
        known = ", ".join(sorted(SOURCES))
        raise BadRequest("there is no such source", errors=[{"field": "source", "expected": f"one of: {known}"}])
    return SOURCES[source]


def _placed(request: SyncRequested, feeds: Sequence[Feed]) -> SyncRequested:
    """The message with its collection's number as it is now: a deployment in mid-run may add some, or take it away."""
    names = [feed.collection.name for feed in feeds]
    if request.collection_name in names:
        return request.model_copy(update={"feed": names.index(request.collection_name)})
    return request.model_copy(update={"position": ""}) if request.collection_name else request


def _lease(tenant_id: str, source: str) -> str:
    return f"sync:{tenant_id}:{source}"


def stamped(tenant_id: str, source: str, run_id: str, asked_at: datetime) -> dict[str, Any]:
    """What every raw row carries beside what its source says of it; asked_at: when the source was asked, not later."""
    return {"tenant_id": tenant_id, "source": source, "sync_run_id": run_id, "synced_at": asked_at}


def _asked(pages: Iterator[Page]) -> Iterator[tuple[datetime, Page | Unavailable]]:
    """Each page, and when it was asked for; last, where the source does not answer, why.

    What fails while a page is written is no such end: some of it is there, which only the same slice tells anew.
    """
    while True:
        asked_at = datetime.now(UTC)
        try:
            page = next(pages, None)
        except Unavailable as error:
            yield asked_at, error
            return
        if page is None:
            return
        yield asked_at, page
