"""What a migration is made of. Steps ask what is there, not what was done: a repeat finds nothing left to do."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.ops.leases import Leases
from shared.schema.ports import Warehouse
from shared.schema.record import PLACEHOLDER, Record, Table
from shared.streaming.sink import Sink

Count = Callable[[str, int], None]


class Tables(Warehouse, Protocol):
    """BigQuery with what copying tables needs."""

    def copy_table(self, source: str, target: str) -> None:
        """Copy `dataset.table` whole, schema and layout too; the target must not exist."""
        ...

    def drop_table(self, name: str) -> None:
        """Delete `dataset.table`, or nothing."""
        ...


@dataclass(frozen=True)
class Place:
    """Where a step works, with what it needs there. count: notes what was done; called as it goes on."""

    warehouse: Tables
    sink: Callable[[], Sink]
    leases: Leases
    names: Mapping[str, str]
    migration_id: str
    count: Count = lambda what, rows: None

    def dataset(self, record: type[Record]) -> str:
        """The record's dataset here."""
        return table_of(record).dataset.format(**self.names)


class Step(Protocol):
    """One step; `record` says which tables, and by its dataset whether it is each tenant's."""

    @property
    def records(self) -> Sequence[type[Record]]:
        """Whose tables it changes."""
        ...

    def pending(self, at: Place) -> Mapping[str, int]:
        """What is left to do: how many of what; nothing where it was done."""
        ...

    def apply(self, at: Place) -> Sequence[str]:
        """Do what is left; names of tables that were kept as they were. Rejected where it never can."""
        ...


@dataclass(frozen=True)
class Migration:
    """Steps in order, applied to each target once. `migration_id`: the module's name."""

    steps: tuple[Step, ...]
    note: str
    migration_id: str = ""

    def of_tenants(self) -> bool:
        """True where it changes tables of each tenant."""
        return any(PLACEHOLDER.findall(table_of(record).dataset) for step in self.steps for record in step.records)

    def of_everybody(self) -> bool:
        """True where it changes tables that are not a tenant's."""
        return any(not PLACEHOLDER.findall(table_of(record).dataset) for step in self.steps for record in step.records)


def table_of(record: type[Record]) -> Table:
    """The record's table; TypeError where it declares none."""
    if record.table is None:
        raise TypeError(f"{record.__name__} declares no table")
    return record.table


def is_here(record: type[Record], names: Mapping[str, str]) -> bool:
    """True where the record's dataset is named by exactly these placeholders."""
    return set(PLACEHOLDER.findall(table_of(record).dataset)) == set(names)
