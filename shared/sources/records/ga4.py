"""Raw rows of Google Analytics: one document per (report, day, dimension row), with a deterministic id."""

from typing import Literal

from pydantic import Field

from shared.schema.record import Collection, Table
from shared.sources.records.row import RETENTION_DAYS, Measured, SourceRow


class GaRow(SourceRow):
    """What every row of the Google Analytics Data API carries."""

    source: Literal["ga4"] = "ga4"
    property_id: str = Field(pattern=r"^properties/\d+$")
    sampled: bool = Field(False, description="The API computed the report from a sample.")
    thresholded: bool = Field(False, description="The API withheld rows of few users.")
    folded: bool = Field(False, description="The API folded rare values of a dimension into a row `(other)`.")


class GaSessions(GaRow):
    """What most reports measure of the sessions of one thing on one day."""

    sessions: int = Field(ge=0)
    engaged_sessions: int = Field(ge=0)
    total_users: int = Field(ge=0)
    key_events: float = Field(ge=0)
    purchase_revenue: float

    measured = Measured(main="sessions", sessions="sessions", revenue="purchase_revenue")


class GaTotals(GaSessions):
    """A property's totals of one day."""

    new_users: int = Field(ge=0)
    screen_page_views: int = Field(ge=0)
    ecommerce_purchases: int | None = Field(None, ge=0, description="Purchase events.")

    collection = Collection("tenants/{tenant_id}/ga_property_totals")
    table = Table("aso_tenant_{tenant_id}.ga_property_totals", partition_by="date", retention_days=RETENTION_DAYS)


class GaTrafficSource(GaSessions):
    """Sessions of one source, medium and campaign on one day."""

    session_source: str
    session_medium: str
    session_campaign_name: str
    session_default_channel_group: str
    new_users: int = Field(ge=0)

    watched = ("session_source", "session_medium", "session_campaign_name")
    collection = Collection("tenants/{tenant_id}/ga_traffic_sources")
    table = Table(
        "aso_tenant_{tenant_id}.ga_traffic_sources",
        partition_by="date",
        cluster_by=("session_source", "session_medium"),
        retention_days=RETENTION_DAYS,
    )


class GaDeviceMetric(GaSessions):
    """Sessions of one device category and browser on one day."""

    device_category: str
    browser: str
    new_users: int = Field(ge=0)
    user_engagement_duration: int | None = Field(None, ge=0, description="Seconds in the foreground.")

    watched = ("device_category", "user_engagement_duration")
    collection = Collection("tenants/{tenant_id}/ga_device_metrics")
    table = Table(
        "aso_tenant_{tenant_id}.ga_device_metrics",
        partition_by="date",
        cluster_by=("device_category", "browser"),
        retention_days=RETENTION_DAYS,
    )


class GaPagePerformance(GaSessions):
    """One page on one day."""

    page_path: str
    screen_page_views: int = Field(ge=0)
    user_engagement_duration: int | None = Field(None, ge=0, description="Seconds in the foreground.")

    watched = ("page_path", "user_engagement_duration")
    collection = Collection("tenants/{tenant_id}/ga_page_performance")
    table = Table(
        "aso_tenant_{tenant_id}.ga_page_performance",
        partition_by="date",
        cluster_by=("page_path",),
        retention_days=RETENTION_DAYS,
    )


class GaLandingPage(GaSessions):
    """Sessions that began on one page on one day."""

    landing_page: str
    user_engagement_duration: int | None = Field(None, ge=0, description="Seconds in the foreground.")

    watched = ("landing_page", "user_engagement_duration")
    collection = Collection("tenants/{tenant_id}/ga_landing_pages")
    table = Table(
        "aso_tenant_{tenant_id}.ga_landing_pages",
        partition_by="date",
        cluster_by=("landing_page",),
        retention_days=RETENTION_DAYS,
    )


class GaFunnelEvent(GaRow):
    """One event name on one day: how often, in how many sessions."""

    event_name: str
    event_count: int = Field(ge=0)
    sessions: int = Field(ge=0)
    total_users: int = Field(ge=0)

    measured = Measured(main="event_count")
    collection = Collection("tenants/{tenant_id}/ga_funnel_events")
    table = Table(
        "aso_tenant_{tenant_id}.ga_funnel_events",
        partition_by="date",
        cluster_by=("event_name",),
        retention_days=RETENTION_DAYS,
    )


