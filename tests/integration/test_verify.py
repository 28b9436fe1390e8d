"""Comparing and repairing on the real stores: differences of every kind, made by hand, are found and mended exactly."""

import asyncio
import itertools
import subprocess
import sys
import time
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import orjson
import pytest
from google.cloud import firestore

from functions.reconcile.main import handle
from infra.local.cloud import LocalCloud
from shared.comparison.messages import ReconcileAsked, ReconcileRequested
from shared.comparison.records import Verification
from shared.comparison.verification import Verifications
from shared.errors import Forbidden, Unavailable
from shared.runtime.auth import Caller
from shared.runtime.clients import Clients
from shared.schema.record import Undeclared
from shared.settings import Settings
from shared.sources.records import GaPagePerformance
from shared.streaming import verify
from shared.streaming.change import Change, read_document
from shared.streaming.reconcile import Reconciler
from shared.streaming.records import StreamPattern
from shared.streaming.repair import Repairer
from shared.streaming.scan import Slice
from shared.streaming.service import row_of
from shared.streaming.streams import Stream, stream_of
from shared.streaming.tables import exact_view, provision, view_name
from shared.streaming.undeclared import learned_columns
from shared.streaming.verify import StreamComparand
from tests.fakes import OPERATOR, FakePublisher, FakeVerifier, posted, pushed
from tests.support.processes import ROOT
from tests.support.streaming import Note

numbers = itertools.count()
PAGE = {
    "source": "ga4", "date": "2026-03-01", "sync_run_id": "run", "synced_at": datetime(2026, 3, 1, tzinfo=UTC),
    "property_id": "properties/1", "sampled": False, "thresholded": False, "page_path": "/", "sessions": 3,
    "engaged_sessions": 2, "total_users": 1, "screen_page_views": 1, "key_events": 0.5, "purchase_revenue": 2.0,
}  # fmt: skip


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    nothing, state = tmp_path_factory.mktemp("functions"), tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment, LocalCloud(state, nothing) as cloud:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield cloud


def batched(items, size):
    items = list(items)
    return [items[start : start + size] for start in range(0, len(items), size)]


class Death:
    """What a repair dies of: the first call of one method of one thing, of those whose arguments contain a word."""

    def __init__(self, at):
        self._at = at

    def of(self, part, thing, method, word=""):
        if part != self._at:
            return thing
        return Dying(thing, method, word)


class Dying:
    def __init__(self, thing, method, word):
        self._thing, self._method, self._word = thing, method, word

    def __getattr__(self, name):
        found = getattr(self._thing, name)
        if name != self._method:
            return found

        def call(*arguments, **named):
            if self._word in str(arguments):
                raise Unavailable("it died")
            return found(*arguments, **named)

        return call


