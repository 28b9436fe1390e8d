"""Raw rows as sources report them, a module a source: `google_ads.py` holds those of Google Ads.

Importing the package declares them all: a new module is imported here.
"""

from shared.sources.records.ga4 import (
    GaCountry,
    GaDeviceMetric,
    GaErrorPage,
    GaFunnelEvent,
    GaFunnelEventDevice,
    GaLandingPage,
    GaLandingPageChannel,
    GaLandingPageDevice,
    GaLandingPageSource,
    GaPagePerformance,
    GaPageScroll,
    GaRepeatedTransaction,
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
from shared.sources.records.stripe import (
    StripeCharge,
    StripeCustomer,
    StripeDispute,
    StripeInvoice,
    StripePrice,
    StripeRefund,
    StripeRow,
    StripeSubscription,
    StripeSubscriptionChange,
)

__all__ = [
    "RETENTION_DAYS",
    "GaCountry",
    "GaDeviceMetric",
    "GaErrorPage",
    "GaFunnelEvent",
    "GaFunnelEventDevice",
    "GaLandingPage",
    "GaLandingPageChannel",
    "GaLandingPageDevice",
    "GaLandingPageSource",
    "GaPagePerformance",
    "GaPageScroll",
    "GaRepeatedTransaction",
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
    "StripeCharge",
    "StripeCustomer",
    "StripeDispute",
    "StripeInvoice",
    "StripePrice",
    "StripeRefund",
    "StripeRow",
    "StripeSubscription",
    "StripeSubscriptionChange",
]
