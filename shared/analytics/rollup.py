"""Days into months: `monthly_entity_metrics` out of `daily_entity_metrics`, for detectors that look back a year.

Metrics that days add up are summed; of others the month has what its latest day says, of a position the mean. So it is
with the keys of `attributes`, those that the registry knows.
"""

from calendar import monthrange
from collections.abc import Sequence
from datetime import UTC, date, datetime

from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.records import DailyEntityMetrics, MonthlyEntityMetrics
from shared.schema.bigquery import columns
from shared.schema.ports import Warehouse
from shared.schema.sql import render

MEANS = ("position",)
LATEST = ("search_volume", "difficulty", "kgr", "mrr", "active_subscriptions")


def kinds() -> dict[str, str]:
    """How each metric is rolled up: `mean`, `latest`, or, summed, its type."""
    return {
        column.name: "mean" if column.name in MEANS else "latest" if column.name in LATEST else column.type
        for column in columns(DailyEntityMetrics)
        if column.type in ("INT64", "FLOAT64") and column.name != "schema_version"
    }


def statement(dataset: str) -> str:
    """The MERGE that rebuilds months; nothing of a run is in its text."""
    return render(
        "analytics/sql/roll_up_months.sql",
        dataset=dataset,
        metrics=kinds(),
        schema_version=MonthlyEntityMetrics.schema_version,
    )


def stretches_of_months(days: Sequence[date]) -> list[tuple[date, date]]:
    """Days, oldest first, as stretches without a month between that has none of them: of each the first and last."""
    found: list[tuple[date, date]] = []
    for day in days:
        if found and _month(day) - _month(found[-1][1]) <= 1:
            found[-1] = found[-1][0], day
        else:
            found.append((day, day))
    return found


def roll_up(warehouse: Warehouse, tenant_id: str, first_day: date, last_day: date, now: datetime | None = None) -> int:
    """Rebuild every month from that of the first day to that of the last; the rows that changed.

    Whoever loads days by hand calls it for them; the ETL calls it for those that it rebuilds.
    """
    return warehouse.execute(
        statement(f"aso_tenant_{tenant_id}"),
        tenant_id=tenant_id,
        first_day=first_day.replace(day=1),
        last_day=last_day.replace(day=monthrange(last_day.year, last_day.month)[1]),
        flows=[one.name for one in ATTRIBUTES.values() if one.kind == "flow"],
        keys=list(ATTRIBUTES),
        now=now or datetime.now(UTC),
    )


def _month(day: date) -> int:
    return day.year * 12 + day.month
