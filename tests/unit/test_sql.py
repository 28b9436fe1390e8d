"""Refuse SQL that BigQuery would refuse and the local emulator accepts, or the other way round.

The emulator translates to another dialect: a green run on it says nothing about the rules below.
"""

import itertools
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import pytest
import sqlglot
from sqlglot import exp

from shared.adoption.extension import LATEST_COLUMNS, NEEDED, Extension
from shared.adoption.schema_views import read_schemas, schema_view
from shared.analytics.days import changes
from shared.analytics.entities import GROUPS, RAW_TABLES
from shared.analytics.rebuild import Rebuild, Work, entity_sql
from shared.analytics.rollup import statement as roll_up_months
from shared.dashboard.series import NUMERIC
from shared.detectors.compiler import plan
from shared.opportunities.outcomes import statement as outcomes_statement
from shared.schema.record import Record
from shared.schema.registry import streamed_records
from shared.schema.sql import SHARED, render
from shared.streaming.streams import stream_of
from shared.streaming.tables import base_table, exact_view, log_table, view_name
from shared.streaming.typed_view import TYPES, learn
from shared.tenants.records import Tenant
from tests.fakes import ScriptedWarehouse
from tests.support.extension import SCHEMAS

Rule = Callable[[exp.Expression], Iterator[str]]
DATASET = "aso_tenant_demo"


# --- the rules -------------------------------------------------------------------------------------------------------


def percentile_without_over(tree: exp.Expression) -> Iterator[str]:
    """BigQuery has PERCENTILE_CONT and _DISC as analytic functions only."""
    for found in tree.find_all(exp.PercentileCont, exp.PercentileDisc):
        window = found.parent.parent if isinstance(found.parent, exp.IgnoreNulls) else found.parent
        if not isinstance(window, exp.Window):
            yield f"{found.sql('bigquery')} needs OVER"


def unnest_without_alias(tree: exp.Expression) -> Iterator[str]:
    """The emulator loses the columns of an UNNEST that has no alias."""
    for found in tree.find_all(exp.Unnest):
        if isinstance(found.parent, exp.From | exp.Join) and not found.alias and not found.args.get("alias"):
            yield f"{found.sql('bigquery')} needs an alias"


def countif_over(tree: exp.Expression) -> Iterator[str]:
    """The emulator cannot; SUM(IF(x, 1, 0)) OVER says the same."""
    for found in tree.find_all(exp.CountIf):
        if isinstance(found.parent, exp.Window):
            yield f"{found.parent.sql('bigquery')}: SUM(IF(x, 1, 0)) OVER instead"


def date_trunc_without_cast(tree: exp.Expression) -> Iterator[str]:
    """DATE_TRUNC of a column is a DATETIME in the emulator, a DATE in BigQuery."""
    for found in tree.find_all(exp.DateTrunc):
        if not (isinstance(found.parent, exp.Cast) and found.parent.to.is_type("date")):
            yield f"{found.sql('bigquery')} needs CAST(... AS DATE)"


def iso_part(tree: exp.Expression) -> Iterator[str]:
    """The emulator cannot truncate to ISOWEEK; WEEK(MONDAY) is the same day."""
    for found in tree.find_all(exp.DateTrunc, exp.TimestampTrunc):
        if found.args["unit"].name.upper().startswith("ISO"):
            yield f"{found.sql('bigquery')}: WEEK(MONDAY) instead"


def unnamed_in_the_outer_select(tree: exp.Expression) -> Iterator[str]:
    """BigQuery calls them f0_, the emulator something else."""
    outer = tree
    while isinstance(outer, exp.SetOperation | exp.Subquery):
        outer = outer.this
    if isinstance(outer, exp.Select):
        for found in outer.expressions:
            if not isinstance(found, exp.Alias | exp.Column | exp.Star):
                yield f"{found.sql('bigquery')} needs a name"


