"""Messages of syncs."""

from datetime import date
from typing import Annotated, ClassVar

from pydantic import Field, StringConstraints

from shared.schema.message import Message
from shared.schema.names import TenantId

SourceName = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]{0,30}$")]


class SyncAsked(Message):
    """What people and Scheduler ask: pull a source since a day; left out: since where the last sync ended."""

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means every tenant.")
    source: SourceName
    since: date | None = None


class CheckAsked(Message):
    """Test the connection of a tenant's source."""

    tenant_id: TenantId
    source: SourceName


class CheckRequested(Message):
    """Test the connection of a tenant's source in the run of this id."""

    topic: ClassVar[str] = "check-requested"

    tenant_id: TenantId
    source: SourceName
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")


class SyncRequested(Message):
    """Pull a source in the run of this id; a slice, which has a number, goes on in a collection at a position.

    feed: the collection's number among those of the source, where its name is not known (any more).
    """

    topic: ClassVar[str] = "sync-requested"

    tenant_id: TenantId
    source: SourceName
    since: date | None = None
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
    slice: int = Field(0, ge=0)
    feed: int = Field(0, ge=0)
    collection_name: str = Field("", max_length=100)
    position: str = Field("", max_length=1_500)


class SourceSynced(Message):
    """All documents of a sync are written."""

    topic: ClassVar[str] = "source-synced"

    tenant_id: TenantId
    source: SourceName
    run_id: str
