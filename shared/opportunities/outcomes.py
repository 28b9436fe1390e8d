"""Did it pay? A completed opportunity's metric before and after, beside what was left alone.

    28 days before | the day it was completed and two to settle | 28 days after

The effect is a difference in differences of logarithms: ln(after / before) of the entity less the mean of its peers',
which carries away what happened to all of them (a season, a campaign, an outage). Peers are entities of the same type
and of a quarter to four times its size with figures in both windows, of which nothing was completed in between; where
there are fewer than five, all others of the type summed stand for them. The 90 % interval is Student's: from the
dispersion of the peers' logarithms, as that of one more of them; against the sum, from the dispersion of the weekly
logarithms of entity / sum. What it cannot carry away: an entity that was found on a bad day does better on the next.
"""

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import orjson
from pydantic import BaseModel, ValidationError

from shared.opportunities.records import Outcome, Verdict
from shared.schema.ports import Warehouse
from shared.schema.sql import render

WINDOW_DAYS = 28
SETTLING_DAYS = 2
"""Days after a completion that are left out: what was changed is rolled out, cached, crawled."""
WEEKS = WINDOW_DAYS // 7
LEAST_WEEKS = 3
LEAST_PEERS = 5
SIZES = 4
"""Peers are of a quarter to four times the entity's size: small ones are noisier, large ones quieter than it."""
WORTHWHILE = math.log(1.05)
"""An effect that is below 5 % at the best end of its interval did not pay."""
PER_MONTH = 30 / WINDOW_DAYS
HALF = 0.5
"""Added to counts: a count of none has no logarithm."""

Values = dict[str, Any]


@dataclass(frozen=True)
class Metric:
    """What a cause is measured by. `good`: 1 where more is better. `worth`: what a unit of the numerator is worth."""

    name: str
    numerator: str
    denominator: str | None = None
    numerator_plus: float = HALF
    denominator_plus: float = 0.0
    good: int = 1
    worth: str | None = None

    @property
    def words(self) -> str:
        """`conversions / sessions`."""
        return f"{self.numerator} / {self.denominator}" if self.denominator else self.numerator


CONVERSION = "conversion"
MONEY = "money"
METRICS = {
    "sessions": Metric("sessions", "sessions"),
    "conversions": Metric("conversions", "conversions", "sessions", worth=CONVERSION),
    "revenue": Metric("revenue", "revenue", numerator_plus=0.0, worth=MONEY),
    "engagement": Metric("engagement", "engaged_sessions", "sessions"),
    "ad_waste": Metric("ad_waste", "cost", "conversions", 0.0, HALF, good=-1, worth=MONEY),
    "ranking": Metric("clicks", "clicks"),
    "clicks": Metric("clicks", "clicks"),
}
"""Cause of a finding -> what tells whether acting on it paid."""
RATE = re.compile(r"(?:[a-z]+_)?(?:(engaged_sessions)|conversions) / (?:[a-z]+_)?sessions")
"""A rate in a detector's evidence, `cur_conversions / cur_sessions`."""


class Due(BaseModel):
    """What is read of a completed opportunity whose outcome can be measured."""

    opportunity_id: str
    entity_type: str
    entity_id: str
    cause: str | None = None
    completed_at: datetime
    evidence: Values = {}
    estimated_value: Values = {}

    @property
    def windows(self) -> tuple[date, date, date, date]:
        """First and last day before, first and last day after."""
        day = self.completed_at.astimezone(UTC).date()
        after = day + timedelta(days=1 + SETTLING_DAYS)
        return (
            day - timedelta(days=WINDOW_DAYS), day - timedelta(days=1),
            after, after + timedelta(days=WINDOW_DAYS - 1),
        )  # fmt: skip

    @property
    def metric(self) -> Metric | None:
        """What it is measured by: its cause, or where nothing moved the rate that its detector judges."""
        if self.cause is not None:
            return METRICS.get(self.cause)
        rates = self.evidence.get("rates")
        for rule in rates.values() if isinstance(rates, dict) else ():
            judged = RATE.fullmatch(str(rule))
            if judged is not None:
                return METRICS["engagement" if judged[1] else "conversions"]
        return METRICS["clicks"] if self.entity_type == "keyword" else None


