"""Which entities the ETL makes: each has its SQL, and what the SQL yields has a column."""

import re

import pytest
import sqlglot

from shared.analytics.entities import ENTITIES, RAW_TABLES, SOURCE_TABLE, Entity
from shared.analytics.records import DailyEntityMetrics
from shared.schema.bigquery import columns
from shared.schema.record import Record
from shared.schema.registry import streamed_records
from shared.schema.sql import SHARED, render

ALL = (*ENTITIES, SOURCE_TABLE)
NAMES = {column.name for column in columns(DailyEntityMetrics)}


def raw_record(entity: Entity) -> type[Record]:
    """The streamed record whose table the entity reads."""
    [found] = [record for record in streamed_records() if record.table and record.table.table == entity.table]
    return found


def rendered(entity: Entity) -> str:
    return render(entity.sql, dataset="d", tables=RAW_TABLES, entity=entity)


@pytest.mark.parametrize("entity", ALL, ids=lambda entity: entity.entity_type)
def test_entitys_sql_yields_exactly_its_declared_columns(entity: Entity):
    sql = rendered(entity)
    tree = sqlglot.parse_one(sql, dialect="bigquery")
    assert tree.named_selects[:2] == ["date", "entity_id"]
    assert sorted(tree.named_selects[2:]) == sorted(entity.columns)


@pytest.mark.parametrize("entity", ALL, ids=lambda entity: entity.entity_type)
def test_entitys_columns_are_columns_of_the_metrics(entity: Entity):
    assert set(entity.columns) <= NAMES
    assert len(set(entity.columns)) == len(entity.columns)


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.entity_type)
def test_entity_reads_a_streamed_record_and_only_days_that_changed(entity: Entity):
    assert raw_record(entity)
    sql = rendered(entity)
    assert f"`d.{entity.table}`" in sql
    assert "date IN UNNEST(@days)" in sql


@pytest.mark.parametrize("entity", ENTITIES, ids=lambda entity: entity.entity_type)
def test_measure_that_is_conserved_exists_on_both_sides(entity: Entity):
    raw = set(raw_record(entity).model_fields)
    assert set(re.findall(r"raw\.(\w+)", entity.measure_in)) <= raw
    assert set(re.findall(r"metrics\.(\w+)", entity.measure_out)) <= set(entity.columns)


def test_entity_types_of_the_loop_are_all_made():
    wanted = {"page", "landing_page", "device", "browser", "source_medium", "channel", "campaign", "funnel_step"}
    assert {entity.entity_type for entity in ENTITIES} == {*wanted, "property", "event"}


def test_every_raw_table_is_told_apart_by_the_table_of_tables():
    sql = rendered(SOURCE_TABLE)
    for table in RAW_TABLES:
        assert f"'{table}' AS entity_id" in sql


def test_every_sql_file_is_a_step_of_the_etl_or_an_entitys():
    steps = {"arrived", "changed_days", "conserved", "map_entities", "rebuild_metrics", "roll_up_months"}
    found = {path.relative_to(SHARED).as_posix() for path in (SHARED / "analytics" / "sql").glob("*.sql")}
    assert found - {f"analytics/sql/{step}.sql" for step in steps} == {entity.sql for entity in ALL}


def test_outside_tools_find_the_columns_that_they_load():
    wanted = """tenant_id date entity_type entity_id users new_users sessions engaged_sessions pageviews bounces
    conversions revenue cost clicks impressions position search_volume difficulty kgr sends delivered opens clicks_email
    unsubscribes hard_bounces soft_bounces charges charge_amount refunds refund_amount disputes mrr new_mrr
    expansion_mrr contraction_mrr churned_mrr active_subscriptions new_subscriptions churned_subscriptions attributes
    updated_at schema_version"""
    assert set(wanted.split()) <= NAMES
    required = {column.name for column in columns(DailyEntityMetrics) if column.mode == "REQUIRED"}
    assert required == {"tenant_id", "date", "entity_type", "entity_id"}