def star_of_a_table(tree: exp.Expression) -> Iterator[str]:
    """A column that is added later must not change a statement; of its own CTEs a statement knows the columns, and of
    rows that it reads from a table by a condition it names them.
    """
    named = {cte.alias for cte in tree.find_all(exp.CTE)}
    for select in tree.find_all(exp.Select):
        if isinstance(select.parent, exp.Subquery) and isinstance(select.parent.parent, exp.From):
            continue
        joined = [select.args.get("from_"), *(select.args.get("joins") or [])]
        sources = [part.this for part in joined if part is not None]
        tables = {
            source.alias_or_name
            for source in sources
            if _is_table(source, named) or (isinstance(source, exp.Subquery) and _is_all_of_a_table(source.this, named))
        }
        for found in select.expressions:
            qualifier = found.table if isinstance(found, exp.Column) and isinstance(found.this, exp.Star) else None
            if (isinstance(found, exp.Star) and tables) or qualifier in tables:
                yield f"{found.sql('bigquery')} of {', '.join(sorted(tables))}: name the columns"


def insert_row(tree: exp.Expression) -> Iterator[str]:
    """INSERT ROW depends on the order of columns, which differs once a column was added."""
    for found in tree.find_all(exp.Insert):
        if isinstance(found.this, exp.Var) and found.this.name.upper() == "ROW":
            yield "INSERT ROW: name the columns"
        elif found.find_ancestor(exp.Merge) is None and not isinstance(found.this, exp.Schema):
            yield "INSERT without columns: name them"


RULES: tuple[Rule, ...] = (
    percentile_without_over,
    unnest_without_alias,
    countif_over,
    date_trunc_without_cast,
    iso_part,
    unnamed_in_the_outer_select,
    star_of_a_table,
    insert_row,
)


def lint(sql: str) -> list[str]:
    """What is wrong with a statement; sqlglot.errors.ParseError where it is none."""
    trees = [tree for tree in sqlglot.parse(sql, dialect="bigquery") if tree is not None]
    return [said for tree in trees for rule in RULES for said in rule(tree)]


def _is_table(source: exp.Expression, named: set[str]) -> bool:
    return isinstance(source, exp.Table) and not _is_cte(source, named)


def _is_all_of_a_table(select: exp.Expression, named: set[str]) -> bool:
    read = select.args.get("from_")
    return bool(isinstance(select, exp.Select) and select.is_star and read and _is_table(read.this, named))


def _is_cte(table: exp.Table, named: set[str]) -> bool:
    return not table.db and table.name in named


# --- the rules themselves --------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("sql", "said"),
    [
        ("SELECT PERCENTILE_CONT(x, 0.9) AS p FROM d.t GROUP BY y", "OVER"),
        ("SELECT PERCENTILE_DISC(x, 0.9) AS p FROM d.t", "OVER"),
        ("SELECT a FROM d.t WHERE (SELECT PERCENTILE_CONT(b, 0.5) FROM d.u AS u) > 1", "OVER"),
        ("SELECT (SELECT value FROM UNNEST(params) WHERE key = 'a') AS v FROM d.t", "alias"),
        ("SELECT x FROM d.t CROSS JOIN UNNEST(items)", "alias"),
        ("SELECT COUNTIF(x > 1) OVER (PARTITION BY y) AS n FROM d.t", "SUM(IF"),
        ("SELECT DATE_TRUNC(day, MONTH) AS m FROM d.t", "CAST"),
        ("SELECT CAST(DATE_TRUNC(day, MONTH) AS STRING) AS m FROM d.t", "CAST"),
        ("SELECT a FROM d.t WHERE DATE_TRUNC(day, WEEK(MONDAY)) = @week", "CAST"),
        ("SELECT CAST(DATE_TRUNC(day, ISOWEEK) AS DATE) AS w FROM d.t", "WEEK(MONDAY)"),
        ("SELECT COUNT(*) FROM d.t", "name"),
        ("SELECT a, b + 1 FROM d.t", "name"),
        ("WITH c AS (SELECT a FROM d.t) SELECT MAX(a) FROM c", "name"),
        ("(SELECT SUM(a) FROM d.t) UNION ALL SELECT 1 AS b", "name"),
        ("SELECT * FROM d.t", "columns"),
        ("SELECT * EXCEPT (a) FROM d.t", "columns"),
        ("SELECT t.* FROM d.t AS t", "columns"),
        ("WITH c AS (SELECT * FROM d.t) SELECT a FROM c", "columns"),
        ("SELECT u.* FROM (SELECT t.* FROM d.t AS t) AS u", "columns"),
        ("SELECT c.a FROM c JOIN (SELECT t.* FROM d.t AS t) AS u ON TRUE", "columns"),
        ("MERGE d.t AS t USING d.s AS s ON t.a = s.a WHEN NOT MATCHED THEN INSERT ROW", "columns"),
        ("INSERT INTO d.t SELECT a FROM d.s", "columns"),
    ],
)
def test_what_bigquery_and_the_emulator_disagree_on_is_caught(sql: str, said: str):
    found = lint(sql)
    assert len(found) == 1
    assert said in found[0]