class Lab:
    """A tenant of its own, whose documents are streamed when the test says so."""

    def __init__(self, cloud):
        self.tenant = f"t{next(numbers)}{uuid.uuid4().hex[:6]}"
        self.dataset = f"aso_tenant_{self.tenant}"
        self.publisher = FakePublisher()
        callers = {name: Caller(f"{name}@x.test", name, False) for name in (self.tenant, "other")}
        verifier = FakeVerifier(operator=OPERATOR, **callers)
        self.clients = Clients(Settings(), publisher=self.publisher, verifier=verifier)
        self.warehouse, self.ops = self.clients.warehouse, self.clients.ops
        self.store = firestore.Client()
        self.sleeps = []
        self.hooks = []
        self.warehouse.ensure_dataset(self.dataset)
        self.clients.documents.put(f"tenants/{self.tenant}", {"tenant_id": self.tenant})

    def path(self, collection):
        return f"tenants/{self.tenant}/{collection}"

    def put(self, documents):
        for some in batched(documents.items(), 400):
            batch = self.store.batch()
            for path, values in some:
                batch.set(self.store.document(self.path(path)), values)
            batch.commit()

    def stream(self, collection, only=None):
        """Write the rows of a collection's documents as they are now."""
        stream = stream_of(self.path(collection), patterns=self.clients.patterns.load())
        pages = self.clients.scan.pages(stream, Slice(), self.clients.scan.moment())
        documents = [one for page in pages for one in page if only is None or one.name.rsplit("/", 1)[-1] in only]

        if issubclass(stream.record, Undeclared):
            self.clients.undeclared_tables.learn(stream.record, stream.names, frozenset())
        else:
            provision(self.warehouse, stream.record, stream.names)
        self.append(stream, documents)
        return stream

    def append(self, stream, documents):
        async def write():
            changes = [read_document(document, "copy") for document in documents]
            writer = self.clients.writer()
            rows = [row_of(change, stream.record, stream.names_of(change.path)) for change in changes]
            await asyncio.gather(*map(writer.write, rows))
            writer.close()

        asyncio.run(write())

    def merge(self, stream):
        """Merge, and take what was merged out of the tail, as ten minutes later."""
        self.clients.merger.merge(stream.record, stream.names, force=True)
        name, now = view_name(stream.record, self.dataset), datetime.now(UTC)
        self.ops.put(f"merges/{name}", {**self.ops.get(f"merges/{name}"), "tail_from": now})
        self.warehouse.ensure_view(name, exact_view(stream.record, self.dataset, now, learned_columns(self.ops, name)))

    @property
    def verifications(self):
        return Verifications(self.ops, self.clients.progress)

    def book(self):
        """Verifications in whose time sleeping passes at once."""

        def now():
            return datetime.now(UTC) + timedelta(seconds=sum(self.sleeps))

        def slept(seconds):
            self.sleeps.append(seconds)
            for hook in self.hooks:
                hook()

        return Verifications(self.ops, self.clients.progress, now, slept)

    def repairer(self, dying_at="", pause=time.sleep):
        clients, death = self.clients, Death(dying_at)
        return Repairer(
            lambda: death.of("append", clients.writer(), "write"),
            death.of("log", death.of("base", self.warehouse, "execute", "_base"), "execute", "_raw_changelog"),
            clients.leases,
            death.of("mark", self.verifications, "put"),
            clients.progress,
            clients.undeclared_tables,
            sleep=pause,
        )

    def reconciler(self, scan=None, dying_at="", pause=time.sleep):
        clients = self.clients
        parts = (scan or clients.scan, self.warehouse, self.ops, clients.progress, clients.leases, self.publisher)
        return Reconciler(*parts, self.book(), self.repairer(dying_at, pause), clients.patterns.load)

    def compare(self, stream, repair=False):
        """Compare a stream of a record that only the tests declare."""
        run_id, now = f"run-{uuid.uuid4().hex[:8]}", datetime.now(UTC)
        verification = Verification(
            run_id=run_id, subject="", repair=repair, settle_seconds=0, started_at=now, updated_at=now, expires_at=now
        )
        comparand = StreamComparand(self.clients.scan, self.warehouse, self.ops, stream, run_id)
        found = self.book().carry_on(self.verifications.start(verification), comparand)
        return self.repairer().repair(found, comparand) if repair else found

    def verify(self, collection, repair=False, settle=0.0, scan=None):
        reconciler = self.reconciler(scan)
        asked = ReconcileAsked(collection=self.path(collection), repair=repair, settle_seconds=settle)
        run_id = f"run-{uuid.uuid4().hex[:8]}"
        reconciler.start(run_id, asked, self.tenant, "test")
        found = reconciler.carry_on(run_id)
        while found.status != "done":
            found = reconciler.carry_on(run_id)
        return found

    def differences(self, run):
        found = self.verifications.differences(run.run_id)
        return {one.key.split(f"{self.tenant}/")[-1]: one.kind for one in found}

    def sql(self, statement, **parameters):
        return self.warehouse.execute(statement.replace("$", self.dataset), **parameters)

    def view(self, table, columns="document_id, version"):
        sql = f"SELECT {columns} FROM `{self.dataset}.{table}` ORDER BY document_name"
        return [tuple(row.values()) for row in self.warehouse.query(sql)]

    def micros(self, path):
        at = self.store.document(self.path(path)).get().update_time
        return datetime.fromtimestamp(0, UTC) + timedelta(microseconds=int(at.timestamp_pb().ToMicroseconds()))


@pytest.fixture
def lab(cloud):
    return Lab(cloud)


