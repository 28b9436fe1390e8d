"""The reports that the sample can answer, in the Data API's names."""

from dataclasses import dataclass

DEVICE_METRICS = ("sessions", "engagedSessions", "totalUsers", "newUsers", "keyEvents", "purchaseRevenue")


@dataclass(frozen=True)
class Report:
    """One table of the sample: a row per combination of dimension values that had activity."""

    name: str
    dimensions: tuple[str, ...]
    metrics: tuple[str, ...]


REPORTS = {
    report.name: report
    for report in (
        Report(
            "ga_property_totals",
            ("date",),
            (
                "totalUsers",
                "newUsers",
                "sessions",
                "engagedSessions",
                "screenPageViews",
                "keyEvents",
                "purchaseRevenue",
            ),
        ),
        Report(
            "ga_traffic_sources",
            ("date", "sessionSource", "sessionMedium", "sessionCampaignName", "sessionDefaultChannelGroup"),
            DEVICE_METRICS,
        ),
        Report("ga_device_metrics", ("date", "deviceCategory", "browser"), DEVICE_METRICS),
        Report(
            "ga_page_performance",
            ("date", "pagePath"),
            ("sessions", "engagedSessions", "totalUsers", "screenPageViews", "keyEvents", "purchaseRevenue"),
        ),
        Report(
            "ga_landing_pages",
            ("date", "landingPage"),
            ("sessions", "engagedSessions", "totalUsers", "keyEvents", "purchaseRevenue"),
        ),
        Report("ga_funnel_events", ("date", "eventName"), ("eventCount", "sessions", "totalUsers")),
    )
}
