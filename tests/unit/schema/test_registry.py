"""Which records there are."""

from shared.analytics.records import DailyEntityMetrics
from shared.opportunities.records import Opportunity
from shared.ops.records import DeadLetter
from shared.schema.record import Record
from shared.schema.registry import records, streamed_records
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
