"""The sample's shop as a tenant: its sources, what opens them, what its people wrote, what is planted."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import orjson

from infra.local.sample import activecampaign, content, details, google_ads, search_console, stripe, stripe_won
from infra.local.sample.incident import Planted
from infra.local.vendors.activecampaign import ACCOUNT, TOKEN
from infra.local.vendors.ga4_data_api import SAMPLE_PROPERTY
from infra.local.vendors.google_oauth import CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN
from infra.local.vendors.stripe import KEY as STRIPE_KEY

SETTINGS: dict[str, Any] = {
    "sources": {
        # First, as its vendor takes five requests a second and all the others are pulled meanwhile.
        "activecampaign": {"account_id": ACCOUNT},
        "ga4": {"property_id": SAMPLE_PROPERTY},
        "google_ads": {"customer_id": google_ads.CUSTOMER_ID},
        "search_console": {"site_url": search_console.SITE_URL},
        "stripe": {},
    },
    "brand_terms": [search_console.BRAND],
    "own_domains": [search_console.SITE.partition("://")[2]],
}

PLANTED: tuple[Planted, ...] = (
    *details.PLANTED,
    *google_ads.PLANTED,
    *search_console.PLANTED,
    *content.PLANTED,
    *stripe.PLANTED,
    *stripe_won.PLANTED,
    *activecampaign.PLANTED,
)
"""What detectors must find beside the incidents of the GA4 sample."""


def credentials() -> dict[str, str]:
    """What Secret Manager would hold of the tenant, by source."""
    google = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
    return {
        "google_ads": orjson.dumps({"developer_token": "sample-developer-token", **google}).decode(),
        "search_console": orjson.dumps(google).decode(),
        "stripe": STRIPE_KEY,
        "stripe_webhook": "whsec_sample",
        "activecampaign": TOKEN,
        "activecampaign_webhook": "sample-webhook-secret-of-32-characters",
    }


def documents(today: date, tenant_id: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """What its people wrote: content pieces and keywords, by path."""
    return content.documents(today, tenant_id)
