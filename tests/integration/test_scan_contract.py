"""One suite for the fake and for the real reader of whole collections, on the Firestore emulator."""

import uuid
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from infra.local.cloud import LocalCloud
from shared.streaming.scan import ReadTimePassed, Scan, Slice
from shared.streaming.streams import stream_of
from tests.fakes import FakeScan


@pytest.fixture(scope="module")
def cloud(tmp_path_factory):
    nothing, state = tmp_path_factory.mktemp("functions"), tmp_path_factory.mktemp("cloud")
    with pytest.MonkeyPatch.context() as environment, LocalCloud(state, nothing) as cloud:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield cloud


class Real:
    """Firestore, and how it is written."""

    def __init__(self, cloud: LocalCloud) -> None:
        from google.cloud import firestore

        from shared.adapters.firestore_scan import FirestoreScan

        self._project = cloud.env["GOOGLE_CLOUD_PROJECT"]
        self._client = firestore.Client
        self.scan = FirestoreScan.connect(self._project)

    def put(self, path: str, values: dict[str, Any], database: str = "(default)") -> None:
        self._client(project=self._project, database=database).document(path).set(values)

    def delete(self, path: str) -> None:
        self._client(project=self._project).document(path).delete()


@pytest.fixture(params=["fake", "real"])
def held(request):
    if request.param == "real":
        return Real(request.getfixturevalue("cloud"))
    fake = FakeScan()
    fake.scan = fake
    return fake


@pytest.fixture
def tenant():
    return f"t{uuid.uuid4().hex[:12]}"


def ids(pages) -> list[str]:
    return [document.name.rsplit("/", 1)[-1] for page in pages for document in page]


def fill(held, tenant: str, number: int = 20, collection: str = "things") -> Any:
    for n in range(number):
        held.put(f"tenants/{tenant}/{collection}/thing-{n:03d}", {"n": n})
    return stream_of(f"tenants/{tenant}/{collection}")


def test_pages_hold_each_document_once_in_the_order_of_names(held, tenant):
    stream = fill(held, tenant)
    pages = list(held.scan.pages(stream, Slice(), held.scan.moment(), size=8))
    assert [len(page) for page in pages] == [8, 8, 4]
    assert ids(pages) == [f"thing-{n:03d}" for n in range(20)]
    first = pages[0][0]
    assert first.fields["n"].integer_value == 0
    assert first.update_time.ToDatetime() == first.create_time.ToDatetime()


def test_reading_goes_on_after_a_name(held, tenant):
    stream = fill(held, tenant, 5)
    at = held.scan.moment()
    (page,) = held.scan.pages(stream, Slice(), at)
    assert ids(held.scan.pages(stream, Slice(), at, after=page[2].name)) == ["thing-003", "thing-004"]
    assert ids(held.scan.pages(stream, Slice(end=page[4].name), at, after=page[2].name)) == ["thing-003"]
    assert ids(held.scan.pages(stream, Slice(first=page[3].name), at)) == ["thing-003", "thing-004"]


@pytest.mark.parametrize("wanted", [1, 4])
def test_slices_together_hold_each_document_once_in_order(held, tenant, wanted):
    stream = fill(held, tenant, 40)
    at = held.scan.moment()
    slices = held.scan.slices(stream, wanted, at)
    assert len(slices) == wanted
    assert slices[0].first == slices[-1].end == ""
    assert all(one.end == following.first for one, following in pairwise(slices))
    sizes = [len(ids(held.scan.pages(stream, part, at))) for part in slices]
    assert sum(sizes) == 40
    assert max(sizes) <= 2 * 40 / wanted
    assert [one for part in slices for one in ids(held.scan.pages(stream, part, at))] == [
        f"thing-{n:03d}" for n in range(40)
    ]


def test_an_empty_collection_is_one_empty_slice(held, tenant):
    stream, at = stream_of(f"tenants/{tenant}/things"), held.scan.moment()
    assert held.scan.count(stream, at) == 0
    assert held.scan.slices(stream, 4, at) == [Slice()]
    assert list(held.scan.pages(stream, Slice(), at)) == []


