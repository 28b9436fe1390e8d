"""The sync over a source that is played: pages, slices, ledger, cursor, leases."""

from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
import pytest

from functions.sync_source.main import handle
from shared.errors import BadRequest, CredentialsRefused, NotNow, Rejected, Unavailable, UnknownTenant
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import NO_DAY, Arrivals
from shared.schema.record import Collection
from shared.sources import sync as module
from shared.sources.activecampaign import MESSAGES
from shared.sources.catalogue import HISTORY_DAYS, REACH_DAYS, SOURCES
from shared.sources.messages import SourceSynced, SyncAsked, SyncRequested
from shared.sources.records import SourceRow
from shared.sources.reports import REPORTS
from shared.sources.runs import SyncRuns
from shared.sources.slices import SLICE_SECONDS
from shared.sources.source import Feed, Page, Pull
from shared.sources.sync import Sync
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher, FakeSecrets, fake_clients, posted, pushed

TODAY = datetime.now(UTC).date()
FIRST = REPORTS[0].collection.name
ROWS = 5
PAGE = 2
PAGES = 3  # of 5 rows, 2 a page


class PlayedSource:
    """Port `Source`: every report has five rows of two days; `seen` is what was asked for."""

    feeds = REPORTS

    def __init__(self) -> None:
        self.seen: list[tuple[str, str]] = []
        self.since: date | None = None
        self.sinces: dict[str, date] = {}
        self.broken: tuple[str, str] | None = None
        self.broken_everywhere = False
        self.error: Exception = Unavailable("GA4 is not available")
        self.rows = ROWS
        self.reported: int | None = None
        self.days: list[Any] = []
        self.names: dict[str, str] = {}
        self.odd: dict[tuple[str, int], dict[str, Any]] = {}

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        self.since = self.sinces[feed.collection.name] = pull.since
        while True:
            name = feed.collection.name
            self.seen.append((name, position))
            if self.broken_everywhere or self.broken == (name, position):
                raise self.error
            offset = int(position or 0)
            numbers = range(offset, min(offset + PAGE, self.rows))
            common = {"property_id": pull.settings.property_id}
            documents = [
                (
                    self.names.get(f"row-{n}", f"row-{n}"),
                    {"date": self.days[n] if self.days else day_of(n), "number": n, **common}
                    | self.odd.get((feed.collection.name, n), {}),
                )
                for n in numbers
            ]
            position = str(offset + len(documents))
            more = int(position) < self.rows
            yield Page(documents, position if more else None, self.reported or self.rows)
            if not more:
                return

    def check(self, pull: Pull) -> str:
        if self.broken:
            raise self.error
        return "Played"


def day_of(number: int) -> str:
    """The days come in order, as a source that restates them gives them; a page holds the end of one and another."""
    return "2026-01-01" if number <= PAGE else "2026-01-02"


class World:
    """A sync of two tenants, one of which has the source; every page takes `page_seconds`."""

    def __init__(self) -> None:
        self.documents, self.ops, self.publisher = FakeDocuments(), FakeDocuments(), FakePublisher()
        self.source = PlayedSource()
        self.leases = Leases(self.ops)
        self.secrets = FakeSecrets()
        self.seconds, self.page_seconds = 0.0, 0.0
        self.after: dict[str, Any] = {"stripe": lambda pull: {}}
        now = datetime(2026, 1, 1, tzinfo=UTC)
        basic: dict[str, Any] = {"created_at": now, "updated_at": now}
        has = {"sources": {"ga4": {"property_id": "properties/1"}}}
        self.documents.documents |= {
            "tenants/demo": {"tenant_id": "demo", **basic, **has},
            "tenants/bare": {"tenant_id": "bare", **basic},
        }
        self.sync = Sync(
            dict.fromkeys(("ga4", "stripe"), lambda tenant_id: self.source),
            self.documents,
            self.ops,
            ProgressBook(self.ops),
            self.leases,
            self.publisher,
            Tenants(self.documents),
            self.secrets,
            self.after,
            self.clock,
        )

    def clock(self) -> float:
        self.seconds += self.page_seconds
        return self.seconds

    def run(self, **changes: Any) -> dict[str, int]:
        given = {"tenant_id": "demo", "source": "ga4", "run_id": "run-1", **changes}
        return self.sync.run(SyncRequested.model_validate(given))

    def ledger(self, report: Feed = REPORTS[0], run_id: str = "run-1") -> Arrivals:
        return Arrivals.model_validate(self.ops.documents[f"arrivals/{run_id}:{report.collection.name}"])

    def cursor(self, report: Feed = REPORTS[0], source: str = "ga4") -> date | None:
        found = self.ops.documents.get(f"cursors/demo:{source}:{report.collection.name}")
        return date.fromisoformat(found["synced_until"]) if found else None

    def finish(self) -> None:
        """Work the messages of the slices that follow."""
        while isinstance(handed := self.publisher.messages[-1], SyncRequested):
            self.sync.run(handed)

    @property
    def raw(self) -> dict[str, Any]:
        raw = {path: dict(values) for path, values in self.documents.documents.items() if path.count("/") == 3}
        assert all(values.pop("synced_at", True) for values in raw.values())
        return raw

    @property
    def published(self) -> list[str]:
        return [type(message).__name__ for message in self.publisher.messages]


@pytest.fixture
def world() -> World:
    return World()


def test_every_page_of_every_report_is_written(world: World):
    assert world.run() == {
        "documents": ROWS * len(REPORTS),
        "unchanged": 0,
        "unwritten": 0,
        "pages": PAGES * len(REPORTS),
        "removed": 0,
        "refused": 0,
    }
    for report in REPORTS:
        path = report.collection.at(tenant_id="demo")
        assert {f"{path}/row-{number}" for number in range(ROWS)} <= world.raw.keys()
    assert len(world.raw) == ROWS * len(REPORTS)


def test_end_is_told_once_and_last(world: World):
    world.run()
    assert world.publisher.messages == [SourceSynced(tenant_id="demo", source="ga4", run_id="run-1")]
    progress = world.ops.documents["progress/run-1"]
    assert (progress["status"], progress["done"]) == ("done", ROWS * len(REPORTS))


