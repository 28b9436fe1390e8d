"""What every raw row carries, whatever its source."""

from dataclasses import dataclass
from datetime import date as Day
from datetime import datetime
from typing import ClassVar

from pydantic import Field

from shared.schema.record import Immutable, Key, Record

RETENTION_DAYS = 800


@dataclass(frozen=True)
class Measured:
    """Which columns tell how good the data themselves are; "" where a record has none.

    main: a sum by which it is seen that a day was restated. sessions, cost, revenue: what is counted of rows, and of
    those of them that were not mapped. amount: what one row is about, in `currency`; its median tells the unit.
    alias_of, alias: the entity type and the column by which a row is found among the aliases of its source.
    """

    main: str = ""
    sessions: str = ""
    cost: str = ""
    revenue: str = ""
    amount: str = ""
    currency: str = ""
    alias_of: str = ""
    alias: str = ""


class SourceRow(Record):
    """What every raw row carries."""

    measured: ClassVar[Measured] = Measured()
    watched: ClassVar[tuple[str, ...]] = ()
    """Columns that are hardly ever empty: where they suddenly are, something has broken."""

    lasting: ClassVar[bool] = False
    """True of an object that goes on changing after its day, as a customer; a report's row tells of its day alone."""

    tenant_id: Key[str]
    source: str
    date: Immutable[Day] = Field(description="The day, in the source's own time zone.")
    sync_run_id: str | None = Field(None, description="The sync that wrote this version of the row, if one did.")
    synced_at: datetime | None = None
