"""Keywords and content: what Search Console tells, beside the tenant's own keywords and pieces."""

from shared.analytics.entities.entity import Entity

_QUARTER = 92
"""The longest window of days that detectors of keywords and topics look back is 90."""
_REST = 28
"""A day on which there was nothing to tell has no row: that it was read is known once a later one is told of."""
_YEAR = 400
"""Pieces are compared with the best of their last twelve whole months."""

SEARCH: tuple[Entity, ...] = (
    Entity(
        "keyword",
        "search_console_queries",
        ("clicks", "impressions", "position", "cost", "search_volume", "difficulty", "kgr", "attributes"),
        keys=(
            "ads_clicks",
            "ads_impressions",
            "competitors_top10",
            "content_id",
            "intent",
            "organic_conversions",
            "page",
        ),
        reads=(
            "keywords",
            "content_pieces",
            "google_ads_campaigns",
            "google_ads_keywords",
            "google_ads_search_terms",
            "ga_landing_page_channels",
        ),
        stock_days=_QUARTER,
        late_days=_REST,
    ),
    Entity(
        "keyword_page",
        "search_console_queries",
        ("clicks", "impressions", "position", "attributes"),
        keys=("best_placed", "intent", "keyword", "page", "page_type"),
        reads=("keywords", "content_pieces"),
        stock_days=_QUARTER,
    ),
    Entity(
        "keyword_competitor",
        "keywords",
        ("attributes",),
        keys=("competitor", "competitor_position", "keyword", "page"),
        reads=("search_console_queries", "content_pieces"),
        stock_days=_QUARTER,
    ),
    Entity(
        "keyword_group",
        "search_console_queries",
        ("clicks", "impressions", "conversions"),
        reads=("ga_landing_page_channels",),
        measure_in="raw.clicks",
        measure_out="metrics.clicks",
        late_days=_REST,
    ),
    Entity(
        "content",
        "content_pieces",
        ("sessions", "conversions", "pageviews", "clicks", "impressions", "position", "attributes"),
        keys=(
            "content_age_days",
            "content_status",
            "engagement_seconds",
            "hub_id",
            "meta_description",
            "organic_sessions",
            "page",
            "ranking_position",
            "title",
            "word_count",
        ),
        reads=("search_console_queries", "ga_landing_pages", "ga_landing_page_channels", "ga_page_performance"),
        stock_days=_YEAR,
        late_days=_REST,
    ),
    Entity(
        "content_group",
        "content_pieces",
        ("sessions", "conversions", "attributes"),
        keys=("pieces",),
        reads=("ga_landing_pages",),
        stock_days=_QUARTER,
        late_days=_REST,
    ),
)