class GaLandingPageChannel(GaSessions):
    """Sessions from search engines or advertising that began on one page on one day, by default channel group."""

    landing_page: str
    session_default_channel_group: str

    collection = Collection("tenants/{tenant_id}/ga_landing_page_channels")
    table = Table(
        "aso_tenant_{tenant_id}.ga_landing_page_channels",
        partition_by="date",
        cluster_by=("landing_page",),
        retention_days=RETENTION_DAYS,
    )


class GaLandingPageDevice(GaSessions):
    """Sessions that began on one page on one kind of device on one day, where there were a few."""

    landing_page: str
    device_category: str

    collection = Collection("tenants/{tenant_id}/ga_landing_page_devices")
    table = Table(
        "aso_tenant_{tenant_id}.ga_landing_page_devices",
        partition_by="date",
        cluster_by=("landing_page",),
        retention_days=RETENTION_DAYS,
    )


class GaLandingPageSource(GaSessions):
    """Sessions from one source and medium that began on one page on one day, where there were a few."""

    landing_page: str
    session_source: str
    session_medium: str

    collection = Collection("tenants/{tenant_id}/ga_landing_page_sources")
    table = Table(
        "aso_tenant_{tenant_id}.ga_landing_page_sources",
        partition_by="date",
        cluster_by=("landing_page",),
        retention_days=RETENTION_DAYS,
    )


class GaCountry(GaSessions):
    """Sessions from one country on one day."""

    country: str
    screen_page_views: int = Field(ge=0)
    user_engagement_duration: int = Field(ge=0, description="Seconds in the foreground.")
    ecommerce_purchases: int = Field(ge=0, description="Purchase events.")

    watched = ("country",)
    collection = Collection("tenants/{tenant_id}/ga_countries")
    table = Table(
        "aso_tenant_{tenant_id}.ga_countries",
        partition_by="date",
        cluster_by=("country",),
        retention_days=RETENTION_DAYS,
    )


class GaPageScroll(GaRow):
    """How often 90% of one page was scrolled on one day: events named `scroll`."""

    page_path: str
    event_count: int = Field(ge=0)

    measured = Measured(main="event_count")
    collection = Collection("tenants/{tenant_id}/ga_page_scrolls")
    table = Table(
        "aso_tenant_{tenant_id}.ga_page_scrolls",
        partition_by="date",
        cluster_by=("page_path",),
        retention_days=RETENTION_DAYS,
    )


class GaErrorPage(GaRow):
    """Views of one page on one day under a title that tells of an error."""

    page_path: str
    page_title: str
    screen_page_views: int = Field(ge=0)

    measured = Measured(main="screen_page_views")
    collection = Collection("tenants/{tenant_id}/ga_error_pages")
    table = Table(
        "aso_tenant_{tenant_id}.ga_error_pages",
        partition_by="date",
        cluster_by=("page_path",),
        retention_days=RETENTION_DAYS,
    )


class GaFunnelEventDevice(GaRow):
    """One event of the funnel on one kind of device on one day: how often, in how many sessions."""

    event_name: str
    device_category: str
    event_count: int = Field(ge=0)
    sessions: int = Field(ge=0)

    measured = Measured(main="event_count")
    collection = Collection("tenants/{tenant_id}/ga_funnel_event_devices")
    table = Table(
        "aso_tenant_{tenant_id}.ga_funnel_event_devices",
        partition_by="date",
        cluster_by=("event_name",),
        retention_days=RETENTION_DAYS,
    )


class GaRepeatedTransaction(GaRow):
    """One transaction that more than one purchase event of a day told of."""

    transaction_id: str
    ecommerce_purchases: int = Field(ge=0, description="Purchase events.")
    purchase_revenue: float = Field(description="Of all of them.")

    measured = Measured(main="ecommerce_purchases", revenue="purchase_revenue")
    collection = Collection("tenants/{tenant_id}/ga_repeated_transactions")
    table = Table(
        "aso_tenant_{tenant_id}.ga_repeated_transactions",
        partition_by="date",
        retention_days=RETENTION_DAYS,
    )