def due(stored: Mapping[str, Values], as_of: date) -> list[Due]:
    """Completed opportunities whose last day after is there, and that have no outcome yet."""
    found = []
    for opportunity_id, values in stored.items():
        if values.get("status") != "completed" or values.get("outcome") is not None:
            continue
        try:
            one = Due.model_validate({**values, "opportunity_id": opportunity_id})
        except ValidationError:
            continue
        if as_of >= one.windows[3]:
            found.append(one)
    return found


def measure(
    warehouse: Warehouse, tenant_id: str, found: Iterable[Due], stored: Mapping[str, Values], as_of: date, now: datetime
) -> dict[str, Outcome]:
    """The outcome of each, by one statement for all. `stored`: all opportunities, which say who was left alone."""
    all_due = list(found)
    measurable = [one for one in all_due if one.metric is not None]
    rows: dict[str, list[Values]] = {}
    if measurable:
        answer = warehouse.query(
            statement(f"aso_tenant_{tenant_id}"),
            due=orjson.dumps([_asked(one, one.metric) for one in measurable if one.metric]).decode(),
            touched=orjson.dumps([each for one in measurable for each in _touched(one, stored)]).decode(),
            first=min(one.windows[0] for one in measurable),
            last=max(one.windows[3] for one in measurable),
        )
        for row in answer:
            rows.setdefault(row["opportunity_id"], []).append(row)
    return {one.opportunity_id: judge(one, rows.get(one.opportunity_id, []), as_of, now) for one in all_due}


def statement(dataset: str) -> str:
    """The SQL for all metrics."""
    metrics = list({metric.name: metric for metric in METRICS.values()}.values())
    return render("opportunities/outcomes.sql", dataset=dataset, metrics=metrics, sizes=SIZES)


def judge(one: Due, rows: list[Values], as_of: date, now: datetime) -> Outcome:
    """What the weeks of an opportunity say."""
    metric, windows = one.metric, one.windows
    names = ("before_first", "before_last", "after_first", "after_last")
    said: Values = {**dict(zip(names, windows, strict=True)), "as_of": as_of, "measured_at": now}
    if metric is None:
        named = f"its cause, {one.cause}" if one.cause else "a finding without a cause"
        return Outcome(**said, reason=f"No metric is kept that would tell of {named}.")
    said["metric"] = metric.words
    own = _Course.of(rows, "own", metric)
    if own is None:
        return Outcome(**said, reason="It has no figures in one of the two windows.")
    said |= {"before": own.before, "after": own.after}
    peers = int(rows[0]["peers"] or 0)
    if peers >= LEAST_PEERS:
        said |= {"compared_with": "peers", "peers": peers}
        others, error, freedom = rows[0]["mean"], rows[0]["deviation"] * math.sqrt(1 + 1 / peers), peers - 1
    else:
        site = _Course.of(rows, "site", metric)
        if site is None:
            return Outcome(**said, reason="No peers: cannot say.")
        weekly = own.beside(site)
        if weekly is None:
            return Outcome(**said, reason="Fewer than five peers, and too few weeks with figures to tell chance by.")
        said |= {"compared_with": "site", "peers": peers}
        others, (error, freedom) = site.change, weekly
    effect = own.change - others
    margin = _quantile(freedom) * error
    verdict = _verdict(metric.good * effect - margin, metric.good * effect + margin)
    return Outcome(
        **said,
        verdict=verdict,
        peers_change=math.expm1(others),
        effect=math.expm1(effect),
        effect_low=math.expm1(effect - margin),
        effect_high=math.expm1(effect + margin),
        **_gain(one, metric, own, others, verdict),
    )


def _verdict(low: float, high: float) -> Verdict:
    if low > 0:
        return "paid"
    return "did_not_pay" if high < WORTHWHILE else "unclear"