def test_a_read_time_is_one_moment(held, tenant):
    stream = fill(held, tenant, 3)
    at = held.scan.moment()
    held.put(f"tenants/{tenant}/things/thing-001", {"n": 100})
    held.put(f"tenants/{tenant}/things/thing-003", {"n": 3})
    held.delete(f"tenants/{tenant}/things/thing-000")
    assert ids(held.scan.pages(stream, Slice(), at)) == ["thing-000", "thing-001", "thing-002"]
    (page,) = held.scan.pages(stream, Slice(), at)
    assert page[1].fields["n"].integer_value == 1
    assert held.scan.count(stream, at) == 3
    assert ids(held.scan.pages(stream, Slice(), held.scan.moment())) == ["thing-001", "thing-002", "thing-003"]


def test_a_read_time_that_is_too_old_is_told_apart(held, tenant):
    stream = fill(held, tenant, 1)
    with pytest.raises(ReadTimePassed):
        list(held.scan.pages(stream, Slice(), held.scan.moment() - timedelta(days=30)))
    with pytest.raises(ReadTimePassed):
        held.scan.count(stream, held.scan.moment() - timedelta(days=30))


def test_a_subcollection_s_group_holds_what_its_record_takes(held, tenant):
    for order in ("a", "b", "c"):
        for n in range(4):
            held.put(f"tenants/{tenant}/orders/{order}/items/{n}", {"n": n})
    held.put(f"tenants/{tenant}/items/other", {"n": 9})
    held.put(f"tenants/{tenant}/orders/a/boxes/b/items/deeper", {"n": 9})
    held.put(f"tenants/{tenant}x/orders/a/items/neighbour", {"n": 9})
    stream = stream_of(f"tenants/{tenant}/orders/{{order_id}}/items")
    at = held.scan.moment()
    expected = [f"{order}/items/{n}" for order in ("a", "b", "c") for n in range(4)]
    found = [document.name for page in held.scan.pages(stream, Slice(), at, size=5) for document in page]
    assert [name.split("/orders/")[1] for name in found] == expected
    slices = held.scan.slices(stream, 3, at)
    assert len(slices) == 3
    assert [d.name for part in slices for page in held.scan.pages(stream, part, at) for d in page] == found


def test_a_range_of_a_field_is_read_and_counted(held, tenant):
    day = datetime(2026, 1, 1, tzinfo=UTC)
    for n in range(6):
        held.put(f"tenants/{tenant}/things/{5 - n}", {"at": day + timedelta(days=n), "even": n % 2 == 0})
    held.put(f"tenants/{tenant}/things/text", {"at": "2026-01-05"})
    held.put(f"tenants/{tenant}/things/none", {"other": 1})
    stream, at = stream_of(f"tenants/{tenant}/things"), held.scan.moment()
    since = [("at", ">=", day + timedelta(days=3))]
    assert sorted(ids(held.scan.pages(stream, Slice(), at, size=2, where=since))) == ["0", "1", "2"]
    assert held.scan.count(stream, at, since) == 3
    between = [*since, ("at", "<", day + timedelta(days=5))]
    assert sorted(ids(held.scan.pages(stream, Slice(), at, where=between))) == ["1", "2"]
    assert ids(held.scan.pages(stream, Slice(), at, where=[("at", ">=", "2026-01-01")])) == ["text"]


def test_documents_are_fetched_by_name_from_their_database(held, tenant):
    stream = fill(held, tenant, 3)
    at = held.scan.moment()
    (page,) = held.scan.pages(stream, Slice(), at)
    names = [document.name for document in page]
    held.delete(f"tenants/{tenant}/things/thing-001")
    assert set(held.scan.fetch([*names, f"{names[0]}x"], "(default)", at)) == set(names)
    found = held.scan.fetch(names, "(default)")
    assert set(found) == {names[0], names[2]}
    assert found[names[2]].fields["n"].integer_value == 2


def test_another_database_is_read_by_its_name(held, tenant):
    held.put(f"tenants/{tenant}/things/a", {"n": 1}, database="ops")
    name = held.scan.moment("ops")
    assert name.tzinfo is not None
    stream = stream_of(f"tenants/{tenant}/things")
    assert held.scan.count(stream) == 0
    from dataclasses import replace

    other = replace(stream, database="ops")
    assert held.scan.count(other) == 1
    (page,) = held.scan.pages(other, Slice(), name)
    assert "/databases/ops/" in page[0].name


def test_the_fake_is_a_scan(held):
    scan: Scan = held.scan
    assert scan.moment() <= scan.moment()