def test_nothing_is_told_and_no_cursor_moves_where_the_last_page_fails(world: World):
    world.source.broken = (REPORTS[-1].collection.name, "4")
    world.run()
    [handed] = world.publisher.messages
    assert isinstance(handed, SyncRequested)
    assert (handed.feed, handed.position) == (len(REPORTS) - 1, "4")
    with pytest.raises(Unavailable):
        world.sync.run(handed)
    assert world.published == ["SyncRequested"]
    assert world.cursor() is None
    assert world.ops.documents["progress/run-1"]["status"] == "failed"
    assert not world.ledger(REPORTS[-1]).complete


def test_page_is_written_before_the_next_is_asked_for(world: World):
    world.source.broken = (FIRST, "2")
    world.run()
    assert [path.rpartition("/")[2] for path in world.raw] == ["row-0", "row-1"]
    assert world.ledger().days() == {"2026-01-01": 2}


def test_source_that_fails_at_once_is_asked_again_later(world: World):
    world.source.broken = (FIRST, "")
    with pytest.raises(Unavailable):
        world.run()
    assert (world.published, world.raw) == ([], {})


def test_sync_that_failed_on_the_way_goes_on_where_it_was_and_ends_as_if_nothing_had_happened(world: World):
    calm = World()
    calm.run()
    world.source.broken = (REPORTS[2].collection.name, "2")
    world.run()
    world.source.broken = None
    [handed] = world.publisher.messages
    assert isinstance(handed, SyncRequested)
    asked = len(world.source.seen)
    world.sync.run(handed)
    assert world.source.seen[asked] == (REPORTS[2].collection.name, "2")
    assert world.raw == calm.raw
    for report in REPORTS:
        assert world.ledger(report).days() == calm.ledger(report).days()
        assert world.ledger(report).complete
    assert world.publisher.messages[1:] == calm.publisher.messages


def test_rows_of_a_day_that_the_source_reports_no_more_are_removed(world: World):
    world.run()
    path = f"tenants/demo/{FIRST}"
    for name, changes in {
        "restated": {},
        "of-another-property": {"property_id": "properties/9"},
        "of-a-day-that-is-not-reported": {"date": TODAY.isoformat()},
    }.items():
        row = {"date": "2026-01-02", "sync_run_id": "run-1", "property_id": "properties/1", **changes}
        world.documents.documents[f"{path}/{name}"] = row
    assert world.run(run_id="run-2")["removed"] == 1
    left = {name.rpartition("/")[2] for name in world.raw if name.startswith(path)}
    assert "restated" not in left
    assert {"of-another-property", "of-a-day-that-is-not-reported"} <= left


def test_empty_answer_removes_nothing(world: World):
    world.run()
    row = {"date": "2026-01-02", "sync_run_id": "run-1", "property_id": "properties/1"}
    world.documents.documents[f"tenants/demo/{FIRST}/kept"] = row
    world.source.rows = 0
    assert world.run(run_id="run-2")["removed"] == 0


def test_a_day_cut_by_a_slice_is_pulled_whole_again_before_rows_of_it_are_removed(world: World):
    world.run()
    row = {"date": "2026-01-02", "sync_run_id": "run-1", "property_id": "properties/1"}
    world.documents.documents[f"tenants/demo/{FIRST}/restated"] = row
    world.source.broken = (FIRST, "4")
    assert world.run(run_id="run-2")["removed"] == 0
    world.source.broken = None
    handed = world.publisher.messages[-1]
    assert isinstance(handed, SyncRequested)
    assert handed.position == "2", "the page in which the open day began"
    assert world.sync.run(handed)["removed"] == 1
    assert len([name for name in world.raw if name.startswith(f"tenants/demo/{FIRST}/")]) == ROWS


def test_a_slice_that_ends_with_the_first_page_of_a_feed_leaves_no_row_that_is_reported_no_more(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:2])
    world.source.rows, world.source.days = 6, [f"2026-01-0{1 + n // PAGE}" for n in range(6)]
    world.run()
    world.source.names = {f"row-{n}": f"new-{n}" for n in (1, 3, 5)}
    world.source.broken = (REPORTS[1].collection.name, "2")
    world.run(run_id="run-2", since="2026-01-01")
    world.source.broken = None
    world.finish()
    for report in REPORTS[:2]:
        left = {path.rpartition("/")[2] for path in world.raw if f"/{report.collection.name}/" in path}
        assert left == {"row-0", "new-1", "row-2", "new-3", "row-4", "new-5"}
        ledger = world.ledger(report, "run-2")
        assert (sum(ledger.days().values()), sum(ledger.days_unchanged().values())) == (3, 3)


@pytest.mark.parametrize("rows", range(1, 10))
@pytest.mark.parametrize("broken", ["2", "4", "6", "8"])
@pytest.mark.parametrize("again", [False, True])
def test_wherever_a_sync_is_cut_no_row_that_the_source_reports_is_removed_or_counted_twice(
    rows: int, broken: str, again: bool, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:1])
    world = World()
    world.source.rows = rows
    if again:
        world.run()
    world.source.broken = (FIRST, broken)
    world.run(run_id="run-2")
    world.source.broken = None
    world.finish()
    assert len([name for name in world.raw if name.startswith(f"tenants/demo/{FIRST}/")]) == rows
    ledger = world.ledger(run_id="run-2")
    assert (sum(ledger.days().values()), sum(ledger.days_unchanged().values())) == ((0, rows) if again else (rows, 0))


def test_a_second_sync_writes_nothing_new_and_the_ledger_says_so(world: World):
    world.run()
    writes, raw = len([path for path in world.documents.writes if path.count("/") == 3]), dict(world.raw)
    assert world.run(run_id="run-2") == {
        "documents": 0,
        "unchanged": ROWS * len(REPORTS),
        "unwritten": 0,
        "pages": PAGES * len(REPORTS),
        "removed": 0,
        "refused": 0,
    }
    assert len([path for path in world.documents.writes if path.count("/") == 3]) == writes
    assert world.raw == raw
    ledger = world.ledger(run_id="run-2")
    assert (ledger.days(), ledger.days_unchanged()) == ({}, {"2026-01-01": 3, "2026-01-02": 2})


