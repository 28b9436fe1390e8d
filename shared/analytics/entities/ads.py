"""Campaigns, ad groups and search terms: what Google Ads tells of them, and Google Analytics of the same campaigns."""

from shared.analytics.entities.entity import Entity

_REST = 28
"""Days on which no ad was shown have no row of their own: that they were zeros is known once a later day is told of."""
_BOUGHT = ("impressions", "clicks", "cost", "attributes")
_BROUGHT = ("ads_conversions", "ads_value")

ADS: tuple[Entity, ...] = (
    Entity(
        "campaign",
        "ga_traffic_sources",
        ("users", "new_users", "sessions", "engaged_sessions", "bounces", "conversions", "revenue", *_BOUGHT),
        keys=(*_BROUGHT, "daily_budget", "lost_is_budget", "lost_is_rank", "monthly_budget"),
        reads=("google_ads_campaigns",),
        measure_in="raw.sessions",
        measure_out="metrics.sessions",
        late_days=_REST,
    ),
    Entity(
        "campaign_device",
        "google_ads_campaigns",
        _BOUGHT,
        keys=(*_BROUGHT, "campaign", "device"),
        measure_in="raw.clicks",
        measure_out="metrics.clicks",
    ),
    Entity(
        "ad_group",
        "google_ads_ad_groups",
        _BOUGHT,
        keys=(*_BROUGHT, "campaign", "title"),
        measure_in="raw.clicks",
        measure_out="metrics.clicks",
    ),
    Entity(
        "search_term",
        "google_ads_search_terms",
        _BOUGHT,
        keys=(*_BROUGHT, "ad_group", "campaign", "term_status"),
        measure_in="raw.clicks",
        measure_out="metrics.clicks",
    ),
)
