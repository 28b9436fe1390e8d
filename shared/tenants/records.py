"""Tenants and what each may set."""

from datetime import date as Day
from datetime import datetime, timedelta
from typing import Annotated, Literal, Self

from pydantic import BaseModel, Field, model_validator

from shared.schema.record import Collection, Json, Key, Record


class SourceSettings(Record):
    """How one source of a tenant is reached."""

    enabled: bool = True
    property_id: str | None = Field(None, pattern=r"^properties/\d+$", description="GA4: `properties/123`.")
    customer_id: str | None = Field(None, pattern=r"^\d{10}$", description="Google Ads: the account, digits alone.")
    login_customer_id: str | None = Field(
        None, pattern=r"^\d{10}$", description="Google Ads: the manager account that reaches it, where one does."
    )
    site_url: str | None = Field(
        None, pattern=r"^(sc-domain:|https?://)\S+$", description="Search Console: the property, as it is named there."
    )
    account_id: str | None = Field(
        None, pattern=r"^[A-Za-z0-9_-]{1,60}$", description="Stripe: `acct_...`. ActiveCampaign: the account's name."
    )
    settling_days: int = Field(2, ge=0, le=30, description="Days that the source still restates; never judged.")


class ExpectedEvent(BaseModel, frozen=True):
    """Days that were expected to be unlike others: a campaign, a holiday, a release."""

    name: str
    kind: Literal["campaign", "holiday", "release", "other"] = "other"
    first: Day
    last: Day

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.last < self.first:
            raise ValueError("last lies before first")
        return self

    @property
    def days(self) -> list[Day]:
        """Its days."""
        return [self.first + timedelta(days=number) for number in range((self.last - self.first).days + 1)]


class Tenant(Record):
    """One customer: its name, currency and the settings that detectors and syncs read."""

    tenant_id: Key[str]
    name: str = ""
    status: Literal["active", "suspended"] = Field(
        "active", description="Of a suspended tenant nothing runs; its documents are still streamed."
    )
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    value_per_conversion: float | None = Field(None, gt=0, description="Overrides the measured one.")
    target_cpa: float | None = Field(None, gt=0, description="What a conversion of an ad may cost.")
    target_roas: float | None = Field(None, gt=0, description="What an ad's cost must bring in, as a multiple.")
    click_shares: list[Annotated[float, Field(ge=0, le=1)]] = Field(
        [],
        description="Share of searches that click on position 1, 2, ...; overrides the curve fitted on the keywords.",
    )
    own_domains: list[str] = Field([], description="Hosts of the tenant's own sites.")
    brand_terms: list[str] = Field([], description="Words that make a search one for the brand.")
    expected_events: list[ExpectedEvent] = Field([], description="Their days are in no window and no baseline.")
    sources: dict[str, SourceSettings] = {}
    detectors: Json = Field({}, description="By detector id: `enabled`, and `thresholds` by name.")
    notice: str = Field("", description="What everybody who looks at the tenant's pages should know.")
    created_at: datetime
    updated_at: datetime

    collection = Collection("tenants")