def test_what_a_run_wrote_before_it_was_repeated_counts_as_written(world: World):
    world.run()
    path = f"tenants/demo/{FIRST}/row-0"
    world.documents.documents[path] = {**world.documents.documents[path], "sync_run_id": "run-2"}
    world.run(run_id="run-2")
    ledger = world.ledger(run_id="run-2")
    assert (ledger.days(), ledger.days_unchanged()) == ({"2026-01-01": 1}, {"2026-01-01": 2, "2026-01-02": 2})


def test_same_message_again_asks_nothing_and_changes_neither_documents_nor_ledger(world: World):
    world.run()
    raw, ledger, cursor, asked = dict(world.raw), world.ledger(), world.cursor(), len(world.source.seen)
    world.run()
    assert (world.raw, world.ledger(), world.cursor(), len(world.source.seen)) == (raw, ledger, cursor, asked)


def test_ledger_counts_documents_by_day_and_says_when_it_is_complete(world: World):
    world.run()
    ledger = world.ledger()
    assert ledger.days() == {"2026-01-01": 3, "2026-01-02": 2}
    assert (ledger.reported, ledger.complete, ledger.collection_name) == (ROWS, True, FIRST)


def test_ledger_grows_with_days_and_not_with_pages_or_slices(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:1])
    world.source.rows, world.page_seconds = 200, SLICE_SECONDS / 10
    world.run()
    world.finish()
    ledger = world.ops.documents[f"arrivals/run-1:{FIRST}"]
    assert sum(world.ledger().days().values()) == 200
    assert len(ledger["pages"]) == 2
    assert all(len(days) <= 2 for days in ledger["pages"].values())


def test_days_that_are_none_are_counted_under_one_name(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:1])
    world.source.days = ["", "0000-00-00", "(other)", None, "2026-01-02"]
    world.run()
    assert world.ledger().days() == {NO_DAY: 4, "2026-01-02": 1}
    assert world.ledger().complete


def test_report_without_rows_is_a_complete_ledger_of_none(world: World):
    world.source.rows = 0
    assert world.run()["pages"] == len(REPORTS)
    assert world.ledger().complete
    assert world.published == ["SourceSynced"]


# --- slices ----------------------------------------------------------------------------------------------------------


def test_long_sync_hands_over_in_slices_that_end_as_one(world: World):
    calm = World()
    calm.run()
    world.page_seconds = SLICE_SECONDS / 3
    world.run()
    slices = 1
    while isinstance(world.publisher.messages[-1], SyncRequested):
        assert world.ops.documents["progress/run-1"]["status"] == "running"
        assert world.cursor() is None
        slices += 1
        world.sync.run(world.publisher.messages[-1])
    assert slices > 2
    assert len(set(world.source.seen)) == len(world.source.seen) == PAGES * len(REPORTS)
    assert world.raw == calm.raw
    for report in REPORTS:
        assert world.ledger(report).days() == calm.ledger(report).days()
    assert world.published[-1] == "SourceSynced"
    assert world.published.count("SourceSynced") == 1
    assert world.ops.documents["progress/run-1"]["done"] == ROWS * len(REPORTS)


def test_hand_over_says_where_to_go_on_and_since_when(world: World):
    world.page_seconds = SLICE_SECONDS + 1
    assert world.run(since="2026-01-01")["documents"] == PAGE
    [handed] = world.publisher.messages
    assert isinstance(handed, SyncRequested)
    assert (handed.feed, handed.position, handed.run_id) == (0, str(PAGE), "run-1")
    assert handed.since == date(2026, 1, 1)


def test_slice_that_is_delivered_twice_is_worked_once_whenever_that_is(world: World):
    calm = World()
    calm.run()
    world.page_seconds = SLICE_SECONDS + 1
    world.run()
    messages: list[SyncRequested] = []
    while isinstance(handed := world.publisher.messages[-1], SyncRequested):
        world.sync.run(handed)
        messages.append(handed)
        asked = len(world.source.seen)
        for repeat in (SyncRequested(tenant_id="demo", source="ga4", run_id="run-1"), *messages[:-1]):
            assert world.sync.run(repeat) == {"repeated": 1}
        assert len(world.source.seen) == asked
    assert len(set(world.source.seen)) == len(world.source.seen)
    assert {report: world.ledger(report).days() for report in REPORTS} == {
        report: calm.ledger(report).days() for report in REPORTS
    }


