"""Backfills over fakes: who may ask, what is planned, where a run goes on."""

from datetime import UTC, datetime, timedelta

import orjson
import pytest

from functions.backfill.main import handle
from shared.errors import BadRequest, NotFound, TenantNotProvisioned, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import DeadLetter
from shared.streaming.backfill import Backfills
from shared.streaming.backfill_turn import Means
from shared.streaming.merge import Merged
from shared.streaming.messages import BackfillAsked, BackfillRequested
from shared.streaming.parts import bounds, cut_before, moment, plan, rest_of
from shared.streaming.records import Backfill, BackfillSlice
from shared.streaming.scan import Slice
from shared.streaming.undeclared import Patterns, UndeclaredTables
from tests.fakes import FakePending, FakeScan, ScriptedWarehouse, fake_clients, posted, pushed

PATH = "tenants/demo/things"
STAGING = "aso_tenant_demo.things_backfill_"


class Warehouse(ScriptedWarehouse):
    """Every dataset but `nobody`'s exists; what a run brought is `added`."""

    def __init__(self):
        super().__init__(event_id=[{"row_count": 7}])
        self.fails = None

    def execute(self, sql, **parameters):
        if self.fails:
            raise self.fails
        return super().execute(sql, **parameters)

    def exists(self, name):
        return not name.startswith("aso_tenant_nobody")


class FakeMerger:
    def __init__(self):
        self.merged = []
        self.busy = 0

    def merge(self, record, names, *, force=False, compacting=False):
        if self.busy:
            self.busy -= 1
            raise Unavailable("another worker merges the table")
        self.merged.append((record.table.name, dict(names)))
        return Merged("", "merged")


class World:
    def __init__(self):
        self.scan, self.pending, self.warehouse, self.merger = FakeScan(), FakePending(), Warehouse(), FakeMerger()
        self.clients = fake_clients("demo", "other", warehouse=self.warehouse)
        self.ops = self.clients.ops
        self.clock = 0.0
        self.pauses = []
        self.clients.backfills = self.backfills = self.another()

    def another(self):
        """As another process would make it."""
        return Backfills(
            Means(
                scan=self.scan,
                pending=self.pending,
                warehouse=self.warehouse,
                ops=self.ops,
                leases=Leases(self.ops),
                progress=ProgressBook(self.ops),
                merger=self.merger,
                patterns=Patterns(lambda: self.ops),
                undeclared=UndeclaredTables(lambda: self.ops, lambda: self.warehouse),
                publisher=lambda: self.clients.publisher,
                clock=lambda: self.clock,
                pause=self.pauses.append,
                now=lambda: self.scan.moment("(default)"),
            )
        )

    def fill(self, number, path=PATH):
        for n in range(number):
            self.scan.put(f"{path}/thing-{n:04d}", {"n": n})

    def start(self, **asked):
        return self.backfills.start(BackfillAsked(**{"collection": PATH, **asked}))

    def staged(self):
        (table,) = self.pending.tables
        assert table.startswith(STAGING)
        return [row.document_name.rsplit("/", 1)[1] for row in self.pending.tables[table]]

    def post(self, body, token="operator"):
        response = handle(posted(body, token), self.clients)
        return response.status_code, orjson.loads(response.data or b"{}")

    def inserted(self):
        return [sql for sql, _ in self.warehouse.executed if sql.startswith("INSERT")]


@pytest.fixture
def world():
    return World()


def test_a_run_stages_every_document_once_then_takes_them_into_the_log_and_merges(world):
    world.fill(1_100)
    run = world.backfills.work(world.start(slices=4).run_id)
    assert (run.status, run.read, run.staged, run.added, run.already_there) == ("done", 1_100, 1_100, 7, 1_093)
    assert sorted(world.staged()) == [f"thing-{n:04d}" for n in range(1_100)]
    assert len(world.inserted()) == 1
    assert world.merger.merged == [("aso_tenant_{tenant_id}.things", {"tenant_id": "demo", "collection": "things"})]
    assert world.warehouse.executed[-1][0].startswith(f"DROP TABLE IF EXISTS `{STAGING}")
    progress = world.clients.progress.get(run.run_id)
    assert (progress.kind, progress.tenant_id, progress.status) == ("backfill", "demo", "done")
    assert (progress.done, progress.total) == (1_100, 1_100)


