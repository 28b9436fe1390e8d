"""Which entities the ETL makes: each has its SQL, and what the SQL yields has a column."""

import re

import pytest
import sqlglot

from shared.analytics.days import is_dated
from shared.analytics.entities import ENTITIES, GROUPS, RAW_TABLES, Entity, Group
from shared.analytics.rebuild import entity_sql
from shared.analytics.records import DailyEntityMetrics
from shared.detectors.metrics import ENTITY_TYPES
from shared.schema.bigquery import columns
from shared.schema.record import Record
from shared.schema.registry import streamed_records

ALL = [(group, entity) for group in GROUPS for entity in group.entities]
IDS = [entity.entity_type for _, entity in ALL]
NAMES = {column.name for column in columns(DailyEntityMetrics)}


def raw_record(table: str) -> type[Record]:
    """The streamed record of a raw table."""
    [found] = [record for record in streamed_records() if record.table and record.table.table == table]
    return found


def rendered(group: Group, entity: Entity) -> str:
    return entity_sql(group, entity, "d")


@pytest.mark.parametrize(("group", "entity"), ALL, ids=IDS)
def test_entitys_sql_yields_exactly_its_declared_columns(group: Group, entity: Entity):
    sql = rendered(group, entity)
    tree = sqlglot.parse_one(sql, dialect="bigquery")
    assert tree.named_selects[:2] == ["date", "entity_id"]
    assert sorted(tree.named_selects[2:]) == sorted(entity.columns)


@pytest.mark.parametrize("entity", ENTITIES, ids=IDS)
def test_entitys_columns_are_columns_of_the_metrics(entity: Entity):
    assert set(entity.columns) <= NAMES
    assert len(set(entity.columns)) == len(entity.columns)


@pytest.mark.parametrize(("group", "entity"), ALL, ids=IDS)
def test_entity_reads_streamed_records_and_of_what_happened_only_days_that_changed(group: Group, entity: Entity):
    sql = rendered(group, entity)
    every = filter(is_dated, RAW_TABLES) if entity.entity_type == "source_table" else filter(None, entity.tables)
    for table in every:
        assert raw_record(table)
        assert f"`d.{table}`" in sql
    assert entity.stock_days or "date IN UNNEST(@days)" in sql


@pytest.mark.parametrize("entity", [each for each in ENTITIES if each.measures], ids=lambda each: each.entity_type)
def test_what_must_add_up_exists_on_both_sides(entity: Entity):
    for measure in entity.measures:
        raw = set(raw_record(measure.table).model_fields)
        assert measure.table in entity.tables
        assert set(re.findall(r"raw\.(\w+)", measure.taken)) <= raw
        assert set(re.findall(r"metrics\.(\w+)", measure.made)) <= set(entity.columns)
        assert set(re.findall(r"'\$\.(\w+)'", measure.made)) <= set(entity.keys)


def test_what_detectors_look_into_is_made_once():
    types = [entity.entity_type for entity in ENTITIES]
    assert len(set(types)) == len(types)
    assert set(types) <= ENTITY_TYPES


def test_every_raw_table_is_told_apart_by_the_table_of_tables():
    [(group, tables)] = [(group, entity) for group, entity in ALL if entity.entity_type == "source_table"]
    sql = rendered(group, tables)
    for table in filter(is_dated, RAW_TABLES):
        assert f"'{table}'" in sql


def test_outside_tools_find_the_columns_that_they_load():
    wanted = """tenant_id date entity_type entity_id users new_users sessions engaged_sessions pageviews bounces
    conversions revenue cost clicks impressions position search_volume difficulty kgr sends delivered opens clicks_email
    unsubscribes hard_bounces soft_bounces charges charge_amount refunds refund_amount disputes mrr new_mrr
    expansion_mrr contraction_mrr churned_mrr active_subscriptions new_subscriptions churned_subscriptions attributes
    updated_at schema_version"""
    assert set(wanted.split()) <= NAMES
    required = {column.name for column in columns(DailyEntityMetrics) if column.mode == "REQUIRED"}
    assert required == {"tenant_id", "date", "entity_type", "entity_id"}
