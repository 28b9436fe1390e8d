"""Messages of the ETL."""

from typing import ClassVar

from shared.schema.message import Message
from shared.schema.names import TenantId


class EtlFinished(Message):
    """`daily_entity_metrics` of a tenant is up to date."""

    topic: ClassVar[str] = "etl-finished"

    tenant_id: TenantId
    run_id: str