@pytest.mark.parametrize(
    "sql",
    [
        "SELECT PERCENTILE_CONT(x, 0.9) OVER (PARTITION BY y) AS p FROM d.t",
        "SELECT PERCENTILE_CONT(x, 0.9 IGNORE NULLS) OVER () AS p FROM d.t",
        "SELECT (SELECT p.value FROM UNNEST(params) AS p WHERE p.key = 'a') AS v FROM d.t",
        "SELECT a FROM d.t WHERE day IN UNNEST(@days)",
        "SELECT COUNTIF(x > 1) AS n, SUM(IF(x > 1, 1, 0)) OVER () AS m FROM d.t",
        "SELECT CAST(DATE_TRUNC(day, WEEK(MONDAY)) AS DATE) AS w FROM d.t",
        "SELECT a, t.b, COUNT(*) AS n FROM d.t AS t",
        "WITH c AS (SELECT a FROM d.t) SELECT * FROM c",
        "WITH c AS (SELECT a FROM d.t) SELECT c.*, t.b FROM c LEFT JOIN d.t AS t ON t.a = c.a",
        "SELECT a FROM d.t UNION ALL SELECT 1",
        "MERGE d.t AS t USING d.s AS s ON t.a = s.a WHEN NOT MATCHED THEN INSERT (a) VALUES (s.a)",
        "INSERT INTO d.t (a) SELECT a FROM d.s",
    ],
)
def test_what_both_take_alike_is_left_alone(sql: str):
    assert lint(sql) == []


def test_what_is_no_sql_at_all_is_caught():
    with pytest.raises(sqlglot.errors.ParseError):
        lint("SELECT FROM WHERE (")


# --- every statement of the product ----------------------------------------------------------------------------------


def _etl() -> Iterator[tuple[str, str]]:
    """The statements of the ETL: each entity's and group's own, and those that a run makes of them."""
    warehouse = ScriptedWarehouse(**{"": lambda **_: []})
    day = date(2026, 1, 1)
    now = datetime(2026, 1, 1, tzinfo=UTC)
    rebuild = Rebuild(warehouse, Tenant(tenant_id="demo", created_at=now, updated_at=now), "etl-1", now)
    for group in GROUPS:
        for entity in group.entities:
            yield group.sql(entity), entity_sql(group, entity, DATASET)
        if group.aliases:
            path = f"analytics/sql/{group.name}/aliases.sql"
            yield path, render(path, dataset=DATASET)
        work = Work(group, [day], {entity.stock_days: [day] for entity in group.entities if entity.stock_days})
        rebuild.group(work)
        rebuild.counts(work, rebuild.held(work))
        rebuild.map_entities([work])
    changes(warehouse, DATASET, RAW_TABLES, now)
    steps = ["rebuild_metrics", "rebuild_aliases", "unmapped", "conserved", "map_entities"]
    run = [sql for sql, _ in (*warehouse.queries, *warehouse.executed)]
    for step, sql in itertools.product([*steps, "changed_days"], run):
        yield f"analytics/sql/{step}.sql", sql
    yield "analytics/sql/still_missing.sql", render("analytics/sql/still_missing.sql", dataset=DATASET)
    yield "analytics/sql/arrived.sql", render("analytics/sql/arrived.sql", dataset=DATASET, tables=RAW_TABLES)
    yield "analytics/sql/day_rows.sql", render("analytics/sql/day_rows.sql", dataset=DATASET, tables=RAW_TABLES)
    for name in ("keep_arrivals", "keep_row_counts", "ledger_days"):
        yield f"analytics/sql/{name}.sql", render(f"analytics/sql/{name}.sql", dataset=DATASET)
    yield "analytics/sql/roll_up_months.sql", roll_up_months(DATASET)


