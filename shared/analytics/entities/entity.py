"""What the ETL knows of one kind of entity, and of the kinds that are rebuilt together."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Measure:
    """A sum over the rows of a raw table and over those of an entity type, that aggregation must not change.

    optional: True where a day of which the metrics hold NULL was not measured.
    """

    entity_type: str
    table: str
    taken: str
    made: str
    optional: bool = False

    @property
    def subject(self) -> str:
        """What is counted, as the counts of stages call it."""
        return f"{self.entity_type} of {self.table}" if self.optional else self.entity_type


@dataclass(frozen=True)
class Entity:
    """One entity type.

    table: the raw table whose rows it is made of, "" where of none; reads: further ones that its SQL looks into.
    of_all: True where it is made of every raw table.
    columns: what its SQL yields besides date and entity_id, all columns of daily_entity_metrics.
    keys: what it yields in `attributes`, of the registry in attributes.py.
    dimension: the entity's id, for those whose SQL is `sessions_by.sql`; the others have `<entity_type>.sql`.
    measure_in, measure_out: a sum over the raw rows and over the entity's rows that aggregation must not change.
    adds_up: the same of tables that it reads: of each what is summed of it, and of the entity's rows.
    stock_days: 0 where a row tells what happened on its day. Else a row tells how things stood at its end: there is one
    for every day, and so many days back are made anew where something changed before them.
    late_days: so many days before one of which something is told are made anew, too. What a row tells is known so much
    later: visits come days after the mail, and of what stands from day to day a sync may tell the day after, or, where
    the source was not to be reached, later still.
    """

    entity_type: str
    table: str
    columns: tuple[str, ...]
    dimension: str = ""
    attributes: str = ""
    keys: tuple[str, ...] = ()
    measure_in: str = ""
    measure_out: str = ""
    reads: tuple[str, ...] = ()
    stock_days: int = 0
    late_days: int = 0
    of_all: bool = False
    adds_up: tuple[tuple[str, str, str], ...] = ()

    @property
    def tables(self) -> tuple[str, ...]:
        """Every raw table that it stands on."""
        return (self.table, *self.reads)

    @property
    def measures(self) -> list[Measure]:
        """What must add up."""
        own = [Measure(self.entity_type, self.table, self.measure_in, self.measure_out)] if self.measure_in else []
        return own + [Measure(self.entity_type, *each, optional=True) for each in self.adds_up]


@dataclass(frozen=True)
class Group:
    """Entity types that one statement rebuilds; their SQL is in the folder `sql/<name>`.

    aliases: True where it has an `aliases.sql`: which things of other sources are the same as which of its entities.
    last: True where it tells what became of the rows of the others: it is made once that was looked at.
    """

    name: str
    entities: tuple[Entity, ...]
    aliases: bool = False
    last: bool = False

    @property
    def tables(self) -> tuple[str, ...]:
        """Raw tables of its entities."""
        return tuple(dict.fromkeys(table for entity in self.entities for table in entity.tables))

    def sql(self, entity: Entity) -> str:
        """Path of an entity's SQL under shared/."""
        return f"analytics/sql/{self.name}/{'sessions_by' if entity.dimension else entity.entity_type}.sql"
