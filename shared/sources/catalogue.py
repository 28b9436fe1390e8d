"""The sources that there are: what each needs of a tenant, and how far back it is pulled."""

from dataclasses import dataclass

from shared.tenants.records import SourceSettings

HISTORY_DAYS = 400
"""How far the first sync looks back: a year and the weeks before it."""
REACH_DAYS = 1_100
"""How far back somebody may ask for: three years, which is more than any source keeps of its reports."""
ACCOUNTS = ("property_id", "customer_id", "site_url", "account_id")
"""The settings that name an account of a vendor."""


@dataclass(frozen=True)
class SourceKind:
    """One source.

    settings: the fields of SourceSettings that it cannot do without.
    credentials: what Secret Manager holds of each tenant, in words; empty where the function's own account is asked.
    restated_days: days that the source may still change, and that every sync pulls again.
    webhook: what the secret `<source>_webhook` of the tenant holds, in words; empty where it has no webhook.
    """

    name: str
    title: str
    settings: tuple[str, ...] = ()
    credentials: str = ""
    restated_days: int = 3
    history_days: int = HISTORY_DAYS
    webhook: str = ""

    def lacks(self, settings: SourceSettings) -> list[str]:
        """Names of settings that are missing."""
        return [name for name in self.settings if getattr(settings, name) is None]


def account(settings: SourceSettings) -> str:
    """The vendor's account that the settings name; empty where they leave it to the credentials."""
    return next((str(named) for name in ACCOUNTS if (named := getattr(settings, name)) is not None), "")


SOURCES: dict[str, SourceKind] = {
    kind.name: kind
    for kind in (
        # Restated for up to 72 hours.
        SourceKind("ga4", "Google Analytics 4", ("property_id",)),
        # Conversions are counted on the day of the click, and most of them come within two weeks of it.
        SourceKind(
            "google_ads",
            "Google Ads",
            ("customer_id",),
            "JSON: client_id, client_secret, refresh_token",
            restated_days=14,
        ),
        # Complete two to three days later.
        SourceKind(
            "search_console",
            "Search Console",
            ("site_url",),
            "JSON: client_id, client_secret, refresh_token",
            restated_days=4,
        ),
        SourceKind(
            "stripe",
            "Stripe",
            (),
            "a restricted key with read access",
            restated_days=2,
            webhook="the endpoint's signing secret",
        ),
        SourceKind(
            "activecampaign",
            "ActiveCampaign",
            ("account_id",),
            "the API key",
            restated_days=14,
            webhook="a secret of 32 characters or more that the webhook's address carries",
        ),
    )
}