def _gain(one: Due, metric: Metric, own: "_Course", others: float, verdict: Verdict) -> Values:
    """The numerator beyond what the peers' course would have made of it, in money a month, where that is honest."""
    if verdict == "unclear":
        return {"gained_reason": "Not told apart from chance."}
    unit: float | None = 1.0
    if metric.worth is None:
        return {"gained_reason": f"What {metric.numerator.replace('_', ' ')} are worth by themselves is not known."}
    if metric.worth == CONVERSION:
        value = one.evidence.get("value")
        unit = value.get("value_per_conversion") if isinstance(value, dict) else None
    if not isinstance(unit, int | float):
        return {"gained_reason": "No revenue per conversion is known."}
    units = metric.good * (own.after_numerator - own.before * math.exp(others) * own.after_size)
    currency = one.estimated_value.get("currency")
    return {"gained_value": round(units * unit * PER_MONTH, 2), "currency": currency}


def _asked(one: Due, metric: Metric) -> Values:
    before_first, before_last, after_first, after_last = one.windows
    return {
        "opportunity_id": one.opportunity_id,
        "entity_type": one.entity_type,
        "entity_id": one.entity_id,
        "metric": metric.name,
        "is_rate": metric.denominator is not None,
        "numerator_plus": metric.numerator_plus,
        "denominator_plus": metric.denominator_plus,
        "before_first": before_first,
        "before_last": before_last,
        "after_first": after_first,
        "after_last": after_last,
    }


def _touched(one: Due, stored: Mapping[str, Values]) -> list[Values]:
    """Other entities of its type of which something was completed from the first day before to the last after."""
    first, _, _, last = one.windows
    entities = {
        values["entity_id"]
        for values in stored.values()
        if isinstance(at := values.get("completed_at"), datetime)
        and first <= at.astimezone(UTC).date() <= last
        and values.get("entity_type") == one.entity_type
        and isinstance(values.get("entity_id"), str)
    }
    return [
        {"opportunity_id": one.opportunity_id, "entity_id": entity_id}
        for entity_id in sorted(entities - {one.entity_id})
    ]


@dataclass(frozen=True)
class _Course:
    """A metric over both windows, of an entity or of all others summed. `logs`: of its weeks, by week."""

    before: float
    after: float
    change: float
    after_numerator: float
    after_size: float
    logs: dict[int, float]

    @classmethod
    def of(cls, rows: list[Values], whose: str, metric: Metric) -> "_Course | None":
        """None where a window has no figures."""

        def sums(weeks: Iterable[Values]) -> tuple[float, float] | None:
            there = [row for row in weeks if row[f"{whose}_numerator"] is not None]
            size = sum(float(row[f"{whose}_denominator"]) for row in there) if metric.denominator else 1.0
            return (sum(float(row[f"{whose}_numerator"]) for row in there), size) if there else None

        def log(found: tuple[float, float]) -> float | None:
            numerator, size = found[0] + metric.numerator_plus, found[1] + metric.denominator_plus
            return math.log(numerator / size) if numerator > 0 and size > 0 else None

        before = sums(row for row in rows if row["week"] < WEEKS)
        after = sums(row for row in rows if row["week"] >= WEEKS)
        if before is None or after is None:
            return None
        ends = log(before), log(after)
        if ends[0] is None or ends[1] is None or not before[1] or not after[1]:
            return None
        weekly = {int(row["week"]): sums([row]) for row in rows}
        logs = {week: log(found) for week, found in weekly.items() if found is not None}
        return cls(
            before=before[0] / before[1],
            after=after[0] / after[1],
            change=ends[1] - ends[0],
            after_numerator=after[0],
            after_size=after[1],
            logs={week: value for week, value in logs.items() if value is not None},
        )

    def beside(self, others: "_Course") -> tuple[float, int] | None:
        """Standard error and degrees of freedom of the change of self / others, from its weeks."""
        gaps = {week: self.logs[week] - others.logs[week] for week in self.logs.keys() & others.logs.keys()}
        windows = [[gap for week, gap in gaps.items() if (week < WEEKS) == early] for early in (True, False)]
        if min(len(each) for each in windows) < LEAST_WEEKS:
            return None
        squares = sum((gap - sum(each) / len(each)) ** 2 for each in windows for gap in each)
        freedom = len(gaps) - 2
        return math.sqrt(squares / freedom * sum(1 / len(each) for each in windows)), freedom


def _quantile(freedom: int) -> float:
    """The 95 % quantile of Student's t, for a 90 % interval. Imported late: most runs measure nothing."""
    from scipy.special import stdtrit

    return float(stdtrit(freedom, 0.95))
