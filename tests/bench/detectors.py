"""How long the whole catalogue takes over the rows that spec 1 counted, and how many statements it needs.

The alternative is one query per detector, built from the same declarations, on the same emulator in the same run.
Rows: 117,740 of keywords, 45,793 of pages and 12,990 of campaigns in the last 30 days, and as many in each of the two
months before, which the windows need; besides a small site, so that every detector has something to judge.
"""

import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shared.adapters.bigquery import BigQueryWarehouse
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import Plan, compiled, plan
from shared.detectors.service import Detectors
from tests.bench.figure import Figure, compare
from tests.support.bigquery import bigquery_emulator
from tests.support.detector_cases import found
from tests.support.detectors import AS_OF, Bench, connect

ROWS_OF_30_DAYS = {"keyword": 117_740, "page": 45_793, "campaign": 12_990}
MONTHS = 3
AGAINST = "one query per detector"
FILL = """
INSERT INTO `{table}` (tenant_id, date, entity_type, entity_id, sessions, engaged_sessions, conversions, revenue)
SELECT
  'bench',
  DATE_SUB(@as_of, INTERVAL 30 * month + MOD(number, 30) DAY),
  @entity_type,
  CONCAT('/template-', CAST(MOD(DIV(number, 30), 20) AS STRING), '/', CAST(DIV(number, 30) AS STRING)),
  20 + MOD(number * 7919 + month * 104729, 90),
  10 + MOD(number * 7919 + month * 104729, 60),
  CAST(MOD(number * 31 + month, 7) AS FLOAT64),
  CAST(MOD(number * 31 + month, 7) * 50 AS FLOAT64)
FROM UNNEST(GENERATE_ARRAY(0, {months} - 1)) AS month
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
    return time.perf_counter() - started


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

    def query(self, sql, **parameters):
        self.reads += 1
        return super().query(sql, **parameters)


@contextmanager
def _lab(times: int) -> Iterator[tuple[Bench, Counting]]:
    with tempfile.TemporaryDirectory() as folder, bigquery_emulator(Path(folder) / "log") as settings:
        warehouse = Counting(connect(settings).client)
        bench = Bench(warehouse, "bench")
        bench.load(found())
        for entity_type, rows in ROWS_OF_30_DAYS.items():
            if times:
                sql = FILL.format(table=f"{bench.dataset}.daily_entity_metrics", months=MONTHS)
                warehouse.execute(sql, as_of=AS_OF, entity_type=entity_type, total=rows * times)
        yield bench, warehouse
