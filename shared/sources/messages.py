"""Messages of syncs."""

from datetime import date
from typing import ClassVar, Literal

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId
from shared.sources.reports import REPORTS

SourceName = Literal["ga4"]


class SyncAsked(Message):
    """What people and Scheduler ask: pull a source since a day; left out: since where the last sync ended."""

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    source: SourceName
    since: date | None = None


class SyncRequested(Message):
    """Pull a source in the run of this id; `report` and `offset` say where a continued slice goes on."""

    topic: ClassVar[str] = "sync-requested"

    tenant_id: TenantId
    source: SourceName
    since: date | None = None
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
    report: int = Field(0, ge=0, lt=len(REPORTS))
    offset: int = Field(0, ge=0)


class SourceSynced(Message):
    """All documents of a sync are written."""

    topic: ClassVar[str] = "source-synced"

    tenant_id: TenantId
    source: SourceName
    run_id: str
