"""What the ETL makes of the raw rows: one row per entity and day, and the entities themselves."""

from datetime import date as Day
from datetime import datetime

from pydantic import Field

from shared.schema.record import Collection, Json, Key, Record, Table

RETENTION_DAYS = 800
"""Detectors look back a year and compare with the year before."""
LATEST = "As of the latest day of the month that has one."


class DailyEntityMetrics(Record):
    """All metrics of one entity on one day; NULL is "not measured", 0 is "measured, none"."""

    tenant_id: Key[str]
    date: Key[Day]
    entity_type: Key[str]
    entity_id: Key[str]
    users: int | None = None
    new_users: int | None = None
    sessions: int | None = Field(None, description="funnel_step: sessions that entered the step.")
    engaged_sessions: int | None = None
    pageviews: int | None = None
    bounces: int | None = None
    conversions: float | None = Field(None, description="funnel_step: sessions that completed the step.")
    revenue: float | None = None
    cost: float | None = None
    clicks: int | None = None
    impressions: int | None = None
    position: float | None = Field(None, description="Impression-weighted mean.")
    search_volume: int | None = None
    difficulty: float | None = None
    kgr: float | None = None
    sends: int | None = None
    delivered: int | None = None
    opens: int | None = None
    clicks_email: int | None = None
    unsubscribes: int | None = None
    hard_bounces: int | None = None
    soft_bounces: int | None = None
    charges: int | None = None
    charge_amount: float | None = None
    refunds: int | None = None
    refund_amount: float | None = None
    disputes: int | None = None
    mrr: float | None = None
    new_mrr: float | None = None
    expansion_mrr: float | None = None
    contraction_mrr: float | None = None
    churned_mrr: float | None = None
    active_subscriptions: int | None = None
    new_subscriptions: int | None = None
    churned_subscriptions: int | None = None
    attributes: Json | None = Field(None, description="event: event_count; source_table: row_count; page: template.")
    updated_at: datetime | None = None

    table = Table(
        "aso_tenant_{tenant_id}.daily_entity_metrics",
        partition_by="date",
        cluster_by=("entity_type", "entity_id"),
        retention_days=RETENTION_DAYS,
    )


class MonthlyEntityMetrics(Record):
    """All metrics of one entity in one month, rolled up from its days: sums, where nothing else is said."""

    tenant_id: Key[str]
    month: Key[Day] = Field(description="Its first day.")
    entity_type: Key[str]
    entity_id: Key[str]
    days: int = Field(description="Days of the month that have a row of the entity.")
    users: int | None = None
    new_users: int | None = None
    sessions: int | None = Field(None, description="funnel_step: sessions that entered the step.")
    engaged_sessions: int | None = None
    pageviews: int | None = None
    bounces: int | None = None
    conversions: float | None = Field(None, description="funnel_step: sessions that completed the step.")
    revenue: float | None = None
    cost: float | None = None
    clicks: int | None = None
    impressions: int | None = None
    position: float | None = Field(None, description="Mean of the days that have one.")
    search_volume: int | None = Field(None, description=LATEST)
    difficulty: float | None = Field(None, description=LATEST)
    kgr: float | None = Field(None, description=LATEST)
    sends: int | None = None
    delivered: int | None = None
    opens: int | None = None
    clicks_email: int | None = None
    unsubscribes: int | None = None
    hard_bounces: int | None = None
    soft_bounces: int | None = None
    charges: int | None = None
    charge_amount: float | None = None
    refunds: int | None = None
    refund_amount: float | None = None
    disputes: int | None = None
    mrr: float | None = Field(None, description=LATEST)
    new_mrr: float | None = None
    expansion_mrr: float | None = None
    contraction_mrr: float | None = None
    churned_mrr: float | None = None
    active_subscriptions: int | None = Field(None, description=LATEST)
    new_subscriptions: int | None = None
    churned_subscriptions: int | None = None
    attributes: Json | None = Field(None, description="Registered keys: flows as sums, others as of their latest day.")
    updated_at: datetime | None = None

    table = Table(
        "aso_tenant_{tenant_id}.monthly_entity_metrics",
        partition_by="month",
        partition_type="MONTH",
        cluster_by=("entity_type", "entity_id"),
        # A partition's age counts from the first day of its month.
        retention_days=RETENTION_DAYS + 31,
    )


class EntityMap(Record):
    """One entity that metrics are kept of: its canonical id, where it was seen, when first and last."""

    tenant_id: Key[str]
    entity_type: Key[str]
    entity_id: Key[str]
    name: str | None = Field(None, description="What people call it.")
    source: str | None = None
    source_collection: str | None = None
    parent_type: str | None = None
    parent_id: str | None = None
    first_seen: Day | None = None
    last_seen: Day | None = None
    updated_at: datetime | None = None

    table = Table("aso_tenant_{tenant_id}.entity_map", cluster_by=("entity_type", "entity_id"))


class EntityAlias(Record):
    """What a source calls an entity: the same campaign by its id in Google Ads, the same page by its whole address."""

    tenant_id: Key[str]
    entity_type: Key[str]
    source: Key[str]
    alias: Key[str] = Field(description="Its id or name in the source.")
    entity_id: str = Field(description="The id that its metrics are kept under.")
    how: str = Field(description="What they have in common: id, name, utm, url, email; own: nothing was found.")
    made_by: str = Field(description="The group of entities whose ETL made it.")
    updated_at: datetime | None = None

    table = Table("aso_tenant_{tenant_id}.entity_aliases", cluster_by=("entity_type", "source", "alias"))


class ArrivalDay(Record):
    """The arrival ledger: how much of one collection and day came how far, as of the newest sync that had it."""

    tenant_id: Key[str]
    source: str
    collection_name: Key[str]
    date: Key[Day]
    run_id: str = Field(description="The sync.")
    written: int = Field(description="Documents that it wrote, and those before it that were lost and are no rows yet.")
    unchanged: int = Field(description="Documents that were there as the source gave them.")
    arrived: int = Field(description="Documents that it wrote and that are rows.")
    refused: int = Field(description="Documents that it wrote and that no record accepts: they are in the log.")
    row_count: int | None = Field(None, description="Rows of the day in its table, whichever sync brought them.")
    aggregated: int | None = Field(None, description="Of these, rows that the metrics hold.")
    updated_at: datetime

    table = Table(
        "aso_tenant_{tenant_id}.arrival_ledger",
        partition_by="date",
        cluster_by=("collection_name",),
        retention_days=RETENTION_DAYS,
    )


class EtlState(Record):
    """How far the ETL of one tenant has seen the logs."""

    tenant_id: Key[str]
    seen_until: datetime
    stocks_until: dict[str, Day] = Field({}, description="Group of entities -> the last day its stocks were made of.")
    covered: dict[str, str] = Field({}, description="Sync -> the run that has seen all of its rows.")
    failed: dict[str, datetime] = Field({}, description="Sync that failed and whose ledger was read -> when it failed.")
    made_with: dict[str, str] = Field({}, description="Group of entities -> fingerprint of its SQL and the settings.")
    rolled_up: bool = Field(False, description="True once the months of all days were rolled up.")

    collection = Collection("etl", database="ops")
