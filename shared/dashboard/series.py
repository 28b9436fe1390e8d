"""The metrics of an opportunity's entity by day, for the plots beside its evidence."""

import re
from dataclasses import dataclass
from datetime import date, timedelta
from typing import Any

from shared.analytics.records import DailyEntityMetrics
from shared.dashboard.evidence import windows, words
from shared.dashboard.needs import Needs
from shared.opportunities.records import Opportunity
from shared.schema.bigquery import columns
from shared.schema.sql import render

DAYS = 70
LONGEST = 400
PLOTS = 3
MONEY = ("revenue", "cost", "charge_amount", "refund_amount", "mrr")
PREFERRED = ("sessions", "pageviews", "conversions", "revenue", "clicks", "impressions", "position")
NUMERIC = tuple(column.name for column in columns(DailyEntityMetrics) if column.type in ("INT64", "FLOAT64"))[:-1]
"""Every metric; the last column, schema_version, is none."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Plot:
    """One line: a metric, or a metric per another."""

    name: str
    of: str
    per: str | None = None

    def value(self, row: Values) -> float | int | None:
        """The line's height on a day; None where it was not measured."""
        value = row.get(self.of)
        if value is None or (self.per and not row.get(self.per)):
            return None
        return round(float(value) / float(row[self.per]), 6) if self.per else value


def series(needs: Needs, opportunity: Values) -> Values:
    """Days, plots and windows of one opportunity; cached until opportunities of the tenant change.

    A day without a row is null: "not measured" is a gap in the line, never a zero.
    """
    tenant_id, opportunity_id = opportunity["tenant_id"], opportunity["opportunity_id"]
    namespace = Opportunity.caches[0]
    scope = namespace.scope(tenant_id=tenant_id)
    key = f"{scope}:series:{opportunity_id}:{opportunity.get('as_of')}"
    found: Values = needs.cache.load(key, scope, namespace.ttl_seconds, lambda: _load(needs, opportunity))
    return found


def plots(evidence: Values, measured: set[str]) -> list[Plot]:
    """What to plot: the rates that the detector judges, then the metrics that it read; at most three."""
    keys = "|".join(re.escape(window.key) for window in windows(evidence))
    shape = re.compile(rf"^(?:{keys})_(\w+)$")

    def plain(name: str) -> str:
        match = shape.match(name.strip()) if keys else None
        return match[1] if match else ""

    rates, metrics = [], []
    for name, rule in _dict(evidence.get("rates")).items():
        of, _, per = str(rule).partition(" / ")
        if plain(name) and {plain(of), plain(per)} <= measured:
            rates.append(Plot(plain(name), plain(of), plain(per)))
            metrics += [plain(per), plain(of)]
    metrics += sorted((plain(name) for name in _dict(evidence.get("numbers"))), key=_preference)
    known = [name for name in metrics if name in measured]
    if not known:
        known = [name for name in PREFERRED if name in measured][:1]
    return list(dict.fromkeys([*rates, *(Plot(name, name) for name in known)]))[:PLOTS]


def _load(needs: Needs, opportunity: Values) -> Values:
    evidence = opportunity.get("evidence") or {}
    compared = windows(evidence)
    last = date.fromisoformat(opportunity["as_of"])
    first = min([last - timedelta(days=DAYS - 1), *(window.first - timedelta(days=7) for window in compared)])
    first = max(first, last - timedelta(days=LONGEST - 1))
    sql = render("dashboard/series.sql", dataset=f"aso_tenant_{opportunity['tenant_id']}", metrics=NUMERIC)
    rows = needs.warehouse.query(
        sql, first=first, last=last, entity_type=opportunity["entity_type"], entity_id=opportunity["entity_id"]
    )
    by_day = {row["date"]: row for row in rows}
    days = [first + timedelta(days=number) for number in range((last - first).days + 1)]
    measured = {name for name in NUMERIC if any(row.get(name) is not None for row in rows)}
    return {
        "days": [one.isoformat() for one in days],
        "plots": [
            {
                "name": plot.name,
                "label": words(plot.name),
                "unit": _unit(plot),
                "values": [plot.value(by_day.get(one, {})) for one in days],
            }
            for plot in plots(evidence, measured)
        ],
        "windows": [
            {"name": window.name, "first": window.first.isoformat(), "last": window.last.isoformat()}
            for window in compared
        ],
    }


def _unit(plot: Plot) -> str:
    if plot.of in MONEY:
        return "money"
    return "rate" if plot.per else "count"


def _preference(name: str) -> tuple[int, str]:
    return (PREFERRED.index(name) if name in PREFERRED else len(PREFERRED), name)


def _dict(value: Any) -> Values:
    return value if isinstance(value, dict) else {}