def test_equal_stores_are_equal_whatever_they_hold(lab):
    hard = {
        "whole": 2, "double": 2.0, "big": 9007199254740993, "nan": float("nan"), "zero": -0.0, "bytes": b"\x00\xff",
        "at": datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC), "none": None, "empty": {}, "list": [1, {"b": 1}],
        "point": firestore.GeoPoint(1.0, 2.0), "ü": "😀", "map": {"_seconds": 1, "_nanoseconds": 2},
    }  # fmt: skip
    lab.put({f"things/{name}": hard for name in ("a", "b-c", "ä", "😀", "B", "1")})
    stream = lab.stream("things")
    assert lab.verify("things").counts == {"equal": 6}
    lab.merge(stream)
    assert lab.verify("things").counts == {"equal": 6}
    assert lab.sleeps == []


@pytest.mark.parametrize("merged", [False, True])
def test_each_kind_of_difference_is_found_and_repaired_and_nothing_else(lab, merged):
    lab.put({f"things/{number:04}": {"n": number, "v": 1} for number in range(1, 121)})
    lab.store.document(lab.path("things/0005")).set({"n": 5, "v": 0})
    lab.stream("things", only={"0005"})
    lab.store.document(lab.path("things/0005")).set({"n": 5, "v": 1})
    stream = lab.stream("things", only={f"{number:04}" for number in range(1, 121)} - {"0005", "0110"})
    for number in (3, 80):
        lab.store.document(lab.path(f"things/{number:04}")).delete()
    if merged:
        lab.merge(stream)
        tables = ("things_base", "things_raw_changelog")
    else:
        tables = ("things_raw_changelog",)
    for table in tables:
        lab.sql(f"DELETE FROM `$.{table}` WHERE document_id IN ('0002', '0070')")
        lab.sql(f"UPDATE `$.{table}` SET data = '{{\"n\":4,\"v\":7}}' WHERE document_id = '0004'")
        # The same document, only written otherwise.
        lab.sql(f"UPDATE `$.{table}` SET data = '{{\"v\": 1, \"n\": 6}}' WHERE document_id = '0006'")
        lab.sql(f"UPDATE `$.{table}` SET version = TIMESTAMP '2099-01-01 00:00:00+00' WHERE document_id = '0007'")
        lab.sql(f"UPDATE `$.{table}` SET data = NULL, deleted = TRUE WHERE document_id = '0008'")
    expected = {
        "things/0002": "missing", "things/0070": "missing", "things/0110": "missing", "things/0008": "missing",
        "things/0003": "extra", "things/0080": "extra", "things/0004": "different", "things/0007": "different",
        "things/0005": "stale",
    }  # fmt: skip
    found = lab.verify("things")
    assert lab.differences(found) == expected
    assert found.counts == {"equal": 120 - 9, **Counter(expected.values())}

    untouched = dict(lab.view("things"))
    repaired = lab.verify("things", repair=True)
    assert repaired.repairs == {"repaired": 9}
    log = f"`{lab.dataset}.things_raw_changelog`"
    written = lab.warehouse.query(f"SELECT document_id, operation FROM {log} WHERE event_id LIKE 'repair:%'")
    assert {row["document_id"] for row in written} == {path.removeprefix("things/") for path in expected}
    assert Counter(row["operation"] for row in written) == {"IMPORT": 7, "DELETE": 2}
    assert lab.verify("things").counts == {"equal": 118}

    view = dict(lab.view("things"))
    assert all(view[name] == version for name, version in untouched.items() if f"things/{name}" not in expected)
    lab.merge(stream)
    assert dict(lab.view("things")) == view
    assert lab.verify("things").counts == {"equal": 118}


def test_refused_documents_stay_visible_and_those_that_are_valid_by_now_are_taken(lab):
    lab.put({f"ga_page_performance/p{number}": {**PAGE, "tenant_id": lab.tenant} for number in range(20)})
    lab.put({"ga_page_performance/bad": {**PAGE, "tenant_id": lab.tenant, "sessions": "many"}})
    stream = lab.stream("ga_page_performance")
    lab.merge(stream)
    lab.sql("DELETE FROM `$.ga_page_performance_base` WHERE document_id = 'p3'")
    lab.sql("UPDATE `$.ga_page_performance_base` SET refused_reason = 'not valid once' WHERE document_id = 'p4'")
    lab.put({"ga_page_performance/bad2": {**PAGE, "tenant_id": lab.tenant, "sessions": "more"}})
    found = lab.verify("ga_page_performance")
    expected = {"p3": "missing", "p4": "different", "bad": "refused", "bad2": "missing"}
    assert lab.differences(found) == {f"ga_page_performance/{name}": kind for name, kind in expected.items()}
    repaired = lab.verify("ga_page_performance", repair=True)
    assert repaired.repairs == {"repaired": 2, "kept": 2}
    again = lab.verify("ga_page_performance")
    assert again.counts == {"equal": 20, "refused": 2}
    assert len(lab.view("ga_page_performance", "document_name")) == 20
    [one, _] = lab.verifications.differences(again.run_id)
    assert (one.reason, "many" in one.reason) == (one.reason, False)
    assert "sessions" in one.reason


