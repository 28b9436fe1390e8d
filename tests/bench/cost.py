"""What streaming costs by list price, computed: bytes of real rows, and what each statement reads by BigQuery's rules.

Nothing is run and nothing is free here: free quotas are not taken off. docs/streaming.md has the table.
"""

import orjson

from shared.sources.records import GaPagePerformance
from shared.streaming.change import read_change
from shared.streaming.estimate import BIGQUERY_QUERIES, BIGQUERY_WRITES
from shared.streaming.rows import canonical
from shared.streaming.service import row_of
from shared.streaming.values import encode_fields
from tests.bench.figure import Figure
from tests.bench.stream import COLLECTION, DOCUMENT
from tests.support.streaming import event_body

MILLION = 1_000_000
GIB = 2**30
INSERT_ALL_USD_PER_GIB = 0.05
INSERT_ALL_LEAST_BYTES = 1024
TABLE_BYTES = 10 * GIB
MONTH_SECONDS = 30 * 86_400
PARTITIONS = 30


def cost_million_changes_usd() -> Figure:
    """Writing a million updates into the changelog, old document included; against insertAll, 1 KB a row at least."""
    change = read_change(event_body(f"{COLLECTION}/d", DOCUMENT, DOCUMENT, at=20, old_at=10), "event-1", None)
    assert change is not None
    assert change.fields is not None
    own = len(row_of(change, GaPagePerformance, {"tenant_id": "bench"}).data)
    text = canonical(encode_fields(change.fields)).decode()
    theirs = {"timestamp": "2026-01-05T04:15:00.000Z", "event_id": "e" * 36, "document_name": change.document_name}
    theirs |= {"document_id": "d", "operation": "UPDATE", "data": text, "old_data": text, "path_params": "{}"}
    billed = max(INSERT_ALL_LEAST_BYTES, len(orjson.dumps(theirs)))
    return _figure(
        "cost_million_changes_usd",
        MILLION * own / BIGQUERY_WRITES.per * BIGQUERY_WRITES.usd,
        "insertAll, the extension's eight columns",
        MILLION * billed / GIB * INSERT_ALL_USD_PER_GIB,
    )


def cost_merges_month_900s_usd() -> Figure:
    """A month of merges each 15 minutes into 10 GiB that always change; against merges confined to one of 30 parts."""
    return _merges(900)


def cost_merges_month_3600s_usd() -> Figure:
    """The same, each hour."""
    return _merges(3_600)


def cost_merges_month_86400s_usd() -> Figure:
    """The same, each day."""
    return _merges(86_400)


def _merges(every_seconds: int) -> Figure:
    """A MERGE with UPDATE is billed for all of the table, or all of the partitions that it is confined to."""
    merge = TABLE_BYTES / BIGQUERY_QUERIES.per * BIGQUERY_QUERIES.usd
    month = MONTH_SECONDS / every_seconds * merge
    return _figure(
        f"cost_merges_month_{every_seconds}s_usd",
        month,
        f"confined to 1 of {PARTITIONS} partitions",
        month / PARTITIONS,
    )


def _figure(name: str, value: float, against: str, other: float) -> Figure:
    value, other = round(value, 3), round(other, 3)
    return Figure(name, value, "USD", against, other, round(value / other, 2), 1, value, value)
