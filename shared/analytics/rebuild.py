"""Making the rows of `daily_entity_metrics` and `entity_map` anew, group by group of entities."""

from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import date, datetime, timedelta
from functools import cache
from hashlib import sha256
from typing import Any

import orjson

from shared.analytics.conservation import Held, held, loss
from shared.analytics.days import Changes, stock_days
from shared.analytics.entities import ENTITIES, Entity, Group, Measure
from shared.analytics.raw import raw_tables
from shared.analytics.records import RETENTION_DAYS, DailyEntityMetrics, EntityAlias, EntityMap
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
        # What is older than any row that is kept is not made.
        kept = until - timedelta(days=RETENTION_DAYS - 1)
        days = sorted(day for day in set[date]().union(*flows) if day >= kept)
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

    def map_entities(self, works: Sequence[Work]) -> None:
        """Every entity of these groups that has metrics on the days that they made is in the map."""
        days = sorted(set[date]().union(*(work.all_days for work in works)))
        if not days:
            return
        sql = render(
            "analytics/sql/map_entities.sql",
            dataset=self._dataset,
            tables={entity.entity_type: entity.table for entity in ENTITIES if entity.table},
            sources=sources(),
            schema_version=EntityMap.schema_version,
        )
        types = [entity.entity_type for work in works for entity in work.group.entities]
        self._warehouse.execute(sql, tenant_id=self._tenant.tenant_id, days=days, types=types, now=self._now)

    def held(self, work: Work) -> list[Held]:
        """What the metrics of the group hold of its raw rows."""
        return [
            each
            for longest, days in {0: work.days, **work.stocks}.items()
            for each in held(
                self._warehouse, self._dataset, work.entities(longest), days, self._now, _settings(self._tenant)
            )
        ]

    def counts(self, work: Work, of_group: Sequence[Held]) -> list[StageCount]:
        """What the group took in and gave out; `note` says what was lost between the raw rows and the metrics."""
        by_measure = defaultdict[Measure, list[Held]](list)
        for each in of_group:
            by_measure[each.measure].append(each)
        found = []
        for measure, those in by_measure.items():
            rows_in, rows_out = sum(each.rows_in for each in those), sum(each.rows_out for each in those)
            found.append(self._count("etl", measure.subject, rows_in, rows_out, note=loss(those)))
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
        return {
            "tenant_id": self._tenant.tenant_id,
            "days": list(days),
            "first_day": days[0],
            "last_day": days[-1],
            "now": self._now,
            **_settings(self._tenant),
        }


def fingerprint(group: Group, tenant: Tenant) -> str:
    """Of what rows are made by, beside raw rows: statements and settings. Where it differs all days are made anew."""
    return sha256(orjson.dumps([_statements(group), _settings(tenant)])).hexdigest()[:16]


@cache
def _statements(group: Group) -> str:
    aliases = render(f"analytics/sql/{group.name}/aliases.sql", dataset="") if group.aliases else ""
    return f"{group}{metrics_statement(group, group.entities, '')}{aliases}"


def _settings(tenant: Tenant) -> dict[str, Any]:
    """The tenant's settings that rows depend on, as parameters."""
    ga4, ads, search = (tenant.sources.get(name) for name in ("ga4", "google_ads", "search_console"))
    return {
        "currency": tenant.currency,
        # The site as a whole is the property; a tenant without one has a site all the same.
        "property_id": (ga4.property_id if ga4 else None) or "site",
        "customer_id": (ads.customer_id if ads else None) or "",
        "site_url": (search.site_url if search else None) or "",
        "brand_terms": [term.lower() for term in tenant.brand_terms] or [""],
        "own_domains": [host.lower() for host in tenant.own_domains] or [""],
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