def test_a_document_that_is_in_the_base_twice_is_found_and_is_there_once_afterwards(lab):
    lab.put({f"things/{name}": {"n": 1} for name in "abc"})
    stream = lab.stream("things")
    lab.merge(stream)
    columns = "timestamp, event_id, document_name, document_id, operation, data, version, deleted, appended_at"
    lab.sql(f"INSERT INTO `$.things_base` ({columns}) SELECT {columns} FROM `$.things_base` WHERE document_id = 'b'")
    assert len(lab.view("things")) == 4
    found = lab.verify("things", repair=True)
    assert (lab.differences(found), found.repairs) == ({"things/b": "different"}, {"repaired": 1})
    assert len(lab.view("things")) == 3
    assert lab.verify("things").counts == {"equal": 3}


def test_a_collection_of_which_nothing_ever_arrived_is_missing_and_gets_its_tables(lab):
    lab.put({f"things/{number}": {"n": number} for number in range(30)})
    found = lab.verify("things", repair=True)
    assert (found.counts, found.repairs) == ({"missing": 30}, {"repaired": 30})
    assert lab.view("things", "document_id, n")[:2] == [("0", 0), ("1", 1)]


def test_what_is_written_while_it_is_compared_is_no_difference(lab):
    lab.put({f"things/{number:04}": {"n": number} for number in range(60)})
    stream = lab.stream("things")

    class Busy:
        """Firestore, in which documents change before and behind the place that is read."""

        def __init__(self, scan):
            self._scan = scan

        def __getattr__(self, name):
            return getattr(self._scan, name)

        def pages(self, *arguments):
            for number, page in enumerate(self._scan.pages(*arguments)):
                live = {f"{place:04}" for place in range(number, 60, 25)} | {f"new-{number}", f"1-{number}"}
                lab.put({f"things/{name}": {"n": -number} for name in live})
                if number % 2:
                    lab.stream("things", only=live)  # at once; the others arrive while the comparison settles
                lab.store.document(lab.path(f"things/{40 + number}")).delete()
                yield page

    def arrive():
        lab.stream("things")
        for name in missing():
            tombstone(lab, stream, name)

    def missing():
        here = {one.id for one in lab.store.collection(lab.path("things")).list_documents()}
        return [name for name, _ in lab.view("things") if name not in here]

    # In the tail before the snapshot of BigQuery is made: rows that Firestore's snapshot does not know.
    early = lab.clients.scan
    lab.hooks.append(arrive)
    found = lab.verify("things", settle=60.0, scan=Busy(early))
    assert lab.differences(found) == {}
    assert sum(found.counts.values()) >= 60
    arrive()
    assert set(lab.verify("things").counts) == {"equal"}


def test_a_row_on_its_way_is_waited_for_and_a_lost_one_is_reported(lab):
    lab.put({f"things/{number}": {"n": number} for number in range(10)})
    lab.stream("things", only={str(number) for number in range(8)})
    lab.hooks.append(lambda: lab.stream("things", only={"8"}))
    found = lab.verify("things", settle=60.0)
    assert lab.differences(found) == {"things/9": "missing"}
    assert found.counts == {"equal": 9, "missing": 1}
    assert len(lab.sleeps) == 1
    assert 55 < lab.sleeps[0] <= 60


