"""Raw rows as sources report them, a module a source: `google_ads.py` holds those of Google Ads.

Importing the package declares them all: a new module is imported here.
"""

from shared.sources.records.ga4 import (
    GaDeviceMetric,
    GaFunnelEvent,
    GaLandingPage,
    GaPagePerformance,
    GaRow,
    GaSessions,
    GaTotals,
    GaTrafficSource,
)
from shared.sources.records.google_ads import (
    GoogleAdsAdGroup,
    GoogleAdsCampaign,
    GoogleAdsKeyword,
    GoogleAdsRow,
    GoogleAdsSearchTerm,
)
from shared.sources.records.row import RETENTION_DAYS, SourceRow
from shared.sources.records.search_console import SearchConsoleQuery

__all__ = [
    "RETENTION_DAYS",
    "GaDeviceMetric",
    "GaFunnelEvent",
    "GaLandingPage",
    "GaPagePerformance",
    "GaRow",
    "GaSessions",
    "GaTotals",
    "GaTrafficSource",
    "GoogleAdsAdGroup",
    "GoogleAdsCampaign",
    "GoogleAdsKeyword",
    "GoogleAdsRow",
    "GoogleAdsSearchTerm",
    "SearchConsoleQuery",
    "SourceRow",
]
