"""Which entities the ETL makes of which raw table. A new entity type is one entry here and one `.sql` file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entity:
    """One entity type.

    columns: what its SQL yields besides date and entity_id, all columns of daily_entity_metrics.
    keys: what it yields in `attributes`, of the registry in attributes.py.
    dimension: the entity's id, for those whose SQL is `sessions_by.sql`; the others have `<entity_type>.sql`.
    measure_in, measure_out: a sum over the raw rows and over the entity's rows that aggregation must not change.
    """

    entity_type: str
    table: str
    columns: tuple[str, ...]
    dimension: str = ""
    attributes: str = ""
    keys: tuple[str, ...] = ()
    measure_in: str = "raw.sessions"
    measure_out: str = "metrics.sessions"

    @property
    def sql(self) -> str:
        """Path of its SQL under shared/."""
        return f"analytics/sql/{'sessions_by' if self.dimension else self.entity_type}.sql"


_TRAFFIC = ("users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue")
_NEW_TRAFFIC = (*_TRAFFIC, "new_users")

ENTITIES: tuple[Entity, ...] = (
    Entity("property", "ga_property_totals", (*_NEW_TRAFFIC, "pageviews")),
    Entity("page", "ga_page_performance", (*_TRAFFIC, "pageviews", "attributes"), keys=("page_template",)),
    Entity("landing_page", "ga_landing_pages", _TRAFFIC),
    Entity("device", "ga_device_metrics", _NEW_TRAFFIC, "raw.device_category"),
    Entity("browser", "ga_device_metrics", _NEW_TRAFFIC, "raw.browser"),
    Entity(
        "source_medium",
        "ga_traffic_sources",
        (*_NEW_TRAFFIC, "attributes"),
        "CONCAT(raw.session_source, ' / ', raw.session_medium)",
        "JSON_OBJECT('channel', ANY_VALUE(raw.session_default_channel_group))",
        ("channel",),
    ),
    Entity("channel", "ga_traffic_sources", _NEW_TRAFFIC, "raw.session_default_channel_group"),
    Entity("campaign", "ga_traffic_sources", _NEW_TRAFFIC, "raw.session_campaign_name"),
    Entity(
        "event",
        "ga_funnel_events",
        ("users", "sessions", "attributes"),
        keys=("event_count",),
        measure_in="raw.event_count",
        measure_out="CAST(JSON_VALUE(metrics.attributes, '$.event_count') AS INT64)",
    ),
    Entity(
        "funnel_step",
        "ga_funnel_events",
        ("sessions", "conversions", "attributes"),
        measure_in="IF(raw.event_name IN ('session_start', 'view_item', 'add_to_cart', 'begin_checkout'), "
        "raw.sessions, 0)",
    ),
)

SOURCE_TABLE = Entity("source_table", "", ("attributes",), keys=("row_count",))
"""The raw tables themselves, so that a missing day is seen."""

RAW_TABLES: tuple[str, ...] = tuple(dict.fromkeys(entity.table for entity in ENTITIES))
