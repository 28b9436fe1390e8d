"""Which entities the ETL makes of which raw table. A new entity type is one entry here and one `.sql` file."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Entity:
    """One entity type.

    columns: what `sql/<entity_type>.sql` yields besides date and entity_id, all columns of daily_entity_metrics.
    measure_in, measure_out: a sum over the raw rows and over the entity's rows that aggregation must not change.
    """

    entity_type: str
    table: str
    columns: tuple[str, ...]
    measure_in: str = "raw.sessions"
    measure_out: str = "metrics.sessions"

    @property
    def sql(self) -> str:
        """Path of its SQL under shared/."""
        return f"analytics/sql/{self.entity_type}.sql"


_TRAFFIC = ("users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue")

ENTITIES: tuple[Entity, ...] = (
    Entity("property", "ga_property_totals", (*_TRAFFIC, "new_users", "pageviews")),
    Entity("page", "ga_page_performance", (*_TRAFFIC, "pageviews", "attributes")),
    Entity("landing_page", "ga_landing_pages", _TRAFFIC),
    Entity("device", "ga_device_metrics", (*_TRAFFIC, "new_users")),
    Entity("browser", "ga_device_metrics", (*_TRAFFIC, "new_users")),
    Entity("source_medium", "ga_traffic_sources", (*_TRAFFIC, "new_users", "attributes")),
    Entity("channel", "ga_traffic_sources", (*_TRAFFIC, "new_users")),
    Entity("campaign", "ga_traffic_sources", (*_TRAFFIC, "new_users")),
    Entity(
        "event",
        "ga_funnel_events",
        ("users", "sessions", "attributes"),
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

SOURCE_TABLE = Entity("source_table", "", ("attributes",))
"""The raw tables themselves, so that a missing day is seen."""

RAW_TABLES: tuple[str, ...] = tuple(dict.fromkeys(entity.table for entity in ENTITIES))