def test_slice_that_outlives_its_lease_sets_no_run_back(world: World, monkeypatch: pytest.MonkeyPatch):
    """While it waits for its second page another works the same message, to its end."""
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:1])
    pages = world.source.pages

    def slow(feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        yield next(pages(feed, pull, position))
        del world.ops.documents["leases/sync:demo:ga4"]
        world.source.pages = pages  # type: ignore[method-assign]
        world.run()
        raise Unavailable("GA4 is not available")

    world.source.pages = slow  # type: ignore[method-assign]
    world.run()
    assert (world.published, world.ops.documents["sync_runs/run-1"]["ended"]) == (["SourceSynced"], True)


@pytest.mark.parametrize("ended", [False, True], ids=["at work", "ended"])
def test_run_that_is_at_a_later_slice_is_set_back_by_none_before(world: World, ended: bool):
    runs = SyncRuns(world.ops)
    first = SyncRequested(tenant_id="demo", source="ga4", run_id="run-1")
    second = first.model_copy(update={"slice": 1, "position": "2"})
    slow = runs.begin(first, "properties/1", {})
    assert slow is not None
    assert runs.hand_over(slow, second, 2) == second
    assert runs.hand_over(slow, second.model_copy(update={"position": "4"}), 4) == second
    later = runs.begin(second, "properties/1", {})
    assert later is not None
    if ended:
        runs.end(later)
    kept = world.ops.documents["sync_runs/run-1"]
    assert runs.hand_over(slow, second, 2) is None
    runs.end(slow)
    assert world.ops.documents["sync_runs/run-1"] == kept


def test_repeat_of_a_slice_that_handed_over_sends_the_same_message_which_may_have_been_lost(world: World):
    world.page_seconds = SLICE_SECONDS + 1
    world.run()
    [handed] = world.publisher.messages
    asked = len(world.source.seen)
    assert world.run() == {"repeated": 1}
    assert (world.publisher.messages, len(world.source.seen)) == ([handed, handed], asked)


@pytest.mark.parametrize("report", [0, 1])
@pytest.mark.parametrize("position", ["2", "4"])
def test_slice_that_crashed_is_repeated_and_its_pages_count_once(world: World, report: int, position: str):
    calm = World()
    calm.run()
    world.source.broken = (REPORTS[report].collection.name, position)
    world.source.error = RuntimeError("the instance died")
    with pytest.raises(RuntimeError):
        world.run()
    world.source.broken = None
    world.run()
    for each in REPORTS[:2]:
        assert world.ledger(each).days() == calm.ledger(each).days()


def fails_once(times: Iterator[bool], work: Any, first: Any = lambda *given: None) -> Any:
    """Work that is not available where `times` says so; what it does before it fails is `first`."""

    def worked(*given: Any) -> Any:
        if next(times, False):
            first(*given)
            raise NotNow("Firestore is contended")
        return work(*given)

    return worked


@pytest.mark.parametrize("failing", ["write", "ledger"])
def test_page_that_could_not_be_written_or_told_whole_is_repeated_and_counts_once(
    world: World, monkeypatch: pytest.MonkeyPatch, failing: str
):
    monkeypatch.setattr(PlayedSource, "feeds", (MESSAGES,))
    if failing == "write":
        put = world.documents.put_many
        second = iter((False, True))
        world.documents.put_many = fails_once(second, put, lambda documents: put(documents[:1]))  # type: ignore
    else:
        transact, pages = world.ops.transact, iter((False, True))
        told = fails_once(pages, transact)
        world.ops.transact = lambda path, change: (  # type: ignore[method-assign]
            told if path.startswith("arrivals/") else transact
        )(path, change)
    with pytest.raises(NotNow):
        world.run()
    world.run()
    ledger = world.ledger(MESSAGES)
    assert (ledger.days(), ledger.reported, ledger.complete) == ({"2026-01-01": 3, "2026-01-02": 2}, ROWS, True)
    assert (world.cursor(MESSAGES), state(world)["state"]) == (TODAY, "connected")


def test_hand_over_between_reports_begins_the_next_one_at_its_start(world: World):
    world.source.rows = PAGE
    world.page_seconds = SLICE_SECONDS + 1
    world.run()
    handed = world.publisher.messages[-1]
    assert isinstance(handed, SyncRequested)
    assert (handed.feed, handed.position) == (1, "")


@pytest.mark.parametrize(
    ("then", "goes_on"),
    [((0, 5, 1, 2), (REPORTS[2], "2")), ((0, 2, 1), (REPORTS[2], "2")), ((0, 1, 3), (REPORTS[3], ""))],
    ids=["one is added", "they are in another order", "the one at work is taken away"],
)
def test_reports_that_a_deployment_changes_in_mid_run_lose_nothing(
    world: World, monkeypatch: pytest.MonkeyPatch, then: tuple[int, ...], goes_on: tuple[Feed, str]
):
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:3])
    world.source.broken = (REPORTS[2].collection.name, "2")
    world.run()
    asked, world.source.broken = len(world.source.seen), None
    monkeypatch.setattr(PlayedSource, "feeds", tuple(REPORTS[number] for number in then))
    world.finish()
    report, position = goes_on
    assert world.source.seen[asked] == (report.collection.name, position)
    for number in then:
        assert world.cursor(REPORTS[number]) == (None if number == 5 else TODAY)
    world.run(run_id="run-2")
    assert world.cursor(REPORTS[then[1]]) == TODAY


# --- cursor ----------------------------------------------------------------------------------------------------------


def test_first_sync_looks_back_over_a_year(world: World):
    world.run()
    assert world.source.since == TODAY - timedelta(days=HISTORY_DAYS)


def test_first_sync_that_was_asked_for_before_midnight_moves_the_cursor(world: World):
    [run_id] = ask(world)
    world.ops.documents[f"progress/{run_id}"]["started_at"] -= timedelta(days=1)
    world.run(run_id=run_id)
    assert world.cursor() == TODAY - timedelta(days=1)


def test_next_sync_pulls_the_days_again_that_the_source_restates(world: World):
    world.run()
    assert world.cursor() == TODAY
    world.run(run_id="run-2")
    assert world.source.since == TODAY - timedelta(days=SOURCES["ga4"].restated_days)


def test_person_may_say_since_when(world: World):
    world.run(since="2026-01-01")
    assert world.source.since == date(2026, 1, 1)


def test_sync_of_few_days_leaves_no_gap_before_them(world: World):
    world.run(since=(TODAY - timedelta(days=2)).isoformat())
    world.run(run_id="run-2")
    assert world.source.since == TODAY - timedelta(days=HISTORY_DAYS)


def test_cursor_of_all_feeds_that_was_kept_once_goes_on(world: World):
    until = TODAY - timedelta(days=9)
    world.ops.documents["cursors/demo:ga4"] = {"tenant_id": "demo", "source": "ga4", "synced_until": until.isoformat()}
    world.run()
    assert set(world.source.sinces.values()) == {until - timedelta(days=SOURCES["ga4"].restated_days)}
    assert world.cursor() == TODAY


def test_cursor_of_all_feeds_goes_once_each_has_its_own_so_that_a_new_one_begins_with_its_history(
    world: World, monkeypatch: pytest.MonkeyPatch
):
    old = "cursors/demo:ga4"
    world.ops.documents[old] = {"tenant_id": "demo", "source": "ga4", "synced_until": str(TODAY - timedelta(days=9))}
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:2])
    world.source.broken, world.source.error = (FIRST, ""), Rejected("GA4 refused the request")
    world.run()
    assert old in world.ops.documents, "the first report has none of its own"
    world.source.broken = None
    world.run(run_id="run-2")
    monkeypatch.setattr(PlayedSource, "feeds", REPORTS[:3])
    world.run(run_id="run-3")
    assert world.source.sinces[REPORTS[2].collection.name] == TODAY - timedelta(days=HISTORY_DAYS)