def test_rows_that_were_staged_so_long_ago_that_they_may_be_gone_are_read_again(world):
    world.fill(700)
    run = world.start(slices=1)
    world.warehouse.fails = Unavailable("busy")
    with pytest.raises(Unavailable):
        world.backfills.work(run.run_id)
    (path,) = [path for path in world.ops.documents if path.startswith("backfill_slices/")]
    assert world.ops.documents[path]["status"] == "done"
    for kept in (path, f"backfills/{run.run_id}"):
        world.ops.documents[kept]["read_at"] -= timedelta(days=8)
    world.pending.tables.clear()
    world.warehouse.fails = None
    found = world.another().work(run.run_id)
    assert (found.status, found.read, len(world.staged())) == ("done", 700, 700)


def test_a_turn_whose_time_is_up_between_tables_goes_on_with_the_next_one(world):
    for tenant in ("demo", "other"):
        world.fill(3, f"tenants/{tenant}/things")
    run = world.start(collection="tenants/{tenant_id}/things")
    turns = 0
    found = world.backfills.get(run.run_id)
    while found.status != "done":
        turns += 1
        execute = world.warehouse.execute
        world.warehouse.execute = lambda *given, execute=execute, **named: (late(world), execute(*given, **named))[1]
        found = world.another().work(run.run_id)
        world.warehouse.execute = execute
        assert turns < 9
    assert turns > 1
    assert len(world.inserted()) == 2
    assert len(world.merger.merged) == 2


def late(world):
    world.clock += 1_000


def test_a_run_that_is_done_does_nothing_more(world):
    world.fill(3)
    run = world.backfills.work(world.start().run_id)
    assert world.another().work(run.run_id) == run
    assert len(world.inserted()) == 1


def test_a_turn_whose_time_is_up_cuts_its_slice_and_the_next_one_goes_on_behind(world):
    world.fill(1_700)
    run = world.start(slices=1)
    heard = []

    def tick(done, total):
        heard.append((done, total))
        world.clock += 6

    turns = 1
    while world.another().work(run.run_id, seconds=10, heard=tick).status != "done":
        turns += 1
    run = world.backfills.get(run.run_id)
    assert turns > 1
    assert run.slice_count > 1
    assert run.read == run.staged == 1_700
    assert sorted(world.staged()) == [f"thing-{n:04d}" for n in range(1_700)]
    assert heard[-1] == (1_700, 1_700)


def test_a_read_time_that_has_passed_is_replaced_and_noted(world):
    world.fill(10)
    run = world.start(slices=2)
    pages, scan = world.scan.pages, world.scan
    asked = []

    def forgetful(stream, part, at, *arguments, **options):
        asked.append(at)
        if len(asked) == 1:
            scan.now += timedelta(hours=1)
            scan.kept_since = scan.now
        return pages(stream, part, at, *arguments, **options)

    scan.pages = forgetful
    run = world.backfills.work(run.run_id)
    assert (run.status, run.read, run.staged) == ("done", 10, 10)
    assert run.read_at == scan.kept_since
    assert len(run.notes) == 1
    assert "Firestore keeps an hour" in run.notes[0]
    assert sorted(world.staged()) == [f"thing-{n:04d}" for n in range(10)]


def test_all_slices_read_one_moment(world):
    world.fill(10)
    run = world.start(slices=2)
    pages = world.scan.pages

    def busy(stream, part, at, *arguments, **options):
        world.scan.put(f"{PATH}/thing-0000", {"n": 100})
        world.scan.put(f"{PATH}/later-{part.first[-4:]}", {"n": 100})
        return pages(stream, part, at, *arguments, **options)

    world.scan.pages = busy
    world.backfills.work(run.run_id)
    assert sorted(world.staged()) == [f"thing-{n:04d}" for n in range(10)]


