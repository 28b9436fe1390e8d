"""Which days are made anew: those that rows tell of; of what stands from day to day, all since something changed."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache

from shared.schema.ports import Warehouse
from shared.schema.record import Record
from shared.schema.registry import streamed_records
from shared.schema.sql import render


@dataclass(frozen=True)
class Changes:
    """What changed in the raw tables: `days` that their rows tell of; the first day of what `stands` otherwise."""

    days: Mapping[str, frozenset[date]]
    stands: Mapping[str, date]

    @property
    def tables(self) -> tuple[str, ...]:
        """The raw tables in which something changed."""
        return tuple(name for name in {**self.days, **self.stands} if name)

    def of(self, tables: Sequence[str], late_days: int = 0) -> list[date]:
        """Days that rows of these tables tell of, and so many before each of them, oldest first."""
        told = frozenset[date]().union(*(self.days.get(table, frozenset()) for table in tables))
        return sorted({day - timedelta(days=number) for day in told for number in range(late_days + 1)})

    def since(self, tables: Sequence[str], late_days: int = 0) -> date | None:
        """The first day on which something of these tables stands otherwise than before, and so many days earlier.

        None where nothing changed.
        """
        first = min((self.stands[table] for table in tables if table in self.stands), default=None)
        return first and first - timedelta(days=late_days)


def changes(warehouse: Warehouse, dataset: str, tables: Sequence[str], since: datetime) -> Changes:
    """What the logs of these tables say since a moment."""
    sql = render(
        "analytics/sql/changed_days.sql",
        dataset=dataset,
        tables=[
            {
                "name": name,
                "dated": is_dated(name),
                "lasting": getattr(_record(name), "lasting", True),
                "published": "published_at" in _record(name).model_fields,
            }
            for name in tables
        ],
    )
    days, stands = defaultdict[str, set[date]](set), dict[str, date]()
    for row in warehouse.query(sql, since=since):
        name, day = row["table_name"], row["stands_since"]
        if row["day"] is not None:
            days[name].add(row["day"])
        if day is not None:
            stands[name] = min(day, stands.get(name, day))
    return Changes({name: frozenset(found) for name, found in days.items()}, stands)


def stock_days(since: date | None, made_until: date | None, longest: int, until: date) -> list[date]:
    """Every day from the first that stands otherwise, or was never made, to `until`; not more than `longest`."""
    begins = [each for each in (since, made_until and made_until + timedelta(days=1)) if each is not None]
    if not begins:
        return []
    first = max(min(begins), until - timedelta(days=longest - 1))
    return [first + timedelta(days=number) for number in range((until - first).days + 1)]


def is_dated(table: str) -> bool:
    """True where each row of a raw table tells of a day; the tenant's own documents tell of none."""
    return "date" in _record(table).model_fields


@cache
def _record(table: str) -> type[Record]:
    [found] = [record for record in streamed_records() if record.table and record.table.table == table]
    return found