def tombstone(lab, stream, name):
    """The row of a delete whose event arrives now."""
    [row] = lab.warehouse.query(
        f"SELECT document_name, UNIX_MICROS(version) AS version FROM `{lab.dataset}.things` WHERE document_id = @name",
        name=name,
    )
    change = Change(
        event_id="delete", document_name=row["document_name"], database="(default)", path=lab.path(f"things/{name}"),
        operation="DELETE", version=row["version"], deleted=True, timestamp=row["version"] + 1, created=1,
        fields=None, old_fields={},
    )  # fmt: skip

    async def write():
        writer = lab.clients.writer()
        await writer.write(row_of(change, stream.record, stream.names))
        writer.close()

    asyncio.run(write())


def test_keys_of_a_group_are_in_one_order_on_both_sides(lab, monkeypatch):
    monkeypatch.setattr(verify, "ROWS", 10)
    ids = ["a", "a-b", "a b", "a.b", "B", "ä", "zz", "0"]
    lab.put({f"orders/{order}/items/{item}": {"n": 1} for order in ids for item in ids})
    lab.put({f"orders/{order}": {"n": 1} for order in ids})
    stream = lab.stream("orders/{order_id}/items")
    comparand = StreamComparand(lab.clients.scan, lab.warehouse, lab.ops, stream, "order")
    left, right = comparand.open(comparand.moment())
    keys = [entry.key for page in left.pages("") for entry in page]
    assert len(keys) == 64
    assert [entry.key for page in right.pages("") for entry in page] == keys
    # Each page reads a partition of its own: the table is not read again for each.
    sizes = lab.warehouse.query(f"SELECT bucket, COUNT(*) AS n FROM `{comparand.fingerprints}` GROUP BY bucket")
    assert len(sizes) >= 5
    assert max(row["n"] for row in sizes) <= 2 * verify.ROWS
    for index in (0, 7, 8, 30, 62, 63):
        for side in (left, right):
            assert [entry.key for page in side.pages(keys[index]) for entry in page] == keys[index + 1 :]
    comparand.close()
    assert not lab.warehouse.exists(comparand.fingerprints)
    assert not lab.warehouse.exists(verify.edges_of(comparand.fingerprints))
    assert lab.verify("orders/{order_id}/items").counts == {"equal": 64}
    # One of them alone: rows of the others, in the same table, are not its.
    assert lab.verify("orders/a-b/items").counts == {"equal": 8}
    lab.sql("DELETE FROM `$.orders__items_raw_changelog` WHERE document_id = 'a.b'")
    assert lab.verify("orders/a-b/items").counts == {"equal": 7, "missing": 1}
    assert lab.verify("orders/{order_id}/items", repair=True).repairs == {"repaired": 8}
    assert lab.verify("orders/{order_id}/items").counts == {"equal": 64}


def test_a_group_that_may_lie_anywhere(lab):
    name = f"remarks_{lab.tenant}"
    pattern = {"path": f"{{path=**}}/{name}", "table": f"{lab.dataset}.remarks"}
    note = StreamPattern(stream_id=name, pattern=pattern, created_at=datetime.now(UTC))
    lab.ops.put(f"streams/{name}", note.document())
    places = [f"{name}/1", f"a/x/{name}/1", f"a/x/b/y/{name}/2", f"a-b/x/{name}/3"]
    for place in places:
        lab.store.document(place if place.startswith(name) else lab.path(place)).set({"n": 1})
    stream = stream_of(name, patterns=lab.clients.patterns.load())
    lab.clients.undeclared_tables.learn(stream.record, stream.names, frozenset())
    reconciler = lab.reconciler()
    reconciler.start("anywhere-" + name, ReconcileAsked(collection=name, repair=True, settle_seconds=0), None, "test")
    found = reconciler.carry_on("anywhere-" + name)
    assert (found.counts, found.repairs) == ({"missing": 4}, {"repaired": 4})
    reconciler.start("again-" + name, ReconcileAsked(collection=name, settle_seconds=0), None, "test")
    assert reconciler.carry_on("again-" + name).counts == {"equal": 4}
    asked = ReconcileAsked(tenant_id=lab.tenant, collection=lab.path(f"a/x/{name}"))
    with pytest.raises(Forbidden):
        reconciler.ask(asked, list, "someone")


