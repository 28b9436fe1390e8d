"""Messages of the ETL."""

from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class EtlRequested(Message):
    """Bring a tenant's metrics up to date; after a sync, once its documents have arrived.

    It takes SourceSynced too: `run_id` is then the sync's.
    """

    topic: ClassVar[str] = "etl-requested"

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    source: str | None = None
    run_id: str | None = Field(None, pattern=r"^[\w.-]{1,100}$", description="The sync, or the run of a repeat.")
    full: bool = Field(False, description="Rebuild every day, not only those that changed.")


class EtlFinished(Message):
    """`daily_entity_metrics` of a tenant is up to date."""

    topic: ClassVar[str] = "etl-finished"

    tenant_id: TenantId
    run_id: str
