"""Comparing and repairing on the real stores: every kind of difference made by hand, found exactly, repaired exactly."""

import asyncio
import itertools
import uuid
from collections import Counter
from datetime import UTC, datetime, timedelta

import pytest
from google.cloud import firestore

from infra.local.cloud import LocalCloud
from shared.comparison.messages import ReconcileAsked
from shared.comparison.verification import Verifications
from shared.errors import Forbidden
from shared.runtime.auth import Caller
from shared.runtime.clients import Clients
from shared.schema.record import Undeclared
from shared.settings import Settings
from shared.streaming.change import Change, read_document
from shared.streaming.reconcile import Reconciler
from shared.streaming.records import StreamPattern
from shared.streaming.repair import Repairer
from shared.streaming.scan import Slice
from shared.streaming.service import row_of
from shared.streaming.streams import stream_of
from shared.streaming.tables import exact_view, provision, view_name
from shared.streaming.verify import StreamComparand, names_of
from tests.fakes import OPERATOR, FakePublisher, FakeVerifier

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
        batch, size = self.store.batch(), 0
        for path, values in documents.items():
            batch.set(self.store.document(self.path(path)), values)
            size += 1
            if size % 400 == 0:
                batch.commit()
                batch = self.store.batch()
        batch.commit()

    def stream(self, collection, only=None):
        """Write the rows of a collection's documents as they are now."""
        stream = stream_of(self.path(collection), patterns=self.clients.patterns.load())
        pages = self.clients.scan.pages(stream, Slice(), self.clients.scan.moment())
        documents = [one for page in pages for one in page if only is None or one.name.rsplit("/", 1)[-1] in only]

        async def write():
            changes = [read_document(document, "copy") for document in documents]
            writer = self.clients.writer()
            rows = [row_of(change, stream.record, names_of(stream, change.path)) for change in changes]
            await asyncio.gather(*map(writer.write, rows))
            writer.close()

        if issubclass(stream.record, Undeclared):
            self.clients.undeclared_tables.learn(stream.record, stream.names, frozenset())
        else:
            provision(self.warehouse, stream.record, stream.names)
        asyncio.run(write())
        return stream

    def merge(self, stream):
        """Merge, and take what was merged out of the tail, as ten minutes later."""
        self.clients.merger.merge(stream.record, stream.names, force=True)
        name, now = view_name(stream.record, self.dataset), datetime.now(UTC) + timedelta(seconds=1)
        self.ops.put(f"merges/{name}", {**self.ops.get(f"merges/{name}"), "tail_from": now})
        self.warehouse.ensure_view(name, exact_view(stream.record, self.dataset, now))

    def reconciler(self, scan=None):
        def now():
            return datetime.now(UTC) + timedelta(seconds=sum(self.sleeps))

        def slept(seconds):
            self.sleeps.append(seconds)
            for hook in self.hooks:
                hook()

        verifications = Verifications(self.ops, self.clients.progress, now, slept)
        repairer = Repairer(
            self.clients.writer, self.warehouse, self.clients.leases, verifications, self.clients.progress,
            self.clients.undeclared_tables,
        )  # fmt: skip
        return Reconciler(
            scan or self.clients.scan, self.warehouse, self.ops, self.clients.progress, self.clients.leases, self.publisher,
            verifications, repairer, self.clients.patterns.load,
        )  # fmt: skip

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
        found = Verifications(self.ops, self.clients.progress).differences(run.run_id)
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
        "at": datetime(2026, 1, 1, 0, 0, 0, 123456, tzinfo=UTC), "none": None, "empty": {}, "list": [1, {"b": 1, "a": 2}],
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
    lab.put({f"things/{number:04}": {"n": number, "v": 1} for number in range(1, 1100)})
    lab.store.document(lab.path("things/0005")).set({"n": 5, "v": 0})
    lab.stream("things", only={"0005"})
    lab.store.document(lab.path("things/0005")).set({"n": 5, "v": 1})
    stream = lab.stream("things", only={f"{number:04}" for number in range(1, 1100)} - {"0005", "1001"})
    for number in (3, 900):
        lab.store.document(lab.path(f"things/{number:04}")).delete()
    if merged:
        lab.merge(stream)
        tables = ("things_base", "things_raw_changelog")
    else:
        tables = ("things_raw_changelog",)
    for table in tables:
        lab.sql(f"DELETE FROM `$.{table}` WHERE document_id IN ('0002', '0800')")
        lab.sql(f"UPDATE `$.{table}` SET data = '{{\"n\":4,\"v\":7}}' WHERE document_id = '0004'")
        # The same document, only written otherwise.
        lab.sql(f"UPDATE `$.{table}` SET data = '{{\"v\": 1, \"n\": 6}}' WHERE document_id = '0006'")
        lab.sql(f"UPDATE `$.{table}` SET version = TIMESTAMP '2099-01-01 00:00:00+00' WHERE document_id = '0007'")
        lab.sql(f"UPDATE `$.{table}` SET data = NULL, deleted = TRUE WHERE document_id = '0008'")
    expected = {
        "things/0002": "missing", "things/0800": "missing", "things/1001": "missing", "things/0008": "missing",
        "things/0003": "extra", "things/0900": "extra", "things/0004": "different", "things/0007": "different",
        "things/0005": "stale",
    }  # fmt: skip
    found = lab.verify("things")
    assert lab.differences(found) == expected
    assert found.counts == {"equal": 1099 - 9, **Counter(expected.values())}

    untouched = dict(lab.view("things"))
    repaired = lab.verify("things", repair=True)
    assert repaired.repairs == {"repaired": 9}
    log = f"`{lab.dataset}.things_raw_changelog`"
    written = lab.warehouse.query(f"SELECT document_id, operation FROM {log} WHERE event_id LIKE 'repair:%'")
    assert {row["document_id"] for row in written} == {path.removeprefix("things/") for path in expected}
    assert Counter(row["operation"] for row in written) == {"IMPORT": 7, "DELETE": 2}
    assert lab.verify("things").counts == {"equal": 1097}

    view = dict(lab.view("things"))
    assert all(view[name] == version for name, version in untouched.items() if f"things/{name}" not in expected)
    lab.merge(stream)
    assert dict(lab.view("things")) == view
    assert lab.verify("things").counts == {"equal": 1097}


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
    [one, _] = Verifications(lab.ops, lab.clients.progress).differences(again.run_id)
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
    lab.put({f"things/{number:04}": {"n": number} for number in range(1200)})
    stream = lab.stream("things")

    class Busy:
        """Firestore, in which documents change before and behind the place that is read."""

        def __init__(self, scan):
            self._scan = scan

        def __getattr__(self, name):
            return getattr(self._scan, name)

        def pages(self, *arguments):
            for number, page in enumerate(self._scan.pages(*arguments)):
                live = {f"{place:04}" for place in range(number, 1200, 400)} | {f"new-{number}", f"1-{number}"}
                lab.put({f"things/{name}": {"n": -number} for name in live})
                if number % 2:
                    lab.stream("things", only=live)  # at once; the others arrive while the comparison settles
                lab.store.document(lab.path(f"things/{500 + number}")).delete()
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
    assert sum(found.counts.values()) >= 1200
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