def test_pages_of_large_rows_hold_few_of_them(lab, monkeypatch):
    monkeypatch.setattr(verify, "LETTERS", 2_500)
    lab.put({f"things/{number}": {"text": "x" * 1_000} for number in range(8)})
    stream = lab.stream("things")
    lab.sql("UPDATE `$.things_raw_changelog` SET schema_version = NULL WHERE TRUE")
    comparand = StreamComparand(lab.clients.scan, lab.warehouse, lab.ops, stream, "large")
    left, right = comparand.open(comparand.moment())
    assert [len(page) for page in right.pages("")] == [3, 3, 2]
    keys = [entry.key for page in left.pages("") for entry in page]
    assert [entry.key for page in right.pages("") for entry in page] == keys
    comparand.close()


def test_of_firestore_few_documents_are_held_at_once(lab):
    lab.put({f"things/{number:02}": {"n": number} for number in range(35)})
    stream, held = lab.stream("things"), []

    class Watched:
        """Firestore, noting how many documents it gives at once."""

        def pages(self, *arguments):
            for page in lab.clients.scan.pages(*arguments):
                held.append(len(page))
                yield page

        def fetch(self, names, database):
            held.append(len(names))
            return lab.clients.scan.fetch(names, database)

    comparand = StreamComparand(Watched(), lab.warehouse, lab.ops, stream, "few")
    left, _ = comparand.now()
    left.read_at = lab.clients.scan.moment()
    keys = [entry.key for page in left.pages("") for entry in page]
    assert [key for key, _ in left.fetch(keys)] == keys
    assert (len(keys), max(held), sum(held)) == (35, 10, 70)


def test_rows_of_the_extension_are_compared_by_what_it_keeps(lab):
    document = {"n": 2.0, "big": 9007199254740993, "bytes": b"x", "nan": float("nan"), "list": [b"x", 1]}
    lab.put({f"things/{name}": document for name in "abcd"})
    stream = lab.stream("things")
    lab.merge(stream)
    adopted = (
        "UPDATE `$.things_base` SET schema_version = NULL, version = TIMESTAMP '1976-01-01 00:00:00+00', data = @data "
        "WHERE document_id IN UNNEST(@ids)"
    )
    theirs = '{"nan":null,"n":2,"list":[1],"big":9007199254740992}'
    lab.sql(adopted, data=theirs, ids=["a", "b"])
    lab.sql(adopted, data=theirs.replace("2,", "3,"), ids=["c"])
    lab.sql(adopted, data="no JSON", ids=["d"])
    lab.sql("DELETE FROM `$.things_raw_changelog` WHERE TRUE")
    found = lab.verify("things", repair=True)
    assert lab.differences(found) == {"things/c": "stale", "things/d": "stale"}
    assert (found.counts, found.repairs) == ({"equal": 2, "stale": 2}, {"repaired": 2})
    assert lab.verify("things").counts == {"equal": 4}


def test_what_its_retention_removes_is_no_difference_and_is_not_brought_back(lab):
    retention = GaPagePerformance.table.retention_days
    old = (datetime.now(UTC) - timedelta(days=retention + 1)).date().isoformat()
    today = datetime.now(UTC).date().isoformat()
    for name, day in (("old", old), ("kept", old), ("lost", today), ("new", today)):
        lab.put({f"ga_page_performance/{name}": {**PAGE, "tenant_id": lab.tenant, "date": day}})
    lab.stream("ga_page_performance")
    lab.sql("DELETE FROM `$.ga_page_performance_raw_changelog` WHERE document_id IN ('old', 'lost')")
    found = lab.verify("ga_page_performance", repair=True)
    assert found.counts == {"equal": 2, "aged_out": 1, "missing": 1}
    assert lab.differences(found) == {"ga_page_performance/lost": "missing"}
    assert len(lab.view("ga_page_performance", "document_name")) == 3


