"""Funnel: steps, checkout, carts, payments, leads."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, Metrics, changed, ramp, steady
from tests.support.detectors import Row, series

MONTHS = 200
"""Days of rows that give months enough to have a best one."""
FOUND = {
    ("funnel_step_drop", "funnel_step", "view_item", "down"),
    ("funnel_biggest_leak", "funnel_step", "add_to_cart", "level"),
    ("funnel_device_leak", "funnel_step_device", "purchase / mobile", "level"),
    ("funnel_checkout_abandon", "funnel", "checkout", "down"),
    ("funnel_cart_abandon_recovery", "funnel", "cart", "level"),
    ("funnel_payment_failure", "payment_method", "card", "up"),
    ("funnel_lead_response_gap", "lead", "slow", "level"),
}


def _step(entered: float, completed: float) -> Row:
    return {"sessions": entered, "conversions": completed}


def _pair(step: str, device: str, before: str, metrics: Metrics) -> Iterator[Row]:
    """A step on one device; the step before has its pair of the same device."""
    labels = {"step": step, "device": device, "entered_by": before, "pair_before": f"{before} / {device}"}
    yield from series(
        "funnel_step_device", f"{step} / {device}", DAYS, lambda ago: {**(metrics(ago) or {}), "attributes": labels}
    )


def _checkout(entered: float, completed: float) -> Row:
    return {**_step(entered, completed), "attributes": {"step": "purchase"}}


def _carts(carts: float, bought: float, reachable: float, sent: float) -> Row:
    attributes = {"cart_sessions": carts, "reachable_carts": reachable, "recovery_sends": sent}
    return {"conversions": bought, "attributes": attributes}


def _payments(attempts: float, failed: float) -> Row:
    paid = attempts - failed
    return {
        "charges": round(paid),
        "charge_amount": paid * 60.0,
        "attributes": {"payment_attempts": attempts, "failed_payments": failed},
    }


def _leads(leads: float, won: float) -> Row:
    return {"conversions": won, "revenue": won * 1_000.0, "attributes": {"leads": leads}}


def _site() -> Iterator[Row]:
    """The site, and steps that stay as they are."""
    yield from series("property", "properties/1", DAYS, steady(sessions=20_000, conversions=200.0, revenue=10_000.0))
    yield from series("funnel_step", "begin_checkout", MONTHS, steady(**_step(600, 300)))
    yield from series("funnel_step", "purchase", MONTHS, steady(**_step(300, 200)))
    yield from _pair("begin_checkout", "mobile", "add_to_cart", steady(**_step(300, 150)))
    yield from _pair("begin_checkout", "desktop", "add_to_cart", steady(**_step(300, 150)))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _site()
    yield from series("funnel_step", "view_item", MONTHS, changed(_step(1_000, 400), _step(1_000, 250)))
    yield from series("funnel_step", "add_to_cart", MONTHS, changed(_step(1_000, 500), _step(1_000, 350), days=28))
    yield from _pair("purchase", "mobile", "begin_checkout", steady(**_step(100, 40)))
    yield from _pair("purchase", "desktop", "begin_checkout", steady(**_step(200, 160)))
    yield from series("funnel", "checkout", DAYS, changed(_checkout(300, 200), _checkout(300, 120)))
    yield from series("funnel", "cart", DAYS, steady(**_carts(600, 200, 100, 10)))
    yield from series("payment_method", "card", DAYS, changed(_payments(100, 3), _payments(100, 10)))
    yield from series("payment_method", "sepa_debit", DAYS, steady(**_payments(100, 8)))
    yield from series("lead", "fast", DAYS, steady(**_leads(2, 0.5)))
    yield from series("lead", "same_day", DAYS, steady(**_leads(1, 0.1)))
    yield from series("lead", "slow", DAYS, steady(**_leads(5, 0.3)))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    entered, month, pair = ramp(199 + more, 7), ramp(499 + more, 28), ramp(299 + more, 28)
    begun, carts, tries = ramp(149 + more, 7), ramp(99 + more, 30), ramp(199 + more, 7)
    yield from _site()
    # 200 current sessions are needed; it has too few in a month to be a leak.
    yield from series(
        "funnel_step", "view_item", MONTHS, lambda ago: _step(entered(ago), 0) if ago < 7 else _step(10, 5)
    )
    # 500 in 28 days.
    yield from series(
        "funnel_step", "add_to_cart", MONTHS, lambda ago: _step(month(ago), 2) if ago < 28 else _step(40, 20)
    )
    # 300 of the device.
    yield from _pair("purchase", "mobile", "begin_checkout", lambda ago: _step(pair(ago), 0))
    yield from _pair("purchase", "desktop", "begin_checkout", steady(**_step(200, 160)))
    # 150 checkouts begun; 100 carts abandoned in 30 days; 200 attempts to pay.
    yield from series(
        "funnel", "checkout", DAYS, lambda ago: _checkout(begun(ago), 0) if ago < 7 else _checkout(100, 70)
    )
    yield from series("funnel", "cart", 30, lambda ago: _carts(carts(ago), 0, 2, 0))
    yield from series(
        "payment_method", "card", DAYS, lambda ago: _payments(tries(ago), 5) if ago < 7 else _payments(100, 1)
    )
    # 100 leads: 20 of them fast.
    fast, fast_won, slow, slow_won = ramp(20, 90), ramp(15, 90), ramp(79 + more, 90), ramp(8, 90)
    yield from series("lead", "fast", 90, lambda ago: _leads(fast(ago), fast_won(ago)))
    yield from series("lead", "slow", 90, lambda ago: _leads(slow(ago), slow_won(ago)))
