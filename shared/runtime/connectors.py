"""The adapters of sources, each connected when it is first pulled; one breaker for each source of each tenant.

One tenant's broken account opens no breaker of another's.
"""

from collections.abc import Callable
from functools import cache
from typing import TYPE_CHECKING

from shared.runtime.breaker import Breakers
from shared.runtime.guard import guard
from shared.settings import Settings

if TYPE_CHECKING:
    from shared.sources.source import Source

ASKING = ("pages", "check", "fetch", "held", "gone")
"""What asks the vendor. Reading a webhook's notices does not, and says nothing of how the vendor does."""


def connectors(at: Settings, breakers: Breakers) -> "dict[str, Callable[[str], Source]]":
    """Source -> its adapter for a tenant. Importing and connecting wait until one is asked for."""

    def ga4() -> "Source":
        from shared.adapters.ga4 import Ga4Source

        return Ga4Source.connect(at.ga4_endpoint)

    def google_ads() -> "Source":
        from shared.adapters.google_ads import GoogleAdsSource

        return GoogleAdsSource.connect(at.google_ads_endpoint, at.google_token_endpoint)

    def search_console() -> "Source":
        from shared.adapters.search_console import SearchConsoleSource

        return SearchConsoleSource.connect(at.search_console_endpoint, at.google_token_endpoint)

    def stripe() -> "Source":
        from shared.adapters.stripe import StripeSource

        return StripeSource.connect(at.stripe_endpoint)

    def activecampaign() -> "Source":
        from shared.adapters.activecampaign import ActiveCampaignSource

        return ActiveCampaignSource.connect(at.activecampaign_endpoint)

    def for_tenant(connect: Callable[[], "Source"]) -> "Callable[[str], Source]":
        connected = cache(connect)
        return lambda tenant_id: guard(connected(), breakers[f"{connect.__name__}:{tenant_id}"], only=ASKING)

    every = (ga4, google_ads, search_console, stripe, activecampaign)
    return {connect.__name__: for_tenant(connect) for connect in every}
