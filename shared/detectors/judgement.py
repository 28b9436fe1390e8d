"""From the numbers of a scan to findings: test, false discovery rate, effect, confidence, value, severity."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import orjson

from shared.detectors import expression
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector, Factors
from shared.detectors.names import Names, Table
from shared.detectors.records import Finding
from shared.detectors.significance import TESTS, Floats, Outcome, false_discovery
from shared.opportunities.records import EstimatedValue, Severity
from shared.tenants.records import Tenant

Numbers = dict[str, Any]
PRIVATE = (
    *("test_", "confidence_", "estimates_", "severity_share", "value_mid", "value_source", "value_change"),
    *("present_days", "same_side"),
)
"""Beginnings of the names of numbers that have their own place in the evidence."""
MONEY: tuple[tuple[Severity, float, float], ...] = (
    ("critical", 0.05, 5000.0),
    ("high", 0.02, 2000.0),
    ("medium", 0.005, 250.0),
)
"""Severity by monthly value: a share of the site's monthly revenue, or an amount."""


@dataclass(frozen=True)
class Run:
    """What the findings of one run have in common."""

    tenant: Tenant
    run_id: str
    coverage: Coverage
    found_at: datetime


@dataclass(frozen=True)
class Judged:
    """A detector's answer: how many entities passed its guard, and which it found."""

    tested: int
    findings: list[Finding] = field(default_factory=list)


def judge(run: Run, detector: Detector, table: Table) -> Judged:
    """Judge the entities that pass the detector's guard.

    The false discovery rate is held over all of them, not only over those with the effect: choosing by the effect
    first would choose small p-values, and the rate would no longer be what it says.
    """
    names = Names(detector, table)
    if not len(names.entities.ids):
        return Judged(tested=0)
    guarded = expression.true(names.of(detector.guard)) & expression.true(names.of(detector.only or "TRUE"))
    guarded &= names.entities.is_one
    # A verdict on the whole reads sums over all entities, which are the same on each of them: the first one speaks.
    tested = np.flatnonzero(guarded)[: 1 if detector.reads else None]
    if not tested.size:
        return Judged(tested=0)
    outcome = _tested(detector, names, tested)
    q = false_discovery(outcome.p) if outcome.p.size else outcome.p
    effect = expression.true(names.of(detector.effect))
    # What is off by nothing is no finding; where the amount is not known the effect alone decides.
    effect &= ~(np.asarray(names.of(detector.change), dtype=np.float64) <= 0)
    chosen = [
        place for place, index in enumerate(tested) if effect[index] and _significant(detector, outcome.p, q, place)
    ]
    sides = names.same_side(tested[chosen])
    findings = [
        _finding(run, names, int(tested[place]), _Facts(outcome, q, place, tested.size, _number(side)))
        for place, side in zip(chosen, sides, strict=True)
    ]
    return Judged(tested=int(tested.size), findings=findings)


def _tested(detector: Detector, names: Names, tested: Any) -> Outcome:
    kind = TESTS[detector.test.name]
    arguments = {name: np.asarray(names.of(detector.test.args[name]), dtype=np.float64)[tested] for name in kind.args}
    with np.errstate(all="ignore"):
        return kind.run(detector.test.side, **arguments)


def _significant(detector: Detector, p: Floats, q: Floats, index: int) -> bool:
    if not p.size:
        return True
    test = detector.test
    return bool((test.q is None or q[index] < test.q) and (test.p is None or p[index] < test.p))


@dataclass(frozen=True)
class _Facts:
    """What the test said of one entity."""

    outcome: Outcome
    q_values: Floats
    index: int
    tested: int
    same_side: float | None

    @property
    def done(self) -> bool:
        return bool(self.outcome.p.size)

    @property
    def p(self) -> float | None:
        return _rounded(float(self.outcome.p[self.index])) if self.done else None

    @property
    def q(self) -> float | None:
        return _rounded(float(self.q_values[self.index])) if self.done else None

    def fact(self, name: str) -> float:
        return _rounded(float(self.outcome.facts[name][self.index]))

    def evidence(self, detector: Detector, values: Numbers) -> Numbers:
        shown: Numbers = {"name": detector.test.name, "tested": self.tested}
        if self.done:
            arguments = {name: values.get(f"test_{name}") for name in TESTS[detector.test.name].args}
            shown |= {"side": detector.test.side, "arguments": arguments, "p_value": self.p, "q_value": self.q}
            shown |= {"q_below": detector.test.q, "p_below": detector.test.p}
            shown["statistic"] = _rounded(float(self.outcome.statistic[self.index]))
            shown |= {name: self.fact(name) for name in self.outcome.facts}
        return shown