def _of(record: type[Record]) -> Iterator[tuple[str, str]]:
    """The statements of one streamed record."""
    log, base = f"{DATASET}.{log_table(record).table}", f"{DATASET}.{base_table(record).table}"
    partition = record.table.partition_by if record.table else None
    yield "streaming/sql/exact_view.sql", exact_view(record, DATASET, datetime(2026, 1, 1, tzinfo=UTC))
    for field in {partition, None}:
        names = {"log": log, "base": base, "columns": base_table(record).column_names(), "schema_version": 1}
        yield "streaming/sql/merge.sql", render("streaming/sql/merge.sql", **names, pruned_by=field)
        yield "streaming/sql/tail.sql", render("streaming/sql/tail.sql", log=log, base=base, partition=field)
    if partition:
        yield "streaming/sql/outside.sql", render("streaming/sql/outside.sql", log=log, base=base, partition=partition)
    ttl = record.collection.ttl_field if record.collection else None
    for named in (True, False):
        current = render("streaming/sql/current.sql", log=log, base=base, ttl=ttl, named=named)
        yield "streaming/sql/current.sql", current
    made = {"into": f"{DATASET}.verify_x", "expires_at": "2026-01-01 00:00:00+00", "current": current, "most": 3900}
    made |= {"edges": f"{DATASET}.verify_x_edges", "log": log, "base": base, "rows": 10_000, "adopted_rows": 1_000}
    for name in ("fingerprints", "fingerprints_edges"):
        yield f"streaming/sql/{name}.sql", render(f"streaming/sql/{name}.sql", **made)
    yield "streaming/sql/edges.sql", render("streaming/sql/edges.sql", edges=f"{DATASET}.verify_x_edges")
    drop = "streaming/sql/drop_fingerprints.sql"
    yield drop, render(drop, fingerprints=f"{DATASET}.verify_x")
    for adopted in (True, False):
        read = {"fingerprints": f"{DATASET}.verify_x", "size": 10_000, "adopted": adopted, "letters": 8_000_000}
        path = "streaming/sql/fingerprints_page.sql"
        yield path, render(path, **read)
    staged = {"staging": f"{log}_staging", "columns": log_table(record).column_names()}
    for portioned in (True, False):
        path = "streaming/sql/backfill_insert.sql"
        yield path, render(path, log=log, base=base, **staged, portioned=portioned)
    yield "streaming/sql/backfill_added.sql", render("streaming/sql/backfill_added.sql", log=log)
    yield "streaming/sql/stored_rows.sql", render("streaming/sql/stored_rows.sql", log=log, base=base)
    yield "streaming/sql/delete_rows.sql", render("streaming/sql/delete_rows.sql", table=log)
    yield "streaming/sql/duplicates.sql", render("streaming/sql/duplicates.sql", log=log)
    tables = {"log": log, "base": base, "view": view_name(record, DATASET)}
    yield "streaming/sql/status.sql", render("streaming/sql/status.sql", **tables)
    compact = render("streaming/sql/compact.sql", log=log, columns=log_table(record).column_names())
    yield "streaming/sql/compact.sql", compact
    yield "streaming/sql/drop_old_hours.sql", render("streaming/sql/drop_old_hours.sql", log=log)


