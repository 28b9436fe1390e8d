"""What detectors may read: metrics and labels of `daily_entity_metrics`, and where each kind of entity comes from."""

from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.records import DailyEntityMetrics
from shared.schema.bigquery import columns

DERIVED: dict[str, str] = {
    "value_revenue": "IF(metrics.conversions IS NULL, NULL, metrics.revenue)",
    "value_conversions": "IF(metrics.revenue IS NULL, NULL, metrics.conversions)",
    "position_impressions": "IF(metrics.impressions = 0, 0, metrics.position * metrics.impressions)",
}
"""Metrics that are worked out of columns: what conversions earned on days that measure both; weights of positions."""

METRICS: dict[str, str] = (
    {
        column.name: f"metrics.{column.name}"
        for column in columns(DailyEntityMetrics)
        if column.type in ("INT64", "FLOAT64") and column.name != "schema_version"
    }
    | {
        one.name: f"SAFE_CAST(JSON_VALUE(metrics.attributes, '$.{one.name}') AS FLOAT64)"
        for one in ATTRIBUTES.values()
        if one.kind != "label"
    }
    | DERIVED
)
"""Metric -> its SQL over a row of the table."""

LABELS: frozenset[str] = frozenset(one.name for one in ATTRIBUTES.values() if one.kind == "label")
"""Texts of an entity; the newest counts."""

PERCEPTS = ("source_table", "event", "table_column", "arrival")
"""Entity types that tell of the data themselves: a tenant's expected events do not leave their days out."""

SPARSE = ("event", "source_table", "table_column")
"""Entity types that have no row on a day without any; a day is covered where any entity type has rows."""

SITE_PARTS = ("channel", "source_medium", "device", "landing_page", "page", "browser", "country")
"""Entity types whose sum is the site where no `property` rows are there."""

STAND_INS = ("channel", "device")
"""Those of them that are asked for the site's figures on behalf of others."""

SOURCES: dict[str, tuple[str, ...]] = {
    "page": ("ga_page_performance",),
    "landing_page": ("ga_landing_pages",),
    "landing_page_source": ("ga_landing_page_sources",),
    "landing_page_device": ("ga_landing_page_devices",),
    "device": ("ga_device_metrics",),
    "browser": ("ga_device_metrics",),
    "country": ("ga_countries",),
    "source_medium": ("ga_traffic_sources",),
    "channel": ("ga_traffic_sources",),
    "funnel_step": ("ga_funnel_events",),
    "funnel_step_device": ("ga_funnel_event_devices",),
    "funnel": ("ga_funnel_events",),
    "event": ("ga_funnel_events",),
    "property": ("ga_property_totals",),
    "utm_group": ("ga_traffic_sources",),
    "payment_method": ("stripe_charges",),
    "lead": ("ac_contacts",),
    "keyword": ("keywords",),
    "keyword_page": ("search_console_queries",),
    "keyword_competitor": ("keywords",),
    "keyword_group": ("search_console_queries",),
    "content": ("content_pieces",),
    "content_group": ("content_pieces",),
    "campaign": ("google_ads_campaigns", "ga_traffic_sources"),
    "campaign_device": ("google_ads_campaigns",),
    "ad_group": ("google_ads_ad_groups",),
    "search_term": ("google_ads_search_terms",),
    "email_campaign": ("ac_campaigns",),
    "email_type": ("ac_campaigns",),
    "email_list": ("ac_lists",),
    "email_list_hour": ("ac_campaigns",),
    "sending_domain": ("ac_campaigns",),
    "contact_segment": ("ac_contacts",),
    "automation": ("ac_automations",),
    "automation_step": ("ac_automations",),
    "product": ("stripe_charges",),
    "first_product": ("stripe_charges",),
    "order_cohort": ("stripe_charges",),
    "customer": ("stripe_customers",),
    "customer_segment": ("stripe_customers",),
    "plan": ("stripe_subscriptions",),
    "subscription": ("stripe_subscriptions",),
    "subscription_cohort": ("stripe_subscriptions",),
}
"""Entity type -> the source tables (collections of raw documents) that it stands on."""

ENTITY_TYPES = frozenset({*SOURCES, "source_table", "table_column", "arrival"})

SCANS: dict[str, tuple[str, ...]] = {
    "web": ("data_quality", "page", "landing_page", "device", "traffic_source", "channel", "funnel"),
    "search": ("keyword", "content"),
    "ads": ("campaign", "ad_group"),
    "customers": ("email", "revenue", "subscription", "customer"),
}
"""Scan -> the domains that it is made for: one statement each."""

YEAR_AGO_DAYS = 250
"""Windows that end further back than this are read by a statement of their own, with the columns that they need."""