def _numbers(names: Names, index: int, facts: _Facts) -> Numbers:
    """Every number that the declaration's formulas use, of one entity; private ones by their field."""
    detector = names.detector
    formulas = {f"test_{name}": text for name, text in detector.test.args.items()}
    confidence = detector.confidence
    optional = {
        "confidence_n": confidence.n,
        "confidence_min_volume": confidence.min_volume,
        "confidence_cv": confidence.cv,
        "confidence_match_rate": confidence.match_rate,
        "value_change": detector.change,
        "value_mid": detector.value.formula,
        "severity_share": detector.severity.share,
        "estimates_traffic": detector.estimates.traffic,
        "estimates_difficulty": detector.estimates.difficulty,
    }
    formulas |= {field: text for field, text in optional.items() if text is not None}
    values = {field: _of(names.of(text), index) for field, text in formulas.items()}
    values["same_side"] = facts.same_side
    values["value_source"] = names.table.money(detector.rows_of, bool(detector.reads))[1][index]
    for name in ("site_monthly_revenue", *detector.rates, *detector.measures, *detector.peers, *detector.labels):
        names.name(name)
    unshown = {*detector.thresholds, "ctr_curve", "tenant_own_domains", "tenant_brand_terms", "entity_id"}
    shown = {name: known for name, known in sorted(names.known.items()) if name not in unshown}
    if detector.reads:
        # A verdict on the whole stands on what is the same for all: one entity's own figures say nothing of it.
        shown = {name: known for name, known in shown.items() if _is_of_all(known)}
    values |= {name: _of(known, index) for name, known in shown.items()}
    present = names.present(index)
    if present is not None:
        values["present_days"] = present
    return values


def _is_of_all(known: Any) -> bool:
    if np.ndim(known) != 1:
        return np.ndim(known) == 0
    first = known[:1]
    return bool(np.all((known == first) | ((known != known) & (first != first))))


def _of(known: Any, index: int) -> Any:
    """An entity's number, text, or series."""
    if np.ndim(known) == 0:
        return _number(known)
    one = known[index]
    return [_number(value) for value in one] if np.ndim(one) == 1 else _number(one)


def _number(value: Any) -> Any:
    if isinstance(value, str) or value is None:
        return value
    number = float(value)
    return _rounded(number) if np.isfinite(number) else None


def _rounded(number: float) -> float:
    """Twelve digits: sums of fractions differ in the last one with the order in which a warehouse adds them up."""
    return float(f"{number:.12g}")


def _finding(run: Run, names: Names, index: int, facts: _Facts) -> Finding:
    detector, values = names.detector, _numbers(names, index, facts)
    value = _value(run.tenant, detector, values, facts)
    confidence = round(_confidence(detector, values, facts), 4)
    entity_id = names.table.property_id if detector.reads else str(names.entities.ids[index])
    return Finding(
        run_id=run.run_id,
        detector_id=detector.id,
        entity_type=detector.entity_type,
        entity_id=entity_id,
        direction=detector.direction,
        tenant_id=run.tenant.tenant_id,
        as_of=run.coverage.as_of,
        opportunity_type=detector.opportunity_type,
        title=detector.name,
        confidence_score=confidence,
        severity=_severity(detector, values, value),
        estimated_value=value,
        recommendation=detector.recommendation,
        evidence=_plain(_evidence(run, detector, values, facts)),
        p_value=facts.p,
        q_value=facts.q,
        found_at=run.found_at,
        change=values["value_change"],
        cause=detector.cause,
        ranking=rank(value, confidence),
        keyword=entity_id if detector.entity_type == "keyword" else values.get("keyword") or "",
        content_id=entity_id if detector.entity_type == "content" else values.get("content_id"),
        estimated_traffic=_whole(values.get("estimates_traffic")),
        estimated_difficulty=values.get("estimates_difficulty"),
    )


def rank(value: EstimatedValue, confidence: float) -> float:
    """What the list is sorted by: monthly value x confidence; 0 where no value is claimed."""
    return round((value.mid or 0.0) * confidence, 2)


def _whole(value: float | None) -> int | None:
    return None if value is None else round(value)


def _value(tenant: Tenant, detector: Detector, values: Numbers, facts: _Facts) -> EstimatedValue:
    declared = detector.value
    if declared.formula is None:
        return EstimatedValue(reason=declared.none)
    mid = values.get("value_mid")
    if mid is None:
        return EstimatedValue(formula=declared.formula, reason=_missing(values))
    if mid <= 0:
        return EstimatedValue(formula=declared.formula, reason="The formula gives nothing to gain or to lose.")
    if isinstance(declared.range, Factors):
        low, high = declared.range.low, declared.range.high
    else:
        low, high = float(facts.outcome.low[facts.index]), float(facts.outcome.high[facts.index])
    if not np.isfinite(low) or not np.isfinite(high):
        low, high = 0.0, 2.0  # The test gives no interval here: from nothing to twice as much.
    return EstimatedValue(
        low=round(mid * min(low, 1.0), 2),
        mid=round(mid, 2),
        high=round(mid * max(high, 1.0), 2),
        currency=tenant.currency,
        formula=declared.formula,
    )


