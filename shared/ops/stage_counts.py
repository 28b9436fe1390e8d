"""What each stage of a run took in, gave out and refused, in a table that people query."""

from collections.abc import Iterable
from datetime import UTC, datetime

import orjson

from shared.ops.records import StageCount
from shared.schema.ports import Warehouse
from shared.schema.sql import render


def record_counts(warehouse: Warehouse, tenant_id: str, counts: Iterable[StageCount]) -> None:
    """Write counts; the same (run, stage, subject) again replaces them, so a repeated run is counted once."""
    rows = [orjson.loads(orjson.dumps(count.model_dump())) for count in counts]
    if rows:
        sql = render("ops/record_counts.sql", dataset=f"aso_tenant_{tenant_id}")
        warehouse.execute(sql, counts=orjson.dumps(rows).decode())


def stage_count(
    run_id: str,
    tenant_id: str,
    stage: str,
    subject: str,
    *,
    rows_in: int,
    rows_out: int,
    rows_refused: int = 0,
    note: str | None = None,
) -> StageCount:
    """One count, stamped now."""
    return StageCount(
        run_id=run_id,
        stage=stage,
        subject=subject,
        tenant_id=tenant_id,
        rows_in=rows_in,
        rows_out=rows_out,
        rows_refused=rows_refused,
        note=note,
        counted_at=datetime.now(UTC),
    )
