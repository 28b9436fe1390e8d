"""Making the rows of `daily_entity_metrics` and `entity_map` anew, group by group of entities."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime
from typing import Any

from shared.analytics.days import Changes, stock_days
from shared.analytics.entities import ENTITIES, Entity, Group
from shared.analytics.raw import raw_tables
from shared.analytics.records import ArrivalDay, DailyEntityMetrics, EntityAlias, EntityMap
from shared.ops.records import StageCount
from shared.ops.stage_counts import stage_count
from shared.schema.bigquery import columns, plain_table
from shared.schema.ports import Warehouse
from shared.schema.registry import streamed_records
from shared.schema.sql import render
from shared.tenants.records import Tenant


@dataclass(frozen=True)
class Work:
    """What is to be done of one group: days that rows tell of, and, by how long they stand, those of its stocks."""

    group: Group
    days: Sequence[date]
    stocks: Mapping[int, Sequence[date]]
    told: Sequence[date] = ()
    """The days that changed rows tell of: fewer than are made anew."""

    @classmethod
    def of(cls, group: Group, changed: Changes, made_until: date | None, until: date) -> "Work":
        """From what changed; made_until: the day until which the group's stocks were made; until: the last to make."""

        def tables(entity: Entity) -> tuple[str, ...]:
            return changed.tables if entity.of_all else entity.tables

        flows = [changed.of(tables(entity), entity.late_days) for entity in group.entities if not entity.stock_days]
        stocks = {}
        # The longest first: what has arrived is told by how much each table holds.
        for longest in sorted({entity.stock_days for entity in group.entities} - {0}, reverse=True):
            begins = [
                changed.since(tables(entity), entity.late_days)
                for entity in group.entities
                if entity.stock_days == longest
            ]
            since = min((day for day in begins if day is not None), default=None)
            stocks[longest] = stock_days(since, made_until, longest, until)
        days = sorted(set[date]().union(*flows))
        told = [changed.of(tables(entity)) for entity in group.entities if not entity.stock_days]
        stocks = {longest: stood for longest, stood in stocks.items() if stood}
        return cls(group, days, stocks, sorted(set[date]().union(*told)))

    @property
    def all_days(self) -> set[date]:
        """Every day that it touches."""
        return {*self.days, *(day for days in self.stocks.values() for day in days)}

    def entities(self, longest: int = 0) -> list[Entity]:
        """The flows of the group, or its stocks that stand so long."""
        return [entity for entity in self.group.entities if entity.stock_days == longest]


