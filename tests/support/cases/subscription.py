"""Subscriptions: plans, single subscriptions, customers, cohorts."""

from collections.abc import Iterator
from datetime import date

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import AS_OF, Row, series

FOUND = {
    ("sub_annual_switch", "property", "properties/1", "level"),
    ("sub_card_expiring", "property", "properties/1", "level"),
    ("sub_churn_spike", "plan", "spiking", "up"),
    ("sub_cohort_retention_decline", "property", "properties/1", "down"),
    ("sub_downgrade_wave", "plan", "downgrading", "up"),
    ("sub_involuntary_churn", "property", "properties/1", "level"),
    ("sub_mrr_drop", "property", "properties/1", "down"),
    ("sub_plan_price_mismatch", "plan", "mispriced", "level"),
    ("sub_trial_conversion_drop", "plan", "trial", "down"),
    ("sub_upgrade_candidates", "property", "properties/1", "level"),
}
COHORTS = [f"2025-{month:02d}" for month in (10, 11, 12)] + [f"2026-{month:02d}" for month in range(1, 8)]
"""The last of them is not three months old."""


def _plan(active: int, churned: int, **attributes: float | str) -> Row:
    figures = {"active_subscriptions": active, "churned_subscriptions": churned, "mrr": active * 30.0}
    return figures | ({"attributes": attributes} if attributes else {})


def _movement(churned_mrr: float) -> Row:
    return {"new_mrr": 1_000.0, "expansion_mrr": 100.0, "contraction_mrr": 50.0, "churned_mrr": churned_mrr}


def _largest(days: int, churned: int) -> Iterator[Row]:
    """The plan of most subscribers: more MRR comes than goes, until 30 days ago."""
    plan = _plan(20_000, churned, plan_interval="month")
    yield from series("plan", "basic", days, changed(plan | _movement(900.0), plan | _movement(1_300.0), days=30))


def _downgrades(before: float, after: float, mrr: float) -> Metrics:
    def of_day(number: float) -> Row:
        return {"mrr": mrr, "contraction_mrr": number * 100, "attributes": {"downgrades": number}}

    return changed(of_day(before), of_day(after), days=30)


def _customers(name: str, number: int, days: int, **attributes: float | str) -> Iterator[Row]:
    for each in range(number):
        row = {"mrr": 30.0, "attributes": {"plan_interval": "month", "failed_invoices": 0, **attributes}}
        yield from series("customer", f"{name}{each}", days, steady(**row))


def _subscriptions(name: str, number: int, mrr: float, card_expires_in_days: int) -> Iterator[Row]:
    for each in range(number):
        attributes = {"renews_in_days": 20, "renewal_amount": mrr, "card_expires_in_days": card_expires_in_days}
        row = {"mrr": mrr, "attributes": {**attributes, "backup_methods": 0}}
        yield from series("subscription", f"{name}{each}", 1, steady(**row))


def _cohorts(older: tuple[int, int], newer: tuple[int, int]) -> Iterator[Row]:
    """(size, retained) of the six older cohorts and of the three newer ones; one more is too young to tell."""
    for place, name in enumerate(COHORTS):
        size, retained = older if place < 6 else newer
        began = date.fromisoformat(f"{name}-01")
        attributes = {"cohort_size": size, "cohort_age": (AS_OF - began).days}
        if place < 9:
            attributes["retained_m3"] = retained
        yield from series("subscription_cohort", name, 7, steady(attributes=attributes))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from series("property", "properties/1", DAYS, steady(sessions=1_000, conversions=100.0, revenue=20_000.0))
    yield from _largest(430, churned=20)
    yield from series("plan", "yearly", DAYS, lambda ago: _plan(2_000, 1 if ago % 3 == 0 else 0, plan_interval="year"))
    yield from series("plan", "spiking", DAYS, changed(_plan(1_000, 1), _plan(1_000, 3), days=30))
    yield from series("plan", "mispriced", DAYS, steady(**_plan(500, 2)))
    trials = [_plan(1_000, 1, trials_ended=10, trials_converted=converted) for converted in (4, 2)]
    yield from series("plan", "trial", DAYS, changed(trials[0], trials[1], days=30))
    yield from series("plan", "downgrading", DAYS, _downgrades(1, 4, mrr=30_000.0))
    failures = {"failed_invoices": 5, "recovered_invoices": 1, "failed_amount": 250.0, "canceled_after_failure": 1}
    yield from series("plan", "failing", DAYS, steady(**_plan(1_000, 1, **failures)))
    yield from _customers("limited", 6, DAYS, limit_days=1, tenure_days=100, price_step=20)
    yield from _customers("loyal", 30, 1, limit_days=0, tenure_days=400, price_step=20)
    yield from _subscriptions("expiring", 10, 50.0, card_expires_in_days=10)
    yield from _subscriptions("valid", 30, 50.0, card_expires_in_days=500)
    yield from _cohorts(older=(200, 140), newer=(200, 100))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from series("property", "properties/1", DAYS, steady(sessions=1_000, conversions=100.0, revenue=20_000.0))
    # Six whole months before the last one are needed: from April, or from March.
    yield from _largest((AS_OF - date(2026, 4 - more, 1)).days + 1, churned=100)
    yield from series("plan", "yearly", DAYS, lambda ago: _plan(2_000, 0, plan_interval="year"))
    # 100 active subscriptions are needed, and 50 for the price.
    yield from series("plan", "spiking", DAYS, lambda ago: _plan(99 + more, 1 if ago < 30 or ago % 2 == 0 else 0))
    yield from series("plan", "mispriced", DAYS, lambda ago: _plan(49 + more, 1))
    # 75 trials are needed.
    trials = ramp(74 + more, 30)

    def of_trials(ago: int) -> Row:
        ended, converted = (trials(ago), 0) if ago < 30 else (2, 1)
        return _plan(60, 0, trials_ended=ended, trials_converted=converted)

    yield from series("plan", "trial", DAYS, of_trials)
    # 5 downgrades are needed.
    downgrades = ramp(4 + more, 30)
    yield from series(
        "plan", "downgrading", DAYS, lambda ago: _downgrades(0, downgrades(ago), mrr=10_000.0)(min(ago, 30))
    )
    # 20 failed invoices are needed.
    failures = ramp(19 + more, 30)
    yield from series(
        "plan",
        "failing",
        DAYS,
        lambda ago: {
            "attributes": {
                "failed_invoices": failures(ago - 7) if 7 <= ago < 37 else 0,
                "recovered_invoices": 0,
                "failed_amount": 10.0,
            }
        },
    )
    # 5 accounts at their limit, 20 loyal ones, 5 cards are needed (or a hundredth of MRR).
    yield from _customers("limited", 4 + more, DAYS, limit_days=1, tenure_days=100, price_step=20)
    yield from _customers("loyal", 19 + more, 1, limit_days=0, tenure_days=400, price_step=20)
    yield from _subscriptions("expiring", 4 + more, 50.0, card_expires_in_days=10)
    yield from _subscriptions("valid", 1, 100_000.0, card_expires_in_days=500)
    # 50 customers a cohort are needed.
    yield from _cohorts(older=(1_000, 700), newer=(49 + more, 15))
