"""Pages, devices, sources, events and funnels: what Google Analytics tells."""

from shared.analytics.entities.entity import Entity

_TRAFFIC = ("users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue")
_NEW_TRAFFIC = (*_TRAFFIC, "new_users")


def _visited(
    entity_type: str,
    table: str,
    columns: tuple[str, ...],
    dimension: str = "",
    attributes: str = "",
    keys: tuple[str, ...] = (),
) -> Entity:
    """An entity whose sessions add up to those of its raw rows."""
    measured = "raw.sessions", "metrics.sessions"
    return Entity(entity_type, table, columns, dimension, attributes, keys, *measured)


WEB: tuple[Entity, ...] = (
    _visited("page", "ga_page_performance", (*_TRAFFIC, "pageviews", "attributes"), keys=("page_template",)),
    _visited("landing_page", "ga_landing_pages", _TRAFFIC),
    _visited("device", "ga_device_metrics", _NEW_TRAFFIC, "raw.device_category"),
    _visited("browser", "ga_device_metrics", _NEW_TRAFFIC, "raw.browser"),
    _visited(
        "source_medium",
        "ga_traffic_sources",
        (*_NEW_TRAFFIC, "attributes"),
        "CONCAT(raw.session_source, ' / ', raw.session_medium)",
        "JSON_OBJECT('channel', ANY_VALUE(raw.session_default_channel_group))",
        ("channel",),
    ),
    _visited("channel", "ga_traffic_sources", _NEW_TRAFFIC, "raw.session_default_channel_group"),
    _visited("campaign", "ga_traffic_sources", _NEW_TRAFFIC, "raw.session_campaign_name"),
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
        measure_out="metrics.sessions",
    ),
)
