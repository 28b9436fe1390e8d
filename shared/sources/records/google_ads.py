"""Raw rows of Google Ads: one document per (report, day, thing), with a deterministic id."""

from typing import Literal

from pydantic import Field

from shared.schema.record import Collection, Table
from shared.sources.records.row import RETENTION_DAYS, Measured, SourceRow


class GoogleAdsRow(SourceRow):
    """What Google Ads measures of one thing on one day, the day in the account's time zone.

    Money is in the account's currency, not in micros. Conversions are fractional, and are counted on the day of the
    click: those of recent days still come.
    """

    source: Literal["google_ads"] = "google_ads"
    customer_id: str = Field(pattern=r"^\d{1,10}$", description="The account.")
    currency: str = Field(pattern=r"^[A-Z]{3}$", description="The account's currency, which all its money is in.")
    campaign_id: str
    campaign_name: str
    impressions: int = Field(ge=0)
    clicks: int = Field(ge=0)
    cost: float = Field(ge=0)
    conversions: float = Field(ge=0)
    conversions_value: float

    measured = Measured(
        main="cost", cost="cost", amount="cost", currency="currency", alias_of="campaign", alias="campaign_id"
    )


class GoogleAdsCampaign(GoogleAdsRow):
    """One campaign on one kind of device on one day.

    Status and budget are those of the time at which the day was last pulled: Google Ads keeps no others.
    """

    status: str
    channel_type: str = Field(description="SEARCH, DISPLAY, SHOPPING, PERFORMANCE_MAX, ...")
    device: str = Field(description="MOBILE, DESKTOP, TABLET, CONNECTED_TV or OTHER.")
    daily_budget: float | None = Field(None, ge=0, description="Of the whole campaign; none where it has a total one.")
    search_lost_is_budget: float | None = Field(
        None, ge=0, le=1, description="Share of the impressions in search on the device that were lost to the budget."
    )
    search_lost_is_rank: float | None = Field(
        None,
        ge=0,
        le=1,
        description="Share of the impressions in search on the device that were lost to the ads' rank.",
    )

    collection = Collection("tenants/{tenant_id}/google_ads_campaigns")
    table = Table(
        "aso_tenant_{tenant_id}.google_ads_campaigns",
        partition_by="date",
        cluster_by=("campaign_id", "device"),
        retention_days=RETENTION_DAYS,
    )


class GoogleAdsAdGroup(GoogleAdsRow):
    """One ad group on one day."""

    ad_group_id: str
    ad_group_name: str
    status: str

    collection = Collection("tenants/{tenant_id}/google_ads_ad_groups")
    table = Table(
        "aso_tenant_{tenant_id}.google_ads_ad_groups",
        partition_by="date",
        cluster_by=("campaign_id", "ad_group_id"),
        retention_days=RETENTION_DAYS,
    )


class GoogleAdsKeyword(GoogleAdsRow):
    """One keyword of one ad group on one day."""

    ad_group_id: str
    criterion_id: str
    keyword_text: str
    match_type: str = Field(description="EXACT, PHRASE or BROAD.")
    status: str

    collection = Collection("tenants/{tenant_id}/google_ads_keywords")
    table = Table(
        "aso_tenant_{tenant_id}.google_ads_keywords",
        partition_by="date",
        cluster_by=("keyword_text",),
        retention_days=RETENTION_DAYS,
    )


class GoogleAdsLandingPage(GoogleAdsRow):
    """What the ads of one campaign that lead to one page cost on one day."""

    final_url: str = Field(description="The page as the ads name it, without what is added for tracking.")

    collection = Collection("tenants/{tenant_id}/google_ads_landing_pages")
    table = Table(
        "aso_tenant_{tenant_id}.google_ads_landing_pages",
        partition_by="date",
        cluster_by=("final_url",),
        retention_days=RETENTION_DAYS,
    )


class GoogleAdsSearchTerm(GoogleAdsRow):
    """What people searched for when they saw the ads of one ad group on one day."""

    ad_group_id: str
    search_term: str
    status: str = Field(description="NONE, ADDED, EXCLUDED or ADDED_EXCLUDED: what the term is among our keywords.")

    collection = Collection("tenants/{tenant_id}/google_ads_search_terms")
    table = Table(
        "aso_tenant_{tenant_id}.google_ads_search_terms",
        partition_by="date",
        cluster_by=("search_term",),
        retention_days=RETENTION_DAYS,
    )
