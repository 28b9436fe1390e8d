"""What every raw row carries, whatever its source."""

from datetime import date as Day
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from shared.schema.record import Immutable, Key, Record

RETENTION_DAYS = 800


class SourceRow(Record):
    """What every raw row carries."""

    lasting: ClassVar[bool] = False
    """True of an object that goes on changing after its day, as a customer; a report's row tells of its day alone."""

    tenant_id: Key[str]
    source: str
    date: Immutable[Day] = Field(description="The day, in the source's own time zone.")
    sync_run_id: str | None = Field(None, description="The sync that wrote this version of the row, if one did.")
    synced_at: datetime | None = None
