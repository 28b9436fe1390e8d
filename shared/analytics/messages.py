"""Messages of the ETL."""

from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class EtlAsked(Message):
    """What people and Scheduler ask: bring the metrics of one tenant, or of all, up to date."""

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    full: bool = Field(False, description="Rebuild every day, not only those that changed.")


class EtlRequested(Message):
    """Bring a tenant's metrics up to date in the run of this id.

    It takes SourceSynced too: then `source` is given and `run_id` is the sync's, whose documents must have arrived.
    """

    topic: ClassVar[str] = "etl-requested"

    tenant_id: TenantId
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
    source: str | None = None
    full: bool = False


class EtlFinished(Message):
    """`daily_entity_metrics` of a tenant is up to date."""

    topic: ClassVar[str] = "etl-finished"

    tenant_id: TenantId
    run_id: str