def test_another_account_begins_with_its_history(world: World):
    world.run()
    settings = world.documents.documents["tenants/demo"]["sources"]["ga4"]
    settings["property_id"] = "properties/2"
    for run_id, days in {"run-2": HISTORY_DAYS, "run-3": SOURCES["ga4"].restated_days}.items():
        world.run(run_id=run_id)
        assert set(world.source.sinces.values()) == {TODAY - timedelta(days=days)}


def test_account_that_changes_between_two_slices_begins_with_its_history(world: World):
    world.page_seconds = SLICE_SECONDS + 1
    world.run()
    world.documents.documents["tenants/demo"]["sources"]["ga4"]["property_id"] = "properties/2"
    world.finish()
    world.run(run_id="run-2")
    assert world.source.since == TODAY - timedelta(days=HISTORY_DAYS)


def test_feeds_are_pulled_since_the_same_day_in_all_slices(world: World):
    """Somebody's sync of later days, say, moves cursors between them."""
    world.page_seconds = SLICE_SECONDS + 1
    world.run()
    for report in REPORTS:
        path = f"cursors/demo:ga4:{report.collection.name}"
        world.ops.documents[path] = {"synced_until": TODAY.isoformat(), "account": "properties/1"}
    world.finish()
    assert set(world.source.sinces.values()) == {TODAY - timedelta(days=HISTORY_DAYS)}


class Lagging:
    """A feed whose source gives a day only some days later."""

    feeds = (Feed(REPORTS[0].record, lags=True),)


@pytest.mark.parametrize(
    ("newest", "until"),
    [(0, 0), (1, 0), (2, 1), (11, 10), (90, 30), (None, 30)],
    ids=["today", "yesterday", "the day before", "late", "no more", "nothing at all"],
)
def test_cursor_waits_for_days_that_are_still_to_come_but_not_for_ever(
    world: World, monkeypatch: pytest.MonkeyPatch, newest: int | None, until: int
):
    monkeypatch.setattr(PlayedSource, "feeds", Lagging.feeds)
    world.source.rows = 0 if newest is None else 1
    world.source.days = [str(TODAY - timedelta(days=newest or 0))]
    world.run()
    assert world.cursor() == TODAY - timedelta(days=until)
    world.run(run_id="run-2")
    assert world.source.since == TODAY - timedelta(days=until + SOURCES["ga4"].restated_days)


