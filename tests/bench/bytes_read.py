"""How many bytes BigQuery would read for a statement: the columns that it names, in the partitions that it prunes to.

The emulator reports none. As BigQuery counts: 8 bytes a number or date, 2 and its length a text, a JSON value's text, 0
where NULL; a column once a statement, however often it is named. Clustering would read less: it is not counted on.
"""

from collections.abc import Iterable, Mapping
from datetime import date
from typing import Any

import sqlglot
from sqlglot import expressions

from shared.adapters.bigquery import BigQueryWarehouse
from shared.detectors.compiler import Plan, Scan
from shared.detectors.metrics import METRICS

KEYS = {"date", "month", "entity_type", "entity_id"}


class Estimator:
    """Counts bytes of columns in one dataset."""

    def __init__(self, warehouse: BigQueryWarehouse, dataset: str) -> None:
        self._warehouse = warehouse
        self._dataset = dataset
        self._types: dict[str, dict[str, str]] = {}

    def read(self, plan: Plan, as_of: date) -> int:
        """Bytes that a plan's statements read."""
        parameters = plan.parameters(as_of)
        return sum(self.statement(sql, parameters[name]) for name, sql in plan.sql(self._dataset).items())

    def statement(self, sql: str, parameters: Mapping[str, Any]) -> int:
        """Bytes that one statement reads."""
        tree = sqlglot.parse_one(sql, read="bigquery")
        tables = [one for one in tree.find_all(expressions.Table) if one.name.endswith("_entity_metrics")]
        columns, ranges = set(), set()
        for table in tables:
            select = table.find_ancestor(expressions.Select)
            columns |= {one.name for one in select.find_all(expressions.Column) if one.table == table.alias}
            between = select.args["where"].find_all(expressions.Between)
            pruned = next(one for one in between if one.this.name in ("date", "month"))
            ranges.add((pruned.this.name, *(parameters[pruned.args[end].name] for end in ("low", "high"))))
        [(by, first, last)] = ranges
        return self._bytes(tables[0].name, columns, by, first, last, "TRUE")

    def windows(self, plan: Plan, as_of: date) -> int:
        """Bytes of what is declared: of each kind of entities its own metrics over its own longest window."""
        parameters = plan.parameters(as_of)
        total = 0
        for name, scan in plan.scans.items():
            for family in scan.families:
                for entity_type, asked in family.asked.items():
                    if not asked.days:
                        continue
                    named = {metric for _, _, metric in asked.sums} | set(asked.listed)
                    total += self._group(scan, parameters[name], entity_type, named, bool(asked.labels), asked.days)
        if plan.months is not None:
            for entity_type, metrics in plan.months.asked.items():
                columns = KEYS - {"date"} | _columns(metrics) | {"days"}
                first, last = (parameters["months"][key] for key in ("months_first", "months_last"))
                where = f"entity_type = '{entity_type}'"
                total += self._bytes("monthly_entity_metrics", columns, "month", first, last, where)
        return total

    def _group(
        self, scan: Scan, parameters: Mapping[str, Any], entity_type: str, metrics: set[str], labels: bool, days: Any
    ) -> int:
        longest = max(span.last for span in days)
        columns = KEYS - {"month"} | _columns(metrics) | ({"attributes"} if labels else set())
        first = date.fromordinal(parameters["last_day"].toordinal() - longest + scan.days.first)
        where = f"entity_type = '{entity_type}'"
        return self._bytes("daily_entity_metrics", columns, "date", first, parameters["last_day"], where)

    def _bytes(self, table: str, columns: Iterable[str], by: str, first: date, last: date, where: str) -> int:
        if table not in self._types:
            found = self._warehouse.client.get_table(f"{self._warehouse.client.project}.{self._dataset}.{table}")
            self._types[table] = {field.name: field.field_type for field in found.schema}
        sizes = " + ".join(_size(name, self._types[table][name]) for name in sorted(columns))
        sql = f"SELECT IFNULL(SUM({sizes}), 0) AS size FROM `{self._dataset}.{table}` AS rows_read"
        rows = self._warehouse.query(f"{sql} WHERE {by} BETWEEN @first AND @last AND {where}", first=first, last=last)
        return int(rows[0]["size"])


def _columns(metrics: Iterable[str]) -> set[str]:
    trees = (sqlglot.parse_one(METRICS[name], read="bigquery") for name in metrics if name)
    return {column.name for tree in trees for column in tree.find_all(expressions.Column)}


def _size(column: str, kind: str) -> str:
    if kind == "STRING":
        return f"IF({column} IS NULL, 0, 2 + BYTE_LENGTH({column}))"
    if kind == "JSON":
        return f"IF({column} IS NULL, 0, LENGTH(TO_JSON_STRING({column})))"
    return f"IF({column} IS NULL, 0, 8)"