def test_a_stream_that_bigquery_forgot_is_read_again(world):
    world.fill(10)
    run = world.start()
    commit = world.pending.commit
    world.pending.commit = lambda table, name: False
    assert world.backfills.work(run.run_id).status == "copying"
    world.pending.commit = commit
    run = world.another().work(run.run_id)
    assert (run.status, run.read, run.staged) == ("done", 10, 10)
    assert len(world.staged()) == 10


def test_an_error_in_one_slice_keeps_what_the_others_have_and_the_run_goes_on(world):
    world.fill(40)
    run = world.start(slices=4)
    pages = world.scan.pages

    def breaking(stream, part, at, *arguments, **options):
        if part.first.endswith("thing-0020"):
            raise Unavailable("Firestore is not available")
        return pages(stream, part, at, *arguments, **options)

    world.scan.pages = breaking
    with pytest.raises(Unavailable):
        world.backfills.work(run.run_id)
    assert world.clients.progress.get(run.run_id).status == "failed"
    assert not world.inserted()
    world.scan.pages = pages
    run = world.another().work(run.run_id)
    assert (run.status, run.read, run.staged) == ("done", 40, 40)
    assert len(world.staged()) == 40
    assert world.clients.progress.get(run.run_id).status == "done"


def test_two_processes_at_the_same_run_do_work_twice_and_lose_nothing(world):
    world.fill(3_000)
    run = world.start(slices=3)
    pages = world.scan.pages
    others = iter([world.another() for _ in range(3)])

    def crowded(*arguments, **options):
        for number, page in enumerate(pages(*arguments, **options)):
            yield page
            world.clock += 3
            other = next(others, None) if number == 0 else None
            if other is not None:
                other.work(run.run_id, seconds=4)

    world.scan.pages = crowded
    while world.another().work(run.run_id, seconds=10).status != "done":
        pass
    assert set(world.staged()) == {f"thing-{n:04d}" for n in range(3_000)}
    assert world.clients.progress.get(run.run_id).status == "done"


def test_of_two_plans_the_first_counts(world):
    world.fill(300)
    run = world.start(slices=3)
    slices, interrupted = world.scan.slices, []

    def late(*arguments):
        found = slices(*arguments)
        if not interrupted:
            interrupted.append(True)
            world.fill(400)
            world.another().work(run.run_id, seconds=0)
        return found

    world.scan.slices = late
    run = world.backfills.work(run.run_id)
    assert (run.status, run.read, run.slice_count) == ("done", 400, 3)
    assert len(world.staged()) == 400


def test_another_run_of_the_same_collection_has_to_wait_and_the_same_one_may_be_taken_up(world):
    world.fill(3)
    first, second = world.start(), world.start()
    with Leases(world.ops).hold(f"backfill:(default):{PATH.replace('/', ':')}", 600, holder=first.run_id):
        with pytest.raises(Unavailable) as error:
            world.backfills.work(second.run_id)
        assert error.value.fields == {"run_id": first.run_id}
        assert world.backfills.work(first.run_id).status == "done"


def test_a_merge_that_is_busy_is_waited_for(world):
    world.fill(1)
    world.merger.busy = 2
    assert world.backfills.work(world.start().run_id).status == "done"
    assert len(world.pauses) == 2


def test_documents_of_tenants_without_tables_are_refused_and_named(world):
    world.fill(2)
    world.fill(30, "tenants/nobody/things")
    run = world.backfills.work(world.start(collection="tenants/{tenant_id}/things").run_id)
    assert (run.read, run.staged, run.refused) == (32, 2, 30)
    assert len(run.refused_documents) == 20
    assert run.refused_documents[0].reason == "the dataset does not exist"


def test_rows_that_bigquery_refuses_are_counted_and_named(world):
    world.fill(5)
    world.pending.refuses.add(f"projects/test/databases/(default)/documents/{PATH}/thing-0002")
    run = world.backfills.work(world.start().run_id)
    assert (run.read, run.staged, run.refused) == (5, 4, 1)
    assert run.refused_documents[0].name.endswith("thing-0002")


