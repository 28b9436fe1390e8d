"""How long the whole catalogue takes over the rows that spec 1 counted, how many statements it needs, what they read.

The alternative is one query per detector, built from the same declarations, on the same emulator in the same run.
Rows: 117,740 of keywords, 45,793 of pages and 12,990 of campaigns in the last 30 days, as many in each of the two
months before and in the month a year ago, which the windows need; besides a small site, so that every detector has
something to judge.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from shared.adapters.bigquery import BigQueryWarehouse
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import Plan, compiled, plan
from shared.detectors.service import Detectors
from tests.bench.bytes_read import Estimator
from tests.bench.figure import Figure, compare
from tests.support.bigquery import bigquery_emulator
from tests.support.detector_cases import found
from tests.support.detectors import AS_OF, Bench, connect

ROWS_OF_30_DAYS = {"keyword": 117_740, "page": 45_793, "campaign": 12_990}
MONTHS = (0, 1, 2, 12)
AGAINST = "one query per detector"
NOISE = "MOD(number * 7919 + month * 104729, {})"
ENTITY = "DIV(number, 30)"
VISITS, CLICKS, SHOWN = f"(20 + {NOISE.format(90)})", f"(20 + {NOISE.format(60)})", f"(20 + {NOISE.format(900)})"
RANK = f"(1 + MOD({ENTITY} * 37, 60))"
FILLED = {
    "keyword": {
        "impressions": SHOWN,
        "clicks": f"FLOOR({SHOWN} * 0.3 / {RANK} + MOD(number, 10) / 10)",
        "position": f"{RANK} + {NOISE.format(10)} / 10",
        "search_volume": f"10 + MOD({ENTITY} * 37, 150)",
        "difficulty": f"MOD({ENTITY} * 13, 100)",
        "kgr": f"MOD({ENTITY} * 11, 200) / 100",
        "attributes": f"JSON_OBJECT('page', CONCAT('/page/', CAST(MOD({ENTITY}, 1500) AS STRING)))",
    },
    "page": {
        "sessions": VISITS,
        "engaged_sessions": f"DIV({VISITS} * 55, 100)",
        "bounces": f"{VISITS} - DIV({VISITS} * 55, 100)",
        "pageviews": f"{VISITS} * 2",
        "conversions": f"FLOOR({VISITS} * 0.04 + MOD(number, 10) / 10)",
        "revenue": f"FLOOR({VISITS} * 0.04 + MOD(number, 10) / 10) * 50",
        "attributes": (
            f"JSON_OBJECT('exits', DIV({VISITS} * 6, 10), "
            f"'page_template', CONCAT('/t', CAST(MOD({ENTITY}, 20) AS STRING)))"
        ),
    },
    "campaign": {
        "cost": f"{CLICKS} * 1.2",
        "clicks": CLICKS,
        "impressions": f"{CLICKS} * 40 + {NOISE.format(200)}",
        "sessions": f"DIV({CLICKS} * 9, 10)",
        "conversions": f"FLOOR({CLICKS} * 0.05 + MOD(number, 10) / 10)",
        "revenue": f"FLOOR({CLICKS} * 0.05 + MOD(number, 10) / 10) * 45",
        "attributes": (
            f"JSON_OBJECT('ads_conversions', FLOOR({CLICKS} * 0.05 + MOD(number, 10) / 10), "
            f"'ads_value', FLOOR({CLICKS} * 0.05 + MOD(number, 10) / 10) * 45)"
        ),
    },
}
FILL = """
INSERT INTO `{table}` (tenant_id, date, entity_type, entity_id, {columns})
SELECT
  'bench',
  DATE_SUB(@as_of, INTERVAL 30 * month + MOD(number, 30) + IF(month = 12, 4, 0) DAY),
  @entity_type,
  CONCAT('/template-', CAST(MOD(DIV(number, 30), 20) AS STRING), '/', CAST(DIV(number, 30) AS STRING)),
  {values}
