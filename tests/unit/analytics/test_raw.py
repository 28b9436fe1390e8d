"""What is told of the raw tables stands on columns that they have."""

import orjson
import pytest

from shared.analytics.raw import COUNTED, RawTable, raw_tables
from shared.detectors.metrics import ENTITY_TYPES
from shared.schema.registry import streamed_records
from shared.sources.records.row import Measured, SourceRow

RECORDS = [record for record in streamed_records() if issubclass(record, SourceRow)]


@pytest.mark.parametrize("record", RECORDS, ids=lambda record: record.__name__)
def test_columns_that_are_measured_and_watched_exist(record: type[SourceRow]):
    measured = record.measured
    named = {measured.main, measured.amount, measured.currency, measured.alias, *record.watched}
    named |= {getattr(measured, kind) for kind in COUNTED}
    assert named - {""} <= record.model_fields.keys()
    assert (measured.alias_of in ENTITY_TYPES) if measured.alias else not measured.alias_of
    assert measured.currency or not (measured.amount or measured.cost)


def test_text_may_be_empty_without_being_null():
    [table] = [table for table in raw_tables() if table.name == "ga_landing_pages"]
    assert table.watched == {"landing_page": True, "user_engagement_duration": False}


def test_what_a_table_measures_is_zero_on_a_day_without_rows_and_nothing_else_is():
    money = Measured(main="cost", cost="cost", currency="currency", alias_of="campaign", alias="campaign_id")
    table = RawTable("t", "google_ads", money, {})
    assert orjson.loads(table.nothing) == {"row_count": 0, "cost": 0, "unmapped_cost": 0, "foreign_rows": 0}
    assert orjson.loads(RawTable("t", "ga4", Measured(main="clicks"), {}).nothing) == {"row_count": 0}


def test_a_table_without_aliases_has_no_unmapped_rows():
    assert RawTable("t", "ga4", Measured(sessions="sessions"), {}).mapped == []
