"""Pages, devices, sources, countries, events and funnels: what Google Analytics tells."""

from shared.analytics.entities.entity import Entity
from shared.analytics.records import RETENTION_DAYS

_REST = 28
"""A day without an ad has no row: that it cost nothing is known once a later day is told of."""
_SOON = 3
"""As long as ads rest over a weekend: pages are many, so that not all of four weeks are made anew each day."""

_TRAFFIC = ("users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue")
_NEW_TRAFFIC = (*_TRAFFIC, "new_users")
# Rows that were pulled before it was asked for lack it: what is not whole is not known.
_SECONDS = "IF(COUNT(raw.user_engagement_duration) = COUNT(*), SUM(raw.user_engagement_duration), NULL)"


def _visited(
    entity_type: str,
    table: str,
    columns: tuple[str, ...],
    dimension: str = "",
    attributes: str = "",
    keys: tuple[str, ...] = (),
    reads: tuple[str, ...] = (),
    late_days: int = 0,
) -> Entity:
    """An entity whose sessions add up to those of its raw rows."""
    measured = "raw.sessions", "metrics.sessions"
    return Entity(entity_type, table, columns, dimension, attributes, keys, *measured, reads, late_days=late_days)


WEB: tuple[Entity, ...] = (
    _visited(
        "page",
        "ga_page_performance",
        (*_TRAFFIC, "pageviews", "attributes"),
        keys=("engagement_seconds", "organic_conversions", "organic_sessions", "page_template", "scroll_90_events"),
        reads=("ga_landing_page_channels", "ga_page_scrolls"),
    ),
    _visited(
        "landing_page",
        "ga_landing_pages",
        (*_TRAFFIC, "cost", "attributes"),
        keys=(
            "engagement_seconds",
            "organic_conversions",
            "organic_sessions",
            "page_title",
            "page_type",
            "paid_conversions",
            "paid_sessions",
        ),
        reads=("ga_landing_page_channels", "ga_error_pages", "google_ads_landing_pages"),
        late_days=_SOON,
    ),
    _visited(
        "landing_page_device",
        "ga_landing_page_devices",
        (*_TRAFFIC, "attributes"),
        "CONCAT(raw.landing_page, '|', raw.device_category)",
        "JSON_OBJECT('device', ANY_VALUE(raw.device_category), 'landing_page', ANY_VALUE(raw.landing_page))",
        ("device", "landing_page"),
    ),
    _visited(
        "landing_page_source",
        "ga_landing_page_sources",
        (*_TRAFFIC, "attributes"),
        "CONCAT(raw.landing_page, '|', raw.session_source, ' / ', raw.session_medium)",
        "JSON_OBJECT('landing_page', ANY_VALUE(raw.landing_page), "
        "'source', ANY_VALUE(CONCAT(raw.session_source, ' / ', raw.session_medium)))",
        ("landing_page", "source"),
    ),
    _visited(
        "device",
        "ga_device_metrics",
        (*_NEW_TRAFFIC, "attributes"),
        "raw.device_category",
        f"JSON_OBJECT('engagement_seconds', {_SECONDS})",
        ("engagement_seconds",),
    ),
    _visited("browser", "ga_device_metrics", _NEW_TRAFFIC, "raw.browser"),
    _visited(
        "country",
        "ga_countries",
        (*_TRAFFIC, "pageviews", "attributes"),
        "raw.country",
        f"JSON_OBJECT('engagement_seconds', {_SECONDS}, 'orders', SUM(raw.ecommerce_purchases))",
        ("engagement_seconds", "orders"),
    ),
    _visited(
        "source_medium",
        "ga_traffic_sources",
        (*_NEW_TRAFFIC, "attributes"),
        keys=("channel",),
    ),
    Entity(
        "channel",
        "ga_traffic_sources",
        (*_NEW_TRAFFIC, "cost", "attributes"),
        keys=("ltv_12m", "m3_retention", "new_customers"),
        measure_in="raw.sessions",
        measure_out="metrics.sessions",
        reads=(
            "google_ads_campaigns",
            "stripe_charges",
            "stripe_refunds",
            "stripe_customers",
            "stripe_subscriptions",
            "stripe_subscription_changes",
            "stripe_invoices",
            "stripe_prices",
        ),
        stock_days=RETENTION_DAYS,
        late_days=_REST,
    ),
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
        keys=("entered_by",),
        measure_in="IF(raw.event_name IN ('session_start', 'view_item', 'add_to_cart', 'begin_checkout'), "
        "raw.sessions, 0)",
        measure_out="metrics.sessions",
    ),
    Entity(
        "funnel_step_device",
        "ga_funnel_event_devices",
        ("sessions", "conversions", "attributes"),
        keys=("device", "entered_by", "pair_before", "step"),
        measure_in="IF(raw.event_name IN ('session_start', 'view_item', 'add_to_cart', 'begin_checkout'), "
        "raw.sessions, 0)",
        measure_out="metrics.sessions",
    ),
    Entity(
        "funnel",
        "ga_funnel_events",
        ("sessions", "conversions", "attributes"),
        keys=("cart_sessions", "step"),
        measure_in="IF(raw.event_name = 'begin_checkout', raw.sessions, 0)",
        measure_out="metrics.sessions",
    ),
)
