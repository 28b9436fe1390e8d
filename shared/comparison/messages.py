"""Messages of comparisons."""

from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class ReconcileAsked(Message):
    """What people and Scheduler ask: compare one collection, or all of a tenant, or all of every tenant."""

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    collection: str | None = Field(None, min_length=1, max_length=1500, description="Path: `tenants/demo/things`.")
    database: str = Field("(default)", pattern=r"^(\(default\)|[a-z][a-z0-9-]{1,62})$")
    repair: bool = Field(False, description="Repair what is found.")
    settle_seconds: float = Field(60.0, ge=0, le=120, description="How long a write may be on its way.")


class ReconcileRequested(Message):
    """Carry on with the comparison of this id."""

    topic: ClassVar[str] = "reconcile-requested"

    tenant_id: TenantId | None = None
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