def test_cursor_never_goes_back(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(PlayedSource, "feeds", Lagging.feeds)
    world.source.rows, world.source.days = 1, [str(TODAY - timedelta(days=2))]
    world.run()
    world.source.rows = 0
    world.run(run_id="run-2")
    assert world.cursor() == TODAY - timedelta(days=1)


def test_tenants_have_cursors_of_their_own(world: World):
    world.documents.documents["tenants/bare"]["sources"] = {"ga4": {"property_id": "properties/2"}}
    world.run()
    world.run(tenant_id="bare", run_id="run-2")
    assert world.source.since == TODAY - timedelta(days=HISTORY_DAYS)


# --- one at a time ---------------------------------------------------------------------------------------------------


def test_second_sync_of_a_source_is_asked_to_come_again(world: World):
    with world.leases.hold("sync:demo:ga4", 60), pytest.raises(Unavailable, match="running"):
        world.run()
    assert (world.source.seen, world.raw) == ([], {})
    assert "progress/run-1" not in world.ops.documents


def test_lease_is_free_again_after_success_and_after_failure(world: World):
    world.source.broken = (FIRST, "")
    with pytest.raises(Unavailable):
        world.run()
    world.source.broken = None
    world.run()
    with world.leases.hold("sync:demo:ga4", 60) as held:
        assert held


def test_lease_outlasts_a_slice():
    assert module.LEASE_SECONDS > SLICE_SECONDS + 120


# --- asking ----------------------------------------------------------------------------------------------------------


def ask(world: World, **changes: Any) -> list[str]:
    given = {"tenant_id": "demo", "source": "ga4", **changes}
    return world.sync.ask(SyncAsked.model_validate(given), "someone@demo.test").run_ids


def test_asking_notes_the_run_and_publishes_it(world: World):
    [run_id] = ask(world, since="2026-01-01")
    assert run_id.startswith("sync-ga4-demo-")
    assert world.ops.documents[f"progress/{run_id}"]["status"] == "requested"
    assert world.ops.documents[f"progress/{run_id}"]["requested_by"] == "someone@demo.test"
    [message] = world.publisher.messages
    assert message == SyncRequested(tenant_id="demo", source="ga4", since=date(2026, 1, 1), run_id=run_id)
    assert world.source.seen == []


@pytest.mark.parametrize("since", ["2999-01-01", "0001-01-01", str(TODAY - timedelta(days=REACH_DAYS + 1))])
def test_asking_since_a_day_to_come_or_long_ago_is_refused_by_its_field(world: World, since: str):
    with pytest.raises(BadRequest) as refused:
        ask(world, since=since)
    [error] = refused.value.fields["errors"]
    assert (error["field"], str(TODAY) in error["expected"]) == ("since", True)
    assert world.publisher.messages == []


def test_every_source_may_be_asked_for_its_whole_history(world: World):
    assert max(kind.history_days for kind in SOURCES.values()) <= REACH_DAYS
    assert ask(world, since=str(TODAY - timedelta(days=REACH_DAYS)))


def test_asking_for_what_a_run_that_lives_does_already_is_answered_with_that_run(world: World):
    world.page_seconds = SLICE_SECONDS + 1
    [run_id] = ask(world)
    assert ask(world) == [run_id], "requested"
    first, second = world.publisher.messages
    assert first == second, "the first may have been lost"
    world.run(run_id=run_id)
    assert ask(world) == [run_id], "between two slices"
    world.finish()
    assert ask(world) != [run_id], "it has ended"
    assert ask(world, since="2026-01-01") != ask(world)


def test_run_that_is_tried_again_by_itself_is_waited_for(world: World):
    [run_id] = ask(world)
    world.source.broken = (FIRST, "")
    with pytest.raises(Unavailable):
        world.run(run_id=run_id)
    assert ask(world) == [run_id]


def test_no_request_is_lost_to_a_run_that_died(world: World):
    [run_id] = ask(world)
    progress = world.ops.documents[f"progress/{run_id}"]
    for status, ago in (("requested", 21), ("running", 21), ("failed", 0)):
        at = datetime.now(UTC) - timedelta(minutes=ago)
        world.ops.documents[f"progress/{run_id}"] = {**progress, "status": status, "updated_at": at}
        [another] = ask(world)
        assert another != run_id
        del world.ops.documents[f"progress/{another}"]


def test_message_that_could_not_be_published_is_published_when_somebody_asks_again(world: World):
    publish, world.publisher.publish = world.publisher.publish, unreachable  # type: ignore[method-assign]
    with pytest.raises(Unavailable):
        ask(world)
    world.publisher.publish = publish  # type: ignore[method-assign]
    [run_id] = ask(world)
    assert [message.run_id for message in world.publisher.messages] == [run_id]  # type: ignore[attr-defined]


def unreachable(*given: Any) -> Any:
    raise Unavailable("Pub/Sub is not available")


def test_asking_without_a_tenant_asks_for_every_tenant_that_has_the_source(world: World):
    has = world.documents.documents["tenants/demo"]["sources"]["ga4"]
    for name, settings in {"second": has, "off": {**has, "enabled": False}, "empty": {"enabled": True}}.items():
        base = world.documents.documents["tenants/bare"]
        world.documents.documents[f"tenants/{name}"] = {**base, "tenant_id": name, "sources": {"ga4": settings}}
    run_ids = ask(world, tenant_id=None)
    messages: list[Any] = world.publisher.messages
    assert sorted(message.tenant_id for message in messages) == ["demo", "second"]
    assert [message.run_id for message in messages] == run_ids


def test_tenants_that_are_not_valid_stop_no_other_and_are_told(world: World):
    tenants = world.documents.documents
    tenants["tenants/My-Shop"] = {**tenants["tenants/demo"], "tenant_id": "My-Shop"}
    tenants["tenants/cheap"] = {**tenants["tenants/demo"], "tenant_id": "cheap", "currency": "eur"}
    tenants["tenants/away"] = {**tenants["tenants/demo"], "tenant_id": "away", "status": "suspended"}
    asked = world.sync.ask(SyncAsked(source="ga4"), "scheduler")
    messages: list[Any] = world.publisher.messages
    assert [message.tenant_id for message in messages] == ["demo"]
    assert asked.run_ids == [messages[0].run_id]
    assert asked.failed == {"cheap": "Rejected: the tenant's settings are not valid"}


def test_without_any_tenant_that_has_the_source_nothing_is_asked(world: World):
    world.documents.documents["tenants/demo"]["sources"] = {}
    assert ask(world, tenant_id=None) == []


@pytest.mark.parametrize(
    "sources",
    [{}, {"ga4": {}}, {"ga4": {"enabled": False, "property_id": "properties/1"}}],
    ids=["none", "no property", "switched off"],
)
def test_tenant_without_the_source_is_told_which_field_is_wrong(world: World, sources: dict[str, Any]):
    world.documents.documents["tenants/demo"]["sources"] = sources
    for attempt in (lambda: ask(world), world.run):
        with pytest.raises(BadRequest) as refused:
            attempt()
        lacks = "sources.ga4.property_id" if sources == {"ga4": {}} else "source"
        assert refused.value.fields["errors"][0]["field"] == lacks
    assert (world.published, world.ops.documents) == ([], {})


def test_unknown_tenant_is_refused(world: World):
    with pytest.raises(UnknownTenant):
        ask(world, tenant_id="nobody")


@pytest.mark.parametrize("missing", ["tenant_id", "run_id"])
def test_message_without_a_tenant_or_run_is_set_aside(world: World, settled: Any, missing: str):
    message = {"tenant_id": "demo", "source": "ga4", "run_id": "run-1"}
    del message[missing]
    assert handle(pushed(message), settled).status_code == 204
    assert (world.raw, settled.dead_letters.count()) == ({}, 1)


# --- the function ----------------------------------------------------------------------------------------------------


@pytest.fixture
def clients(world: World) -> Any:
    return fake_clients(
        "demo", "bare", documents=world.documents, ops=world.ops, publisher=world.publisher, sync=world.sync
    )


@pytest.fixture
def settled(world: World, clients: Any) -> Any:
    """Clients whose tenants have their settings, which `fake_clients` makes bare."""
    fresh = World()
    for path in ("tenants/demo", "tenants/bare"):
        world.documents.documents[path] = fresh.documents.documents[path]
    return clients


def test_person_is_answered_202_at_once(world: World, settled: Any):
    response = handle(posted({"source": "ga4"}, token="demo"), settled)
    assert response.status_code == 202
    assert response.get_json()["run_id"].startswith("sync-ga4-demo-")
    assert world.source.seen == []


def test_pushed_message_is_worked_and_its_repeat_ends_the_same(world: World, settled: Any):
    message = {"tenant_id": "demo", "source": "ga4", "run_id": "run-1"}
    assert handle(pushed(message), settled).status_code == 204
    raw = dict(world.raw)
    assert len(raw) == ROWS * len(REPORTS)
    assert handle(pushed(message), settled).status_code == 204
    assert world.raw == raw


def test_scheduler_that_names_no_tenant_is_answered_with_all_runs(settled: Any):
    response = handle(posted({"source": "ga4"}), settled)
    assert response.status_code == 202
    assert response.get_json()["run_id"].startswith("sync-ga4-demo-")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"tenant_id": "demo"}, "source"),
        ({"tenant_id": "demo", "source": "fax"}, "source"),
        ({"tenant_id": "demo", "source": "ga4", "since": "soon"}, "since"),
        ({"tenant_id": "demo", "source": "ga4", "offset": -1}, "offset"),
        ({"tenant_id": "demo", "source": "unheard_of"}, "source"),
        ({"tenant_id": "demo", "source": "ga4", "colour": "red"}, "colour"),
        ({"tenant_id": 7, "source": "ga4"}, "tenant_id"),
        ({"tenant_id": "bare", "source": "ga4"}, "source"),
    ],
)
def test_bad_body_is_422_and_says_which_field(world: World, settled: Any, body: dict[str, Any], field: str):
    response = handle(posted(body), settled)
    assert response.status_code == 422
    assert response.get_json()["errors"][0]["field"] == field
    assert (world.published, world.ops.documents) == ([], {})