def test_a_document_that_expired_stays_in_analytics_and_one_that_was_deleted_does_not(lab):
    stream = Stream(Note, {"tenant_id": lab.tenant}, "(default)", f"tenants/{lab.tenant}", "notes", False)
    provision(lab.warehouse, Note, stream.names)
    past, future = datetime(2026, 1, 1, tzinfo=UTC), datetime(2099, 1, 1, tzinfo=UTC)
    note = {"note_id": "a", "title": "One", "day": "2026-01-05"}
    lab.put({f"notes/{name}": {**note, "expires_at": until} for name, until in (("gone", past), ("deleted", future))})
    pages = lab.clients.scan.pages(stream, Slice(), lab.clients.scan.moment())
    lab.append(stream, [document for page in pages for document in page])
    for name in ("gone", "deleted"):
        lab.store.document(lab.path(f"notes/{name}")).delete()
    found = lab.compare(stream, repair=True)
    assert (found.counts, found.repairs) == ({"aged_out": 1, "extra": 1}, {"repaired": 1})
    assert [row[0].rsplit("/", 1)[-1] for row in lab.view("notes", "document_name")] == ["gone"]
    # The tombstone has the last data, and the partition by which a merge finds the row.
    [row] = lab.warehouse.query(
        f"SELECT old_data, day, deleted FROM `{lab.dataset}.notes_raw_changelog` WHERE operation = 'DELETE'"
    )
    assert (str(row["day"]), row["deleted"], "One" in row["old_data"]) == ("2026-01-05", True, True)
    assert lab.compare(stream).counts == {"aged_out": 1}


@pytest.mark.parametrize("crash_at", ["log", "base", "mark"])
def test_a_repair_that_dies_anywhere_is_finished_by_the_next(lab, crash_at):
    lab.put({f"things/{name}": {"n": 1} for name in "abcd"})
    stream = lab.stream("things")
    lab.merge(stream)
    lab.store.document(lab.path("things/d")).delete()
    for table in ("things_base", "things_raw_changelog"):
        lab.sql(f"UPDATE `$.{table}` SET data = '{{\"n\":7}}' WHERE document_id IN ('a', 'b')")
        lab.sql(f"DELETE FROM `$.{table}` WHERE document_id = 'c'")
    found = lab.verify("things")
    expected = {"things/a": "different", "things/b": "different", "things/c": "missing", "things/d": "extra"}
    assert lab.differences(found) == expected
    reconciler = lab.reconciler(dying_at=crash_at)
    with pytest.raises(Unavailable):
        reconciler.repair(found.run_id)
    assert lab.reconciler().repair(found.run_id).repairs.keys() <= {"repaired", "gone"}
    assert lab.verify("things").counts == {"equal": 3}
    assert lab.view("things", "document_id, n") == [("a", 1), ("b", 1), ("c", 1)]
    lab.merge(stream)
    assert lab.view("things", "document_id, n") == [("a", 1), ("b", 1), ("c", 1)]
    # And once more: nothing is left to do.
    assert lab.reconciler().repair(found.run_id).counts == found.counts
    assert lab.view("things", "document_id, n") == [("a", 1), ("b", 1), ("c", 1)]


def test_a_repair_takes_no_row_away_beside_a_merge(lab):
    lab.put({"things/a": {"n": 1}})
    lab.stream("things")
    lab.sql("UPDATE `$.things_raw_changelog` SET data = '{\"n\":7}' WHERE TRUE")
    found, view = lab.verify("things"), f"{lab.dataset}.things"
    pauses = []
    with lab.clients.leases.hold(f"merge:{view}", 600), pytest.raises(Unavailable):
        lab.reconciler(pause=pauses.append).repair(found.run_id)
    assert len(pauses) > 1
    assert lab.reconciler().repair(found.run_id).repairs == {"repaired": 1}
    assert lab.view("things", "document_id, n") == [("a", 1)]


def test_a_repair_never_overwrites_what_is_newer_by_now(lab):
    lab.put({f"things/{name}": {"n": 1} for name in "abc"})
    lab.stream("things", only={"c"})
    lab.store.document(lab.path("things/c")).delete()
    found = lab.verify("things")
    assert lab.differences(found) == {"things/a": "missing", "things/b": "missing", "things/c": "extra"}
    # Meanwhile: one arrives by itself, one is deleted, one lives again.
    lab.put({"things/a": {"n": 2}, "things/c": {"n": 3}})
    lab.store.document(lab.path("things/b")).delete()
    lab.stream("things", only={"a"})
    repaired = lab.reconciler().repair(found.run_id)
    assert repaired.repairs == {"gone": 2, "repaired": 1}
    assert lab.view("things", "document_id, n") == [("a", 2), ("c", 3)]


