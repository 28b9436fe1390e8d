"""Tenants and what each may set."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.schema.record import Collection, Json, Key, Record


class SourceSettings(Record):
    """How one source of a tenant is reached."""

    enabled: bool = True
    property_id: str | None = Field(None, description="GA4: `properties/123`.")
    settling_days: int = Field(2, ge=0, le=30, description="Days that the source still restates; never judged.")


class Tenant(Record):
    """One customer: its name, currency and the settings that detectors and syncs read."""

    tenant_id: Key[str]
    name: str = ""
    status: Literal["active", "suspended"] = Field(
        "active", description="Of a suspended tenant nothing runs; its documents are still streamed."
    )
    currency: str = Field("USD", pattern=r"^[A-Z]{3}$")
    value_per_conversion: float | None = Field(None, gt=0, description="Overrides the measured one.")
    sources: dict[str, SourceSettings] = {}
    detectors: Json = Field({}, description="Overrides by detector id.")
    notice: str = Field("", description="What everybody who looks at the tenant's pages should know.")
    created_at: datetime
    updated_at: datetime

    collection = Collection("tenants")
