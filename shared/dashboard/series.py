"""The metrics of an opportunity's entity by day, for the plot beside its evidence."""

from datetime import date, timedelta
from typing import Any

from shared.dashboard.evidence import windows
from shared.dashboard.needs import Needs
from shared.opportunities.records import Opportunity
from shared.schema.bigquery import columns
from shared.schema.registry import record_named
from shared.schema.sql import render

DAYS = 70
LONGEST = 400
PLOTS = 3

Values = dict[str, Any]

RATES: dict[str, tuple[str, str, str]] = {
    "cvr": ("Conversion rate", "conversions", "sessions"),
    "conversion_rate": ("Conversion rate", "conversions", "sessions"),
    "engagement_rate": ("Engagement rate", "engaged_sessions", "sessions"),
    "bounce_rate": ("Bounce rate", "bounces", "sessions"),
    "ctr": ("Click-through rate", "clicks", "impressions"),
}
"""Rates that detectors judge, with the counts they are made of."""

PREFERRED = ("sessions", "pageviews", "conversions", "revenue", "clicks", "impressions", "position")


def series(needs: Needs, opportunity: Values) -> Values:
    """Days, plots and windows of one opportunity; cached until opportunities of the tenant change.

    A day without a row is null: "not measured" is a gap in the plot, never a zero.
    """
    tenant_id, opportunity_id = opportunity["tenant_id"], opportunity["opportunity_id"]
    namespace = Opportunity.caches[0]
    scope = namespace.scope(tenant_id=tenant_id)
    key = f"{scope}:series:{opportunity_id}:{opportunity.get('as_of')}"
    found: Values = needs.cache.load(key, scope, namespace.ttl_seconds, lambda: _load(needs, opportunity))
    return found


def plotted(evidence: Values, detector_id: str, measured: list[str]) -> list[str]:
    """What to plot: a rate that the detector judges first, then the counts, at most three."""
    named = evidence.get("metrics") or evidence.get("metric") or []
    names = [named] if isinstance(named, str) else [str(name) for name in named]
    hints = [*names, *(rate for rate in RATES if rate.split("_")[0] in detector_id.split("_"))]
    rates = [name for name in dict.fromkeys(hints) if name in RATES and set(RATES[name][1:]) <= set(measured)]
    counts = [name for name in names if name in measured]
    if rates:
        counts = [RATES[rates[0]][2], RATES[rates[0]][1]]
    elif not counts:
        if "revenue" in detector_id and "revenue" in measured:
            counts = ["revenue"]
        counts += [name for name in PREFERRED if name in measured and name not in counts][:1]
    return list(dict.fromkeys([*rates[:1], *counts]))[:PLOTS]


def _load(needs: Needs, opportunity: Values) -> Values:
    evidence = opportunity.get("evidence") or {}
    compared = windows(evidence)
    last = date.fromisoformat(opportunity["as_of"])
    first = min([last - timedelta(days=DAYS - 1), *(window.first - timedelta(days=7) for window in compared)])
    first = max(first, last - timedelta(days=LONGEST - 1))
    numeric = [column.name for column in columns(record_named("daily_entity_metrics")) if _numeric(column.type)]
    sql = render("dashboard/series.sql", dataset=f"aso_tenant_{opportunity['tenant_id']}", metrics=numeric)
    rows = needs.warehouse.query(
        sql, first=first, last=last, entity_type=opportunity["entity_type"], entity_id=opportunity["entity_id"]
    )
    by_day = {row["date"]: row for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    measured = [name for name in numeric if any(row.get(name) is not None for row in rows)]
    plots = [
        _plot(name, [by_day.get(one, {}) for one in days])
        for name in plotted(evidence, opportunity.get("detector_id", ""), measured)
    ]
    return {
        "days": [one.isoformat() for one in days],
        "plots": plots,
        "windows": [
            {"name": window.name, "first": window.first.isoformat(), "last": window.last.isoformat()}
            for window in compared
        ],
    }


def _plot(name: str, rows: list[Values]) -> Values:
    if name in RATES:
        label, part, whole = RATES[name]
        values = [row[part] / row[whole] if row.get(whole) and row.get(part) is not None else None for row in rows]
        return {"name": name, "label": label, "unit": "rate", "values": [_rounded(value) for value in values]}
    unit = "money" if name in ("revenue", "cost", "mrr") else "count"
    label = name.replace("_", " ").capitalize()
    return {"name": name, "label": label, "unit": unit, "values": [_rounded(row.get(name)) for row in rows]}


def _rounded(value: Any) -> float | int | None:
    if value is None:
        return None
    return value if isinstance(value, int) else round(float(value), 6)


def _numeric(kind: str) -> bool:
    return kind in ("INT64", "FLOAT64")