def _undeclared() -> Iterator[tuple[str, str]]:
    record = stream_of("tenants/demo/things").record
    yield from _of(record)
    learned = learn((), {(f"{kind}s", kind) for kind in TYPES} | {("strings", "map")}, ())
    yield "streaming/sql/typed_view.sql", exact_view(record, DATASET, datetime(2026, 1, 1, tzinfo=UTC), learned)


def _adoption() -> Iterator[tuple[str, str]]:
    columns = (*NEEDED, "old_data", "path_params")
    for collection, database, table in (
        ("users", "(default)", ""),
        ("users/{user_id}/orders", "shop", ""),
        ("{path=**}/orders", "(default)", ""),
        ("tenants/{tenant_id}/things", "shop", "aso_tenant_{tenant_id}.things"),
    ):
        extension = Extension.of(f"{DATASET}.some_raw_changelog", collection, "a-project", database, table)
        target = extension.target("demo" if extension.placeholder else "")
        for present in (columns, tuple(NEEDED)):
            yield "adoption/sql/changes.sql", extension.changes(present, target.names)
        counts, others = extension.inspection(columns)
        yield "adoption/sql/inspect.sql", counts
        yield "adoption/sql/others.sql", others
        yield "adoption/sql/build.sql", extension.build(target, columns)
        yield "adoption/sql/history.sql", extension.history(target, columns)
        yield "adoption/sql/raw_latest.sql", extension.latest(target, LATEST_COLUMNS)
        yield "adoption/sql/agreement.sql", extension.agreement(target, columns)
        if extension.placeholder:
            yield "adoption/sql/values.sql", extension.values()
    for name in ("columns", "objects", "view_definition", "materialized_definition"):
        yield f"adoption/sql/{name}.sql", render(f"adoption/sql/{name}.sql", dataset=DATASET)
    path = "adoption/sql/drop_view.sql"
    yield path, render(path, name=f"{DATASET}.some_raw_latest", kind="MATERIALIZED VIEW")
    for schema in read_schemas([SCHEMAS]).values():
        for kind in ("latest", "changelog"):
            yield "adoption/sql/schema_view.sql", schema_view(schema, kind, f"{DATASET}.some_history")


def _of_migrations() -> Iterator[tuple[str, str]]:
    """The statements of schema migrations."""
    table, names = f"{DATASET}.content", {"a": "a", "renamed": "b"}
    made: dict[str, list[dict[str, Any]]] = {
        "columns": [{"dataset": DATASET}],
        "update": [{"table": table, "column": "c", "expression": "'default_value'"}],
        "left_to_update": [{"table": table, "column": "c", "expression": "JSON_VALUE(data, '$.c')"}],
        "rebuild": [{"new": f"{table}_new", "old": f"{table}_before", "columns": names}],
        "same_size": [{"new": f"{table}_new", "old": f"{table}_before"}],
        "nulls": [{"table": table, "columns": names}],
        "left_to_refill": [
            {"table": table, "by": by, "kind": kind, "unit": "DAY"}
            for by, kind in (("day", "DATE"), ("at_", "TIMESTAMP"), (None, None))
        ],
    }
    for by, null in (("day", False), ("day", True), (None, True)):
        shape = {"table": table, "by": by, "null": null, "columns": ["title", "amount"]}
        made.setdefault("refill_page", []).append(shape)
        made.setdefault("refill", []).append({**shape, "staging": f"{table}_refill"})
    for name, shapes in made.items():
        for values in shapes:
            path = f"migrations/sql/{name}.sql"
            yield path, render(path, **values)