@pytest.mark.parametrize(
    ("asked", "error"),
    [
        ({"collection": "tenants/demo"}, BadRequest),
        ({"collection": "elsewhere"}, NotFound),
        ({"collection": "tenants/nobody/things"}, TenantNotProvisioned),
        ({"since": "2026-01-01"}, BadRequest),
        ({"field": "created_at"}, BadRequest),
        ({"since": "yesterday", "field": "created_at"}, BadRequest),
    ],
)
def test_what_cannot_be_copied_is_refused_before_anything_is_done(world, asked, error):
    with pytest.raises(error):
        world.start(**asked)
    assert not world.ops.writes


# --- slices -----------------------------------------------------------------------------------------------------------


def a_run(**values):
    return Backfill(run_id="r", plan="p", collection_path=PATH, started_at=datetime(2026, 1, 1, tzinfo=UTC), **values)


def test_a_collection_is_cut_by_the_number_of_its_documents(world):
    from shared.streaming.streams import stream_of

    world.fill(100)
    at, stream = world.scan.moment(), stream_of(PATH)
    assert len(plan(a_run(documents=100), stream, world.scan, at)) == 1
    assert len(plan(a_run(documents=350_000), stream, world.scan, at)) == 8
    slices = plan(a_run(documents=100, slices_wanted=5), stream, world.scan, at)
    assert [part.slice_id for part in slices] == [f"r:p:000{n}" for n in range(5)]
    assert slices[0].low == slices[-1].high == ""
    assert all(one.high == following.low for one, following in zip(slices, slices[1:], strict=False))


def test_a_date_is_cut_by_time_and_texts_are_a_slice_of_their_own():
    at = datetime(2026, 1, 9, tzinfo=UTC)
    slices = plan(a_run(since="2026-01-01", field="at", slices_wanted=4), None, None, at)
    assert [(part.by, part.low[:10], part.high[:10]) for part in slices] == [
        ("time", "2026-01-01", "2026-01-03"),
        ("time", "2026-01-03", "2026-01-05"),
        ("time", "2026-01-05", "2026-01-07"),
        ("time", "2026-01-07", ""),
        ("text", "2026-01-01", ""),
    ]
    first, last = moment("2026-01-01"), moment("2026-01-03")
    assert bounds(slices[0], "at") == (Slice(), [("at", ">=", first), ("at", "<", last)])
    assert bounds(slices[4], "at") == (Slice(), [("at", ">=", "2026-01-01")])


def test_a_date_that_is_yet_to_come_is_one_slice():
    slices = plan(a_run(since="2027-01-01", field="at", slices_wanted=4), None, None, datetime(2026, 1, 9, tzinfo=UTC))
    assert [part.by for part in slices] == ["time", "text"]


def test_two_processes_that_cut_a_slice_in_two_places_leave_both_rests():
    part = BackfillSlice(slice_id="r:p:0000", run_id="r", plan="p", low="a", high="z")
    one, other = rest_of(part, "k"), rest_of(part, "m")
    assert one.slice_id != other.slice_id
    assert [(rest.low, rest.high) for rest in (one, other, rest_of(one, "p"))] == [("k", "z"), ("m", "z"), ("p", "z")]
    assert rest_of(one, "m").slice_id == other.slice_id


def test_a_slice_of_a_field_is_not_cut_between_equal_values(world):
    for name, value in (("a", 1), ("b", 1), ("c", 2)):
        world.scan.put(f"{PATH}/{name}", {"at": f"2026-01-0{value}"})
    root = f"projects/test/databases/(default)/documents/{PATH}"
    found = world.scan.fetch([f"{root}/{name}" for name in "abc"], "(default)")
    a, b, c = (found[f"{root}/{name}"] for name in "abc")
    part = BackfillSlice(slice_id="r:p:0", run_id="r", plan="p", by="text", low="2026-01-01")
    assert cut_before(part, "at", a, b) is None
    assert cut_before(part, "at", b, c) == "2026-01-02"
    assert cut_before(part.model_copy(update={"by": "name"}), None, a, b) == f"{root}/b"