def test_the_function_compares_in_slices_repairs_and_a_repeat_is_harmless(lab):
    lab.put({f"things/{number:03}": {"n": number} for number in range(20)})
    lab.stream("things", only={f"{number:03}" for number in range(18)})
    body = {"collection": lab.path("things"), "repair": True, "settle_seconds": 0}
    answer = handle(posted(body, token=lab.tenant), lab.clients)
    assert answer.status_code == 202
    [message] = lab.publisher.messages
    assert isinstance(message, ReconcileRequested)
    assert message.run_id == answer.json["run_id"]
    while lab.publisher.messages:
        message = lab.publisher.messages.pop()
        assert handle(pushed(message.model_dump(mode="json")), lab.clients).status_code == 204
    found = lab.clients.reconciler.get(message.run_id)
    assert (found.status, found.repairs, found.tenant_id) == ("done", {"repaired": 2}, lab.tenant)
    assert handle(pushed(message.model_dump(mode="json")), lab.clients).status_code == 204
    assert lab.clients.reconciler.get(message.run_id).updated_at == found.updated_at
    assert len(lab.view("things")) == 20
    with lab.clients.leases.hold(f"verify:{message.run_id}", 60):
        assert handle(pushed(message.model_dump(mode="json")), lab.clients).status_code == 503


def test_every_stream_is_compared_each_day_and_a_tenant_names_only_its_own(lab):
    lab.put({"things/a": {"n": 1}})
    lab.stream("things")
    answer = handle(posted({}, token=lab.tenant), lab.clients)
    assert answer.status_code == 202
    runs = [lab.clients.reconciler.get(message.run_id) for message in lab.publisher.messages]
    subjects = {run.subject for run in runs}
    assert {lab.path("things"), lab.path("opportunities"), lab.path("ga_page_performance")} <= subjects
    assert {run.tenant_id for run in runs} == {lab.tenant}
    assert len(subjects) == len(runs)
    lab.publisher.messages.clear()
    for body, token, status in (
        ({"collection": "tenants/other/things"}, lab.tenant, 403),
        ({"collection": "things"}, lab.tenant, 403),
        ({"collection": lab.path("things"), "tenant_id": "other"}, lab.tenant, 403),
        ({"collection": lab.path("things/a")}, lab.tenant, 422),
        ({"collection": "nobody/streams/this"}, "operator", 404),
        ({"collection": ""}, "operator", 422),
        ({"repair": "perhaps"}, "operator", 422),
        ({"collection": lab.path("things")}, None, 401),
    ):
        answer = handle(posted(body, token=token), lab.clients)
        assert (answer.status_code, body) == (status, body)
    assert lab.publisher.messages == []


def test_the_command_line_compares_repairs_and_says_so(lab):
    lab.put({f"things/{name}": {"n": 1} for name in "abc"})
    lab.stream("things", only={"a"})
    collection = lab.path("things")

    def scout(*arguments):
        command = [sys.executable, "-m", "infra.cli", *arguments, "--json"]
        ended = subprocess.run(command, capture_output=True, text=True, cwd=ROOT, check=False)
        return ended.returncode, orjson.loads(ended.stdout)

    code, found = scout("verify", collection, "--settle", "0")
    assert (code, found["equal"], found["counts"]) == (1, False, {"equal": 1, "missing": 2})
    assert [one["key"].rsplit("/", 1)[-1] for one in found["differences"]] == ["b", "c"]
    code, repaired = scout("repair", found["run_id"], "--yes")
    assert (code, repaired["repairs"], repaired["left"]) == (0, {"repaired": 2}, 0)


def test_a_comparison_that_is_killed_goes_on_where_it_was(lab):
    lab.put({f"things/{number:05}": {"n": number} for number in range(2_000)})
    lab.stream("things", only={f"{number:05}" for number in range(2_000)} - {"00007", "01990"})
    run_id = f"killed-{lab.tenant}"
    command = [sys.executable, "-m", "infra.cli", "verify", lab.path("things"), "--settle", "0", "--run", run_id]
    process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    reconciler = lab.reconciler()
    until = time.monotonic() + 60
    while getattr(lab.verifications.get(run_id), "read_at", None) is None and time.monotonic() < until:
        time.sleep(0.01)
    process.kill()
    process.wait()
    before = reconciler.get(run_id)
    found = reconciler.carry_on(run_id)
    assert before.status == "comparing"
    assert found.counts == {"equal": 1_998, "missing": 2}
    assert lab.differences(found) == {"things/00007": "missing", "things/01990": "missing"}
