"""Counts of stages, and the ledger of a sync."""

from datetime import UTC, datetime

import orjson

from shared.ops.records import Arrivals
from shared.ops.stage_counts import record_counts, stage_count
from tests.fakes import ScriptedWarehouse

AT = datetime(2026, 1, 5, 12, tzinfo=UTC)


def test_counts_leave_as_one_statement_with_values_as_a_parameter():
    warehouse = ScriptedWarehouse()
    counts = [
        stage_count("run-1", "demo", "etl", subject, rows_in=5, rows_out=4, rows_refused=1, note="it's lost")
        for subject in ("page", "device")
    ]
    record_counts(warehouse, "demo", counts)
    [(sql, parameters)] = warehouse.executed
    assert "`aso_tenant_demo.stage_counts`" in sql
    assert "it's lost" not in sql
    sent = orjson.loads(parameters["counts"])
    assert [row["subject"] for row in sent] == ["page", "device"]
    assert sent[0] == {
        "run_id": "run-1",
        "stage": "etl",
        "subject": "page",
        "tenant_id": "demo",
        "rows_in": 5,
        "rows_out": 4,
        "rows_refused": 1,
        "note": "it's lost",
        "counted_at": counts[0].counted_at.isoformat(),
    }


def test_statement_replaces_what_the_same_run_counted_before():
    warehouse = ScriptedWarehouse()
    record_counts(warehouse, "demo", [stage_count("run-1", "demo", "etl", "page", rows_in=1, rows_out=1)])
    sql = " ".join(warehouse.executed[0][0].split())
    keys = ("run_id", "stage", "subject")
    assert "ON " + " AND ".join(f"target.{key} = source.{key}" for key in keys) in sql


def test_no_counts_are_no_statement():
    warehouse = ScriptedWarehouse()
    record_counts(warehouse, "demo", [])
    assert warehouse.executed == []


def test_ledger_adds_up_the_days_of_its_pages():
    ledger = Arrivals(
        run_id="r",
        tenant_id="demo",
        source="ga4",
        collection_name="ga_page_performance",
        pages={"0": {"2026-01-05": 2, "2026-01-06": 1}, "3": {"2026-01-06": 4}},
        finished_at=AT,
    )
    assert ledger.days() == {"2026-01-05": 2, "2026-01-06": 5}