# --- the function -----------------------------------------------------------------------------------------------------


def test_a_request_is_accepted_and_goes_on_by_messages(world):
    world.fill(3)
    status, body = world.post({"collection": PATH})
    assert status == 202
    run_id = body["run_id"]
    assert world.clients.publisher.messages == [BackfillRequested(run_id=run_id)]
    assert world.clients.progress.get(run_id).status == "requested"
    response = handle(pushed({"run_id": run_id}), world.clients)
    assert response.status_code == 204
    assert world.backfills.get(run_id).status == "done"
    again = handle(pushed({"run_id": run_id}), world.clients)
    assert again.status_code == 204
    assert len(world.inserted()) == len(world.clients.publisher.messages) == 1


def test_a_turn_that_is_not_the_last_asks_for_the_next(world):
    world.fill(1_700)
    _, body = world.post({"collection": PATH, "slices": 1})
    pages = world.scan.pages

    def slow(*arguments, **options):
        for page in pages(*arguments, **options):
            yield page
            world.clock += 500

    world.scan.pages = slow
    handle(pushed(body), world.clients)
    assert world.clients.publisher.messages == [BackfillRequested(run_id=body["run_id"])] * 2


def test_a_dry_run_answers_the_estimate_and_copies_nothing(world):
    world.fill(30)
    status, body = world.post({"collection": PATH, "dry_run": True})
    assert status == 200
    assert (body["documents"], body["rows"], body["slices"]) == (30, 30, 1)
    assert body["bytes"] > 30 * 100
    assert body["costs"][0]["price"]["usd"] == 0.06
    assert not world.ops.writes
    assert not world.clients.publisher.messages


def test_the_estimate_knows_the_size_of_rows_of_many_tenants(world):
    world.fill(10)
    world.fill(10, "tenants/other/things")
    expected = world.backfills.estimate(BackfillAsked(collection="tenants/{tenant_id}/things"))
    assert expected.documents == 20
    assert expected.bytes > 20 * 100


def test_a_tenant_may_name_collections_of_its_own_only(world):
    assert world.post({"collection": PATH}, "demo")[0] == 202
    assert world.post({"collection": PATH}, "other")[0] == 403
    assert world.post({"collection": "tenants/{tenant_id}/things"}, "demo")[0] == 403
    assert world.post({"collection": "tenants/demotoo/things", "dry_run": True}, "demo")[0] == 403
    # A group lies anywhere, whatever path names it.
    world.ops.put("streams/items", {"pattern": {"path": "{path=**}/items", "table": "export.items"}})
    assert world.post({"collection": "tenants/demo/items", "dry_run": True}, "demo")[0] == 403
    assert world.post({"collection": "tenants/demo/items", "tenant_id": "demo", "dry_run": True})[0] == 403
    assert world.post({"collection": PATH}, None)[0] == 401


def test_what_is_wrong_is_said_with_the_field(world):
    status, body = world.post({"collection": PATH, "slices": -1})
    assert status == 422
    assert body["errors"][0]["field"] == "slices"
    assert world.post({})[0] == 422


def test_a_message_that_names_no_run_is_set_aside(world):
    assert handle(pushed({"run_id": "none"}), world.clients).status_code == 204
    (letter,) = [values for path, values in world.ops.documents.items() if path.startswith("dead_letters/")]
    assert DeadLetter.model_validate(letter).reason == "NotFound"


def test_firestore_that_is_down_is_tried_again(world):
    world.fill(3)
    _, body = world.post({"collection": PATH})
    world.scan.down = True
    assert handle(pushed(body), world.clients).status_code == 503
    world.scan.down = False
    assert handle(pushed(body), world.clients).status_code == 204
    assert world.backfills.get(body["run_id"]).status == "done"
