"""One erase list: whatever is declared and may hold a tenant's data is reached by a registered store."""

import pytest

from shared.erasure.places import Place, places
from shared.erasure.registry import kept, stores, unregistered
from shared.erasure.store import Needs
from shared.schema.record import Caches, Collection, Key, Namespace, Personal, Record, Table
from shared.schema.registry import records
from shared.settings import Settings
from tests.support.streaming import Note


def _never(*_: object) -> object:
    raise AssertionError("nothing is connected to say what is covered")


NEEDS = Needs("p", ("(default)",), *[_never] * 7)  # type: ignore[arg-type]
LISTED = stores(NEEDS)
BUCKETS = [name for name in Settings.model_fields if name.endswith("_bucket")]


def test_every_declared_record_bucket_and_namespace_is_reached():
    found = unregistered(places(records(), BUCKETS), LISTED)
    assert not found, "register a store in shared/<domain>/erasure.py:\n" + "\n".join(found)


def test_there_is_a_list_to_hold_against():
    assert {"firestore", "dead letters", "rows", "datasets", "cache", "state"} <= {store.name for store in LISTED}
    assert BUCKETS == ["dead_letter_bucket"]
    assert [store.stage for store in LISTED] == sorted(store.stage for store in LISTED)


def test_what_is_kept_says_why():
    assert all(len(why) > 20 for why in kept().values())


class Journey(Record):
    """A plain table in a dataset of everybody's, without a tenant."""

    journey_id: Key[str]
    table = Table("attribution_analytics.customer_journeys")


class Visitor(Record):
    """A plain table of people."""

    email: Personal[str]
    table = Table("aso_tenant_{tenant_id}.visitors")


class Ledger(Record):
    """Scout's own state without a tenant."""

    ledger_id: Key[str]
    collection = Collection("ledgers", database="ops")


class Finding(Record):
    """Scout's own state that names documents."""

    tenant_id: str
    document_name: str
    collection = Collection("findings", database="ops")


class Campaign(Record):
    """A shared collection that does not say whose its documents are."""

    campaign_id: Key[str]
    collection = Collection("campaigns")


@pytest.mark.parametrize(
    ("record", "said"),
    [
        (Journey, ["a tenant does not reach table attribution_analytics.customer_journeys"]),
        (Visitor, ["a document does not reach table aso_tenant_{tenant_id}.visitors"]),
        (Ledger, ["a tenant does not reach collection ops/ledgers"]),
        (Finding, ["a document does not reach collection ops/findings"]),
        (Campaign, ["a tenant does not reach collection (default)/campaigns"]),
    ],
)
def test_a_place_that_no_store_covers_is_named(record: type[Record], said: list[str]):
    assert [found.removeprefix("erasing ") for found in unregistered(places([record]), LISTED)] == said


def test_a_bucket_of_a_later_issue_is_named():
    found = unregistered(places((), ["exports_bucket"]), LISTED)
    assert found == [f"erasing a {kind} does not reach bucket exports_bucket" for kind in ("document", "tenant")]


def test_a_streamed_record_of_a_tenant_is_reached_wherever_it_goes():
    assert {place.kind for place in places([Note])} == {"collection", "table", "cache"}
    assert unregistered(places([Note]), LISTED) == []


def test_a_namespace_is_a_place_of_its_own():
    class Answer(Record):
        """Something cached."""

        caches = Caches(Namespace("ai:resp:{provider}", ttl_seconds=60))

    assert places([Answer]) == (Place("cache", "ai:resp:{provider}", ("document", "tenant")),)
    assert unregistered(places([Answer]), LISTED) == []
