"""The keys of `attributes` in `daily_entity_metrics`: what few kinds of entities have, and no column is spent on.

One registry for those who write them (the ETL) and those who read them (detectors, the monthly rollup).
"""

from dataclasses import dataclass
from typing import Literal

Kind = Literal["flow", "stock", "label"]


@dataclass(frozen=True)
class Attribute:
    """One key. flow: a number that days add up; stock: a number as it stands that day; label: a text."""

    name: str
    kind: Kind
    description: str


def _declared(kind: Kind, **descriptions: str) -> dict[str, Attribute]:
    return {name: Attribute(name, kind, description) for name, description in descriptions.items()}


ATTRIBUTES: dict[str, Attribute] = {
    # The data themselves.
    **_declared(
        "flow",
        event_count="event: how often it was counted.",
        row_count="source_table, table_column: raw rows of the day.",
    ),
    # Pages, landing pages, devices, sources, channels.
    **_declared(
        "flow",
        engagement_seconds="Seconds that people were engaged.",
        exits="page: sessions that ended there.",
        orders="Purchases.",
        organic_conversions="Conversions of sessions from organic search.",
        organic_sessions="Sessions from organic search.",
        paid_conversions="Conversions of sessions from paid channels.",
        paid_sessions="Sessions from paid channels.",
        scroll_90_events="page: how often 90% of it was scrolled.",
    ),
    **_declared(
        "label",
        channel="source_medium: its default channel group.",
        device="Of a pair with a device: mobile, desktop, tablet.",
        landing_page="Of a pair with a landing page: the page.",
        page_template="page: its template; the first segment of its path.",
        page_title="landing_page: the title that visitors saw.",
        source="Of a pair with a source: source / medium.",
        step="Of a pair with a funnel step: the step.",
    ),
    # Keywords and content.
    **_declared(
        "label",
        content_id="The content piece that answers the keyword.",
        keyword="Of a pair with a keyword: the keyword.",
        page="keyword, keyword_page: the page that ranks.",
    ),
    # Campaigns and ad groups.
    **_declared(
        "flow",
        ads_conversions="Conversions as Google Ads counts them.",
        ads_value="Their value.",
    ),
    **_declared(
        "label",
        ad_group="search_term: its ad group's id.",
        campaign="ad_group, search_term, campaign_device: the campaign's id.",
        term_status="search_term: NONE, ADDED or EXCLUDED, as Google Ads says.",
    ),
    # E-mail.
    # Revenue, subscriptions, customers.
}