def test_message_that_can_never_work_is_set_aside(world: World, settled: Any):
    world.source.broken, world.source.error = (FIRST, ""), CredentialsRefused("GA4 refused the credentials")
    response = handle(pushed({"tenant_id": "demo", "source": "ga4", "run_id": "run-1"}), settled)
    assert response.status_code == 204
    assert settled.dead_letters.count("demo") == 1
    assert world.published == []


def test_source_that_is_down_is_503_so_that_the_message_comes_again(world: World, settled: Any):
    world.source.broken = (FIRST, "")
    response = handle(pushed({"tenant_id": "demo", "source": "ga4", "run_id": "run-1"}), settled)
    assert response.status_code == 503
    assert settled.dead_letters.count() == 0


@pytest.mark.parametrize("field", ["run_id", "report", "offset"])
def test_who_asks_cannot_name_a_run_or_where_it_goes_on(world: World, settled: Any, field: str):
    response = handle(posted({"source": "ga4", field: 1}, token="bare"), settled)
    assert (response.status_code, orjson.loads(response.data)["errors"][0]["field"]) == (422, field)
    assert (world.published, world.ops.documents) == ([], {})


def test_report_that_does_not_exist_is_refused(world: World, settled: Any):
    message = {"tenant_id": "demo", "source": "ga4", "run_id": "run-1", "report": len(REPORTS)}
    assert handle(pushed(message), settled).status_code == 204
    assert (world.raw, settled.dead_letters.count()) == ({}, 1)
    assert world.cursor() is None


# --- one report of many is refused; credentials are refused -----------------------------------------------------------


def state(world: World) -> dict[str, Any]:
    return world.ops.documents["source_states/demo:ga4"]


def test_a_report_that_the_source_refuses_costs_no_other_and_is_due_again(world: World):
    world.source.broken, world.source.error = (FIRST, str(PAGE)), Rejected("GA4 refused the request", expected="less")
    outcome = world.run()
    assert (outcome["refused"], outcome["documents"]) == (1, ROWS * (len(REPORTS) - 1) + PAGE)
    assert "SourceSynced" in world.published
    assert (world.cursor(), world.cursor(REPORTS[1])) == (None, TODAY)
    assert world.ledger().failed == "GA4 refused the request; expected less"
    assert world.ledger().days() == {"2026-01-01": PAGE}
    assert (state(world)["state"], state(world)["message"]) == (
        "failing",
        f"{FIRST}: GA4 refused the request; expected less",
    )
    world.source.broken = None
    assert world.run(run_id="run-2")["refused"] == 0
    assert state(world)["state"] == "connected"
    assert world.cursor() == TODAY
    history, restated = timedelta(days=HISTORY_DAYS), timedelta(days=SOURCES["ga4"].restated_days)
    assert world.source.sinces == {
        report.collection.name: TODAY - (history if report is REPORTS[0] else restated) for report in REPORTS
    }


def test_two_rows_instead_of_thousands_are_seen_at_once_and_due_again(world: World):
    world.source.reported = 2_000
    world.run()
    assert state(world)["state"] == "failing"
    assert f"ga_countries: {ROWS} of 2000 rows that the source reported came" in state(world)["message"]
    assert world.cursor() is None
    world.source.reported = None
    world.run(run_id="run-2")
    assert state(world)["state"] == "connected"


def test_a_source_that_refuses_everything_is_refused(world: World):
    world.source.broken_everywhere = True
    world.source.error = Rejected("GA4 refused the request")
    with pytest.raises(Rejected):
        world.run()
    assert "SourceSynced" not in world.published


def test_refused_credentials_are_a_state_that_people_see_and_no_retry(world: World):
    world.source.broken, world.source.error = (FIRST, ""), CredentialsRefused("GA4 refused the credentials")
    with pytest.raises(CredentialsRefused):
        world.run()
    assert (state(world)["state"], state(world)["message"]) == ("refused", "GA4 refused the credentials")
    refused_since = state(world)["since"]
    with pytest.raises(CredentialsRefused):
        world.sync.check("demo", "ga4")
    assert state(world)["since"] == refused_since
    world.source.broken = None
    assert world.sync.check("demo", "ga4") == "Played"
    assert (state(world)["state"], state(world)["account"]) == ("connected", "Played")
    assert state(world).get("synced_at") is None


def test_credentials_come_from_the_secrets_of_the_tenant_and_are_in_no_repr(world: World):
    world.documents.documents["tenants/demo"]["sources"] = {"stripe": {}}
    with pytest.raises(CredentialsRefused):
        world.run(source="stripe")
    assert world.ops.documents["source_states/demo:stripe"]["state"] == "refused"
    world.secrets.held["demo_stripe"] = "sk_secret"
    pull = world.sync.pull("demo", "stripe", "run-1", TODAY, world.sync.settings("demo", "stripe"))
    assert pull.credentials == "sk_secret"
    assert "sk_secret" not in repr(pull)


class Objects(SourceRow):
    """Objects that go on changing."""

    number: int = 0
    collection = Collection("tenants/{tenant_id}/played_objects")


class PlayedObjects:
    """Port `Source`: one object; what happens while it is asked for is `meanwhile`."""

    feeds = (Feed(Objects, mutable=True),)
    meanwhile: Any = None
    number = 1

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        number = self.number
        if self.meanwhile:
            self.meanwhile()
        yield Page([("a", {"date": "2026-01-01", "number": number})], None, None)

    def check(self, pull: Pull) -> str:
        return "Played"


