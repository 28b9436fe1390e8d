"""Messages of syncs."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId

SourceName = Literal["ga4"]


class SyncRequested(Message):
    """Pull a source since a day; `report` and `offset` say where a continued slice goes on."""

    topic: ClassVar[str] = "sync-requested"

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    source: SourceName
    since: date | None = None
    run_id: str | None = Field(None, pattern=r"^[\w.-]{1,100}$")
    report: int = Field(0, ge=0)
    offset: int = Field(0, ge=0)


class SourceSynced(Message):
    """All documents of a sync are written."""

    topic: ClassVar[str] = "source-synced"

    tenant_id: TenantId
    source: SourceName
    run_id: str
