"""Which records there are."""

import pytest

from shared.analytics.records import DailyEntityMetrics
from shared.opportunities.records import Opportunity
from shared.ops.records import DeadLetter
from shared.schema.record import Record
from shared.schema.registry import record_named, record_of, records, streamed_records
from shared.sources.records import GaPagePerformance
from tests.unit.schema.samples import Invoice


def test_records_of_every_domain_are_found():
    assert {DailyEntityMetrics, DeadLetter, Opportunity, GaPagePerformance} <= set(records())


def test_records_come_in_a_stable_order_and_once():
    names = [(record.__module__, record.__name__) for record in records()]
    assert names == sorted(set(names))


def test_bases_that_declare_no_place_are_no_records():
    assert Record not in records()
    assert not [record for record in records() if record.collection is None and record.table is None]


def test_records_of_tests_are_not_the_products():
    assert Invoice not in records()


def test_no_two_records_share_a_place():
    collections = [(r.collection.database, r.collection.path) for r in records() if r.collection]
    tables = [record.table.name for record in records() if record.table]
    assert len(collections) == len(set(collections))
    assert len(tables) == len(set(tables))


def test_a_record_is_found_by_its_table_or_collection():
    assert record_named("opportunities") is Opportunity
    assert record_named("daily_entity_metrics") is DailyEntityMetrics
    with pytest.raises(KeyError, match="nothing_of_the_kind"):
        record_named("nothing_of_the_kind")


def test_a_document_is_told_to_its_record_with_the_values_of_its_path():
    found = record_of("tenants/demo/ga_page_performance/x")
    assert found == (GaPagePerformance, {"tenant_id": "demo", "document_id": "x"})


@pytest.mark.parametrize(
    ("path", "database"),
    [
        ("tenants/demo/nothing/x", "(default)"),
        ("tenants/demo", "(default)"),
        ("tenants/demo/ga_page_performance/x", "ops"),
        ("dead_letters/x", "ops"),
    ],
)
def test_a_document_of_no_streamed_record_has_none(path: str, database: str):
    assert record_of(path, database) is None


def test_no_document_belongs_to_two_streamed_records():
    for record in streamed_records():
        assert record.collection is not None
        path = record.collection.at(tenant_id="demo") + "/x"
        owners = [other for other in streamed_records() if other.collection and other.collection.match(path)]
        assert owners == [record]


def test_scouts_own_state_is_in_the_database_that_no_trigger_watches():
    assert DeadLetter.collection is not None
    assert not [
        record for record in streamed_records() if record.collection and record.collection.database != "(default)"
    ]