def _missing(values: Numbers) -> str:
    if "value_per_conversion" in values and values["value_per_conversion"] is None:
        return "No revenue per conversion is known: none was measured in 90 days, and the tenant sets none."
    return "A number that the formula needs was not measured."


def _confidence(detector: Detector, values: Numbers, facts: _Facts) -> float:
    n, least = float(values["confidence_n"] or 0), float(values["confidence_min_volume"] or 1)
    formula = detector.confidence.formula
    if formula == "fact":
        return 0.95 if n >= 5 * least else 0.80
    if formula == "interval":
        return float(np.clip(n / (n + least) * (1 - 0.5 * facts.fact("relative_width")), 0, 1))
    if formula == "joined":
        steady = 1 - min(float(_or(values.get("confidence_cv"), 0.0)), 1.0)
        matched = float(_or(values.get("confidence_match_rate"), 1.0))
        return float(np.clip(0.5 * n / (n + 3 * least) + 0.3 * steady + 0.2 * matched, 0, 1))
    if formula == "trend":
        tau, periods = abs(facts.fact("tau")), facts.fact("periods")
        return float(np.clip(0.6 * tau + 0.2 * min(1.0, periods / 12) + 0.2 * (1 - (facts.q or 0.0)), 0, 1))
    side = float(values.get("same_side") or 0.0)
    if formula == "anomaly":
        far = min(1.0, max(0.0, (abs(facts.fact("z")) - 2) / 4))
        return float(np.clip(0.6 * far + 0.2 * min(1.0, n / 90) + 0.2 * side, 0, 1))
    score = 0.55 * (1 - (facts.q or 0.0)) + 0.25 * min(1.0, n / (5 * least)) + 0.20 * side
    return float(np.clip(score, 0, 1))


def _or(value: Any, otherwise: float) -> float:
    return otherwise if value is None else float(value)


def _severity(detector: Detector, values: Numbers, value: EstimatedValue) -> Severity:
    rule = detector.severity
    if rule.money and value.mid is not None:
        revenue = float(values.get("site_monthly_revenue") or 0)
        for level, share, amount in MONEY:
            if value.mid >= amount or (revenue > 0 and value.mid >= share * revenue):
                return level
        return "low"
    share = float(values.get("severity_share") or 0)
    levels: tuple[tuple[Severity, float], ...] = (
        ("critical", rule.critical),
        ("high", rule.high),
        ("medium", rule.medium),
    )
    return next((level for level, least in levels if share >= least), "low")


def _evidence(run: Run, detector: Detector, values: Numbers, facts: _Facts) -> Numbers:
    coverage = run.coverage
    windows = {
        name: coverage.dates(detector.span(name))
        | {"days_with_data": coverage.count(detector.rows_of, detector.span(name))}
        for name in detector.windows
    }
    found = _missing_days(coverage, detector, values)
    return {
        "windows": windows,
        "numbers": {name: number for name, number in values.items() if not name.startswith(PRIVATE)},
        **found,
        "thresholds": dict(detector.thresholds),
        "guard": detector.guard,
        "effect": detector.effect,
        "rates": {name: f"{rate.of} / {rate.per}" for name, rate in detector.rates.items()},
        "measures": dict(detector.measures),
        "test": facts.evidence(detector, values),
        "value": {
            "formula": detector.value.formula,
            "mid": values.get("value_mid"),
            "value_per_conversion": values.get("value_per_conversion"),
            "value_per_conversion_of": values.get("value_source"),
            "low_high": "90% interval of the effect" if detector.value.range == "interval" else "declared multiples",
        },
        "confidence": {
            "formula": detector.confidence.formula,
            "n": values["confidence_n"],
            "cv": values.get("confidence_cv"),
            "match_rate": values.get("confidence_match_rate"),
            "min_volume": values["confidence_min_volume"],
            "same_side": values.get("same_side"),
        },
        "severity": {
            "share": values.get("severity_share"),
            "site_monthly_revenue": values.get("site_monthly_revenue"),
        },
    }


def _missing_days(coverage: Coverage, detector: Detector, values: Numbers) -> Numbers:
    """`missing_days` of a detector that asks which days there are: those of its window, since the entity began."""
    if "present_days" not in values:
        return {}
    span, there = detector.span("cur"), set(values["present_days"])
    oldest = min(span.last, int(values.get("age_days") or span.last + 1) - 1)
    days = [coverage.as_of - timedelta(days=ago) for ago in range(oldest, span.first - 1, -1) if ago not in there]
    return {"missing_days": [day.isoformat() for day in days]}


def _plain(values: Numbers) -> Numbers:
    """JSON has no NaN or Infinity: they become null, as orjson writes them."""
    plain: Numbers = orjson.loads(orjson.dumps(values))
    return plain