FROM UNNEST([{months}]) AS month
CROSS JOIN UNNEST(GENERATE_ARRAY(0, @total - 1)) AS number
"""


def detectors_seconds_176k() -> Figure:
    """Seconds of a run, from the first statement to the written account."""
    return _seconds("detectors_seconds_176k", 1, runs=3)


def detectors_seconds_1765k() -> Figure:
    """The same over ten times the rows."""
    return _seconds("detectors_seconds_1765k", 10, runs=1)


def detectors_statements() -> Figure:
    """Statements that read the metrics, whatever the number of detectors."""
    with _lab(0) as (bench, warehouse):
        return compare(
            "detectors_statements",
            "statements",
            lambda: float(_reads(bench, warehouse, [plan()])),
            AGAINST,
            lambda: float(_reads(bench, warehouse, _alone())),
            runs=1,
        )


def detectors_bytes_ratio() -> Figure:
    """Bytes read over the bytes of the windows that are declared (bytes_read.py)."""
    with _lab(1) as (bench, warehouse):
        estimator = Estimator(warehouse, bench.dataset)
        windows = estimator.windows(plan(), AS_OF)
        read, alone = estimator.read(plan(), AS_OF), sum(estimator.read(one, AS_OF) for one in _alone())
        sizes = {"declared windows": windows, "read": read, AGAINST: alone}
        shown = ", ".join(f"{name} {size / 1e6:,.1f} MB" for name, size in sizes.items())
        Console(stderr=True, soft_wrap=True).print(f"detectors_bytes_ratio: {shown}")
        return compare("detectors_bytes_ratio", "x", lambda: read / windows, AGAINST, lambda: alone / windows, runs=1)


def _seconds(name: str, times: int, runs: int) -> Figure:
    with _lab(times) as (bench, warehouse):
        return compare(
            name,
            "s",
            lambda: _timed(bench, warehouse, [plan()]),
            AGAINST,
            lambda: _timed(bench, warehouse, _alone()),
            runs=runs,
        )


def _alone() -> list[Plan]:
    return [compiled((detector,)) for detector in catalogue()]


def _timed(bench: Bench, warehouse: "Counting", plans: list[Plan]) -> float:
    started = time.perf_counter()
    _run(bench, warehouse, plans)
    seconds = time.perf_counter() - started
    # What statements yield expires; here the next run would meet it.
    for table in warehouse.client.list_tables(bench.dataset):
        if table.table_id.startswith("scan_"):
            warehouse.client.delete_table(table.reference)
    return seconds


def _reads(bench: Bench, warehouse: "Counting", plans: list[Plan]) -> int:
    warehouse.reads = 0
    _run(bench, warehouse, plans)
    return warehouse.reads


def _run(bench: Bench, warehouse: "Counting", plans: list[Plan]) -> None:
    clients = bench.clients
    for number, one in enumerate(plans):
        service = Detectors(
            warehouse, bench.ops, clients.progress, bench.publisher, clients.tenants, compiled=lambda one=one: one
        )
        service.run(bench.tenant_id, f"bench-{len(plans)}-{number}", AS_OF)


class Counting(BigQueryWarehouse):
    """Counts the statements that read the metrics."""

    reads = 0

    def columns(self, sql, into, **parameters):
        self.reads += 1
        return super().columns(sql, into, **parameters)


@contextmanager
def _lab(times: int) -> Iterator[tuple[Bench, Counting]]:
    with tempfile.TemporaryDirectory() as folder, bigquery_emulator(Path(folder) / "log") as settings:
        plain = connect(settings)
        warehouse = Counting(plain.client, plain.connect_reader)
        bench = Bench(warehouse, "bench")
        bench.load(found())
        for entity_type, rows in ROWS_OF_30_DAYS.items():
            if times:
                columns = FILLED[entity_type]
                sql = FILL.format(
                    table=f"{bench.dataset}.daily_entity_metrics",
                    columns=", ".join(columns),
                    values=", ".join(f"CAST({value} AS {_type(name)})" for name, value in columns.items()),
                    months=", ".join(map(str, MONTHS)),
                )
                warehouse.execute(sql, as_of=AS_OF, entity_type=entity_type, total=rows * times)
        bench.roll_up()
        yield bench, warehouse


def _type(column: str) -> str:
    if column == "attributes":
        return "JSON"
    return "FLOAT64" if column in ("position", "difficulty", "kgr", "conversions", "revenue", "cost") else "INT64"