class Rebuild:
    """The statements of one tenant's run. Each is repeatable, and leaves either the old rows or the new ones."""

    def __init__(self, warehouse: Warehouse, tenant: Tenant, run_id: str, now: datetime) -> None:
        self._warehouse = warehouse
        self._tenant = tenant
        self._dataset = f"aso_tenant_{tenant.tenant_id}"
        self._run_id = run_id
        self._now = now

    def group(self, work: Work) -> int:
        """Make the group's rows anew; how many changed."""
        changed = 0
        if work.group.aliases:
            self._aliases(work.group)
        for longest, days in {0: work.days, **work.stocks}.items():
            if days and (entities := work.entities(longest)):
                changed += self._metrics(work.group, entities, days)
        return changed

    def _metrics(self, group: Group, entities: Sequence[Entity], days: Sequence[date]) -> int:
        return self._warehouse.execute(metrics_statement(group, entities, self._dataset), **self._parameters(days))

    def _aliases(self, group: Group) -> None:
        self._warehouse.ensure_table(self._dataset, plain_table(EntityAlias))
        select = render(f"analytics/sql/{group.name}/aliases.sql", dataset=self._dataset)
        sql = render(
            "analytics/sql/rebuild_aliases.sql",
            dataset=self._dataset,
            group=group.name,
            select=select,
            schema_version=EntityAlias.schema_version,
        )
        self._warehouse.execute(sql, **self._parameters([self._now.date()]))

    def map_entities(self, days: Sequence[date]) -> None:
        """Every entity that has metrics on these days is in the map."""
        sql = render(
            "analytics/sql/map_entities.sql",
            dataset=self._dataset,
            tables={entity.entity_type: entity.table for entity in ENTITIES if entity.table},
            sources=sources(),
            schema_version=EntityMap.schema_version,
        )
        self._warehouse.execute(sql, tenant_id=self._tenant.tenant_id, days=days, now=self._now)

    def keep_aggregated(self, days: Sequence[date]) -> None:
        """The ledger of arrivals says what was aggregated of these days."""
        self._warehouse.ensure_table(self._dataset, plain_table(ArrivalDay))
        sql = render("analytics/sql/keep_aggregated.sql", dataset=self._dataset)
        self._warehouse.execute(sql, days=days, first_day=days[0], last_day=days[-1])

    def counts(self, work: Work) -> list[StageCount]:
        """What the group took in and gave out; `note` says what was lost between the raw rows and the metrics."""
        found = []
        for longest, days in {0: work.days, **work.stocks}.items():
            measured = [entity for entity in work.entities(longest) if entity.measure_in]
            if not measured or not days:
                continue
            sql = render("analytics/sql/conserved.sql", dataset=self._dataset, entities=measured)
            for row in self._warehouse.query(sql, days=list(days)):
                found.append(self._count("etl", row["entity_type"], row["rows_in"], row["rows_out"], note=_loss(row)))
        if work.group.aliases and work.all_days:
            sql = render("analytics/sql/unmapped.sql", dataset=self._dataset)
            for row in self._warehouse.query(sql, made_by=work.group.name):
                subject, mapped = f"{row['source']} {row['entity_type']}", row["aliases"] - row["unmapped"]
                found.append(self._count("map", subject, row["aliases"], mapped, row["unmapped"]))
        return found

    def _count(
        self, stage: str, subject: str, rows_in: int, rows_out: int, refused: int = 0, note: str | None = None
    ) -> StageCount:
        return stage_count(
            self._run_id,
            self._tenant.tenant_id,
            stage,
            subject,
            rows_in=rows_in,
            rows_out=rows_out,
            rows_refused=refused,
            note=note,
        )

    def _parameters(self, days: Sequence[date]) -> dict[str, Any]:
        ga4 = self._tenant.sources.get("ga4")
        return {
            "tenant_id": self._tenant.tenant_id,
            "days": list(days),
            "first_day": days[0],
            "last_day": days[-1],
            "now": self._now,
            "currency": self._tenant.currency,
            # The site as a whole is the property; a tenant without one has a site all the same.
            "property_id": (ga4.property_id if ga4 else None) or "site",
            "brand_terms": [term.lower() for term in self._tenant.brand_terms] or [""],
            "own_domains": [host.lower() for host in self._tenant.own_domains] or [""],
        }


def metrics_statement(group: Group, entities: Sequence[Entity], dataset: str) -> str:
    """The MERGE that makes the rows of entities anew."""
    types = {column.name: column.type for column in columns(DailyEntityMetrics)}
    made = dict.fromkeys(name for entity in entities for name in entity.columns)
    return render(
        "analytics/sql/rebuild_metrics.sql",
        dataset=dataset,
        columns={name: types[name] for name in made},
        entities=[
            {
                "entity_type": entity.entity_type,
                "columns": entity.columns,
                "select": entity_sql(group, entity, dataset),
            }
            for entity in entities
        ],
        schema_version=DailyEntityMetrics.schema_version,
    )


def entity_sql(group: Group, entity: Entity, dataset: str) -> str:
    """The SELECT of one entity's rows."""
    return render(group.sql(entity), dataset=dataset, tables=raw_tables(), entity=entity)


def sources() -> dict[str, str]:
    """Entity type -> the source that its raw table is of."""
    named = {
        record.table.table: str(record.model_fields["source"].default)
        for record in streamed_records()
        if record.table is not None and "source" in record.model_fields
    }
    return {entity.entity_type: named.get(entity.table, "scout") for entity in ENTITIES}


def _loss(row: dict[str, Any]) -> str | None:
    if row["measure_in"] != row["measure_out"]:
        return f"{row['measure_in']} in the raw rows, {row['measure_out']} in the metrics"
    if row["rows_in"] and not row["rows_out"]:
        return f"no metrics of {row['rows_in']} raw rows"
    if row["unmapped"]:
        return f"{row['unmapped']} rows of entities that the map does not know"
    return None
