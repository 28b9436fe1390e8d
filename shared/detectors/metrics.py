"""What detectors may read: the metrics of `daily_entity_metrics`, and where each kind of entity comes from."""

from shared.analytics.records import DailyEntityMetrics
from shared.schema.bigquery import columns

ATTRIBUTE_METRICS = ("event_count", "row_count")
"""Metrics that are keys of `attributes`."""

METRICS: dict[str, str] = {
    column.name: f"metrics.{column.name}"
    for column in columns(DailyEntityMetrics)
    if column.type in ("INT64", "FLOAT64") and column.name != "schema_version"
} | {name: f"SAFE_CAST(JSON_VALUE(metrics.attributes, '$.{name}') AS FLOAT64)" for name in ATTRIBUTE_METRICS}
"""Metric -> its SQL over a row of the table."""

SITE_PARTS = ("channel", "source_medium", "device", "landing_page", "page", "browser", "campaign")
"""Entity types whose sum is the site where no `property` rows are there; the first one covered stands in."""

SPARSE = ("event", "source_table")
"""Entity types that have no row on a day without any; a day is covered where any entity type has rows."""

SOURCES: dict[str, str] = {
    "page": "ga_page_performance",
    "landing_page": "ga_landing_pages",
    "device": "ga_device_metrics",
    "browser": "ga_device_metrics",
    "source_medium": "ga_traffic_sources",
    "channel": "ga_traffic_sources",
    "campaign": "ga_traffic_sources",
    "funnel_step": "ga_funnel_events",
    "event": "ga_funnel_events",
    "property": "ga_property_totals",
}
"""Entity type -> the source table (collection of raw documents) that it stands on."""

ENTITY_TYPES = frozenset({*SOURCES, "source_table"})
