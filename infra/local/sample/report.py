"""The reports that the sample can answer, in the Data API's names."""

from dataclasses import dataclass

SESSION_METRICS = ("sessions", "engagedSessions", "totalUsers", "keyEvents", "purchaseRevenue")
NEW_METRICS = (*SESSION_METRICS, "newUsers")
SECONDS = "userEngagementDuration"


@dataclass(frozen=True)
class Report:
    """One table of the sample: a row per combination of dimension values that had activity."""

    name: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]


REPORTS = {
    report.name: report
    for report in (
        Report("ga_property_totals", ("date",), (*NEW_METRICS, "screenPageViews", "ecommercePurchases")),
        Report(
            "ga_traffic_sources",
            ("date", "sessionSource", "sessionMedium", "sessionCampaignName", "sessionDefaultChannelGroup"),
            NEW_METRICS,
        ),
        Report("ga_device_metrics", ("date", "deviceCategory", "browser"), (*NEW_METRICS, SECONDS)),
        Report("ga_page_performance", ("date", "pagePath"), (*SESSION_METRICS, "screenPageViews", SECONDS)),
        Report("ga_landing_pages", ("date", "landingPage"), (*SESSION_METRICS, SECONDS)),
        Report("ga_funnel_events", ("date", "eventName"), ("eventCount", "sessions", "totalUsers")),
        Report(
            "ga_countries", ("date", "country"), (*SESSION_METRICS, "screenPageViews", SECONDS, "ecommercePurchases")
        ),
        Report("ga_landing_page_channels", ("date", "landingPage", "sessionDefaultChannelGroup"), SESSION_METRICS),
        Report("ga_landing_page_devices", ("date", "landingPage", "deviceCategory"), SESSION_METRICS),
        Report("ga_landing_page_sources", ("date", "landingPage", "sessionSource", "sessionMedium"), SESSION_METRICS),
        Report("ga_funnel_event_devices", ("date", "eventName", "deviceCategory"), ("eventCount", "sessions")),
        Report("ga_page_scrolls", ("date", "pagePath", "eventName"), ("eventCount",)),
        Report("ga_error_pages", ("date", "pagePath", "pageTitle"), ("screenPageViews",)),
        Report("ga_repeated_transactions", ("date", "transactionId"), ("ecommercePurchases", "purchaseRevenue")),
    )
}