def test_what_a_webhook_brought_while_a_page_was_asked_for_is_newer_and_stays(world: World):
    world.source = PlayedObjects()  # type: ignore[assignment]
    path = "tenants/demo/played_objects/a"

    def webhook() -> None:
        world.documents.put(path, {"date": "2026-01-01", "number": 2, "synced_at": datetime.now(UTC)})

    world.source.meanwhile = webhook  # type: ignore[attr-defined]
    assert world.run()["unchanged"] == 1
    assert world.documents.get(path)["number"] == 2
    world.source.meanwhile, world.source.number = None, 3  # type: ignore[attr-defined]
    assert world.run(run_id="run-2")["documents"] == 1
    assert world.documents.get(path)["number"] == 3


# --- what cannot be written or read ----------------------------------------------------------------------------------


class Picky(FakeDocuments):
    """Takes no field `__src__`, as Firestore does."""

    def put(self, path: str, values: Any) -> None:
        if "__src__" in values:
            raise Rejected("Firestore refused the values")
        super().put(path, values)


@pytest.mark.parametrize("again", [False, True])
def test_documents_that_firestore_does_not_take_are_named_and_cost_no_other(
    world: World, monkeypatch: pytest.MonkeyPatch, again: bool
):
    monkeypatch.setattr(world.documents, "__class__", Picky)
    if again:
        world.run(run_id="run-0", since=str(TODAY))
    world.source.odd = {(FIRST, 1): {"__src__": 1}, (FIRST, 4): {"__src__": 1}}
    outcome = world.run()
    assert (outcome["unwritten"], outcome["refused"]) == (2, 0)
    left = {path.rpartition("/")[2] for path in world.raw if f"/{FIRST}/" in path}
    assert left >= {"row-0", "row-2", "row-3"}
    assert sum(world.ledger().days().values()) + sum(world.ledger().days_unchanged().values()) == 3
    assert world.ledger().days_unwritten() == {"2026-01-01": 1, "2026-01-02": 1}
    refused = ["row-1: Firestore refused the values", "row-4: Firestore refused the values"]
    assert world.ledger().unwritten_documents == refused
    assert (world.cursor(), state(world)["state"]) == (TODAY, "connected")


def test_slash_in_an_id_divides_no_path(world: World):
    world.source.names = {"row-0": "a/b"}
    for run_id in ("run-1", "run-2"):
        assert world.run(run_id=run_id)["removed"] == 0
    assert f"tenants/demo/{FIRST}/a%2Fb" in world.raw


def test_page_that_scout_cannot_read_is_a_bug_that_people_see(world: World):
    world.source.broken, world.source.error = (FIRST, "2"), KeyError("id")
    with pytest.raises(KeyError):
        world.run()
    assert (state(world)["state"], state(world)["message"]) == ("failing", "Scout cannot read what it gave (KeyError)")
    assert state(world)["again"]


def test_what_follows_a_sync_costs_neither_its_end_nor_its_cursor_where_it_fails(world: World):
    def fails(pull: Pull) -> dict[str, int]:
        raise ArithmeticError

    world.after["ga4"] = fails
    with pytest.raises(ArithmeticError):
        world.run()
    assert (world.published, world.cursor()) == (["SourceSynced"], TODAY)
    assert state(world)["state"] == "connected"
    asked = len(world.source.seen)
    world.after["ga4"] = lambda pull: {"keywords": 7}
    assert world.run() == {"keywords": 7}
    assert (world.published, len(world.source.seen)) == (["SourceSynced"], asked)
    assert world.ops.documents["progress/run-1"]["status"] == "done"


# --- a source that says when to come back ----------------------------------------------------------------------------


def test_source_that_says_when_to_come_back_is_not_asked_before(world: World):
    world.source.broken = (REPORTS[1].collection.name, "2")
    world.source.error = Unavailable("GA4 is not available", retry_after_seconds=3_600)
    world.run()
    assert (state(world)["state"], state(world)["again"]) == ("failing", True)
    asked, world.source.broken = len(world.source.seen), None
    for _ in range(2):
        with pytest.raises(Unavailable, match="at the earliest"):
            world.finish()
    assert len(world.source.seen) == asked
    assert state(world)["not_before"] > datetime.now(UTC)
    world.ops.documents["source_states/demo:ga4"]["not_before"] = datetime.now(UTC)
    world.finish()
    assert (state(world)["state"], state(world)["not_before"]) == ("connected", None)
    assert world.published[-1] == "SourceSynced"


@pytest.mark.parametrize("fault", ["a check", "a check of refused credentials", "no credentials"])
def test_what_fails_meanwhile_brings_that_time_no_nearer_and_hides_no_run_that_waits(world: World, fault: str):
    [run_id] = ask(world)
    world.source.broken = (FIRST, "")
    world.source.error = Unavailable("GA4 is not available", retry_after_seconds=7_200)
    with pytest.raises(Unavailable):
        world.run(run_id=run_id)
    not_before = state(world)["not_before"]
    if fault == "no credentials":
        world.sync.pull = unreachable  # type: ignore[method-assign]
        with pytest.raises(Unavailable, match="at the earliest"):
            world.run(run_id=run_id)
    else:
        refused = CredentialsRefused("GA4 refused the credentials")
        world.source.error = refused if "refused" in fault else Unavailable("GA4 is away", retry_after_seconds=1)
        with pytest.raises(type(world.source.error)):
            world.sync.check("demo", "ga4")
    assert state(world)["not_before"] >= not_before
    assert ask(world) == [run_id]


def test_a_check_does_not_prolong_the_life_of_a_run_that_died(world: World):
    [run_id] = ask(world)
    world.source.broken = (FIRST, "")
    with pytest.raises(Unavailable):
        world.run(run_id=run_id)
    world.ops.documents[f"progress/{run_id}"]["updated_at"] -= timedelta(minutes=21)
    with pytest.raises(Unavailable):
        world.sync.check("demo", "ga4")
    assert ask(world) != [run_id]