def test_keys_of_a_group_are_in_one_order_on_both_sides(lab):
    ids = ["a", "a-b", "a b", "a.b", "B", "ä", "zz", "0"]
    lab.put({f"orders/{order}/items/{item}": {"n": 1} for order in ids for item in ids})
    lab.put({f"orders/{order}": {"n": 1} for order in ids})
    stream = lab.stream("orders/{order_id}/items")
    comparand = StreamComparand(lab.clients.scan, lab.warehouse, lab.ops, stream, "order")
    left, right = comparand.open(comparand.moment())
    keys = [entry.key for page in left.pages("") for entry in page]
    assert len(keys) == 64
    assert [entry.key for page in right.pages("") for entry in page] == keys
    for index in (0, 7, 8, 30, 62, 63):
        for side in (left, right):
            assert [entry.key for page in side.pages(keys[index]) for entry in page] == keys[index + 1 :]
    comparand.close()
    assert not lab.warehouse.exists(comparand.fingerprints)
    assert lab.verify("orders/{order_id}/items").counts == {"equal": 64}
    # One of them alone: rows of the others, in the same table, are not its.
    assert lab.verify("orders/a-b/items").counts == {"equal": 8}
    lab.sql("DELETE FROM `$.orders_items_raw_changelog` WHERE document_id = 'a.b'")
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
    with pytest.raises(Forbidden):
        asked = ReconcileAsked(tenant_id=lab.tenant, collection=lab.path(f"a/x/{name}"))
        reconciler.ask(asked, list, "someone")