def statements() -> Iterator[tuple[str, str]]:
    """Path under shared/ and rendered text of every statement, with the names that the code renders in."""
    for record in streamed_records():
        yield from _of(record)
    yield from _undeclared()
    yield from _adoption()
    yield from _etl()
    for name, sql in plan().sql(DATASET).items():
        yield f"detectors/{'months' if name == 'months' else 'scan'}.sql", sql
    findings = f"{DATASET}.detector_findings"
    yield "detectors/replace_findings.sql", render("detectors/replace_findings.sql", table=findings, schema_version=1)
    yield "opportunities/outcomes.sql", outcomes_statement(DATASET)
    yield "opportunities/findings.sql", render("opportunities/findings.sql", dataset=DATASET)
    yield "dashboard/series.sql", render("dashboard/series.sql", dataset=DATASET, metrics=NUMERIC)
    yield "dashboard/arrival_days.sql", render("dashboard/arrival_days.sql", dataset=DATASET, most=10)
    yield "dashboard/unmapped.sql", render("dashboard/unmapped.sql", dataset=DATASET)
    yield "tenants/sql/tables.sql", render("tenants/sql/tables.sql", dataset=DATASET)
    yield "tenants/sql/row_counts.sql", render("tenants/sql/row_counts.sql", dataset=DATASET, tables=["a", "b"])
    path = "streaming/sql/tables_of_documents.sql"
    yield path, render(path, dataset=DATASET)
    path = "streaming/sql/rows_of_document.sql"
    for delete, order, by_tenant in itertools.product((False, True), ("version", "timestamp", None), (False, True)):
        for names in (["name_0", "name_1"], ["name_0"], []) if by_tenant else (["name_0"],):
            of: dict[str, Any] = {"names": names, "order": order, "by_tenant": by_tenant, "delete": delete}
            yield path, render(path, table=f"{DATASET}.some_base", **of)
    yield from _of_migrations()
    yield "ops/record_counts.sql", render("ops/record_counts.sql", dataset=DATASET)


@pytest.fixture(scope="module")
def rendered() -> list[tuple[str, str]]:
    return list(dict.fromkeys(statements()))


def test_no_statement_of_the_product_means_something_else_in_production(rendered: list[tuple[str, str]]):
    found = {f"{path}: {said}" for path, sql in rendered for said in lint(sql)}
    assert not found, "\n".join(sorted(found))


def test_every_sql_file_of_the_product_is_linted(rendered: list[tuple[str, str]]):
    files = {path.relative_to(SHARED).as_posix() for path in SHARED.rglob("*.sql")}
    missing = files - {path for path, _ in rendered}
    assert not missing, f"add to statements() above: {sorted(missing)}"


def test_no_statement_has_a_hole_left_by_a_template(rendered: list[tuple[str, str]]):
    assert not [path for path, sql in rendered if "{{" in sql or "{%" in sql or "None" in sql]


def test_every_table_is_named_with_its_dataset(rendered: list[tuple[str, str]]):
    for path, sql in rendered:
        for tree in sqlglot.parse(sql, dialect="bigquery"):
            assert tree is not None
            own = {cte.alias for cte in tree.find_all(exp.CTE)}
            bare = {table.name for table in tree.find_all(exp.Table) if not table.db and table.name} - own
            assert not bare, f"{path} reads {sorted(bare)} of no dataset"


def test_the_scan_of_the_detectors_prunes_partitions_by_parameters(rendered: list[tuple[str, str]]):
    for path, sql in rendered:
        if path.startswith("detectors/") and "daily_entity_metrics" in sql:
            predicates = list(sqlglot.parse_one(sql, dialect="bigquery").find_all(exp.Between))
            ours = [found for found in predicates if found.this.name == "date"]
            assert ours
            assert all(isinstance(found.args[end], exp.Parameter) for found in ours for end in ("low", "high"))


def test_sql_in_python_is_kept_to_what_no_file_can_say():
    # A statement in Python would escape this lint: only the view's one line, which wraps a rendered text, may be there.
    # What Google Ads is asked in is a language of its own.
    allowed = {"adapters/bigquery.py", "adapters/google_ads.py", "sources/google_ads.py"}
    for path in sorted(SHARED.rglob("*.py")):
        name = Path(path).relative_to(SHARED).as_posix()
        text = path.read_text()
        if name not in allowed:
            assert not any(f'"{word} ' in text for word in ("SELECT", "MERGE", "INSERT", "DELETE FROM", "UPDATE")), name
