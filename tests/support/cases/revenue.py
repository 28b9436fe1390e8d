"""Revenue: totals, products, cohorts of first orders, countries; each finding of totals has a property of its own.

Only one of them has the orders that revenue_trend_break needs: its p of four weeks bears no second test beside it.
"""

from collections.abc import Callable, Iterator
from datetime import timedelta

from tests.support.detector_cases import DAYS, Metrics, ramp
from tests.support.detectors import AS_OF, Row, series

MONTHS_BACK = 202
"""Days back to the first of six whole months."""
COHORTS = {"2026-08": 48, "2026-07": 79, "2026-06": 110, "2026-05": 140, "2026-04": 171, "2026-03": 201, "2026-02": 232}
"""Days since the last day of each."""

FOUND = {
    ("revenue_daily_anomaly", "property", "properties/anomaly", "level"),
    ("revenue_trend_break", "property", "properties/trend", "down"),
    ("revenue_aov_drop", "property", "properties/order-value", "down"),
    ("revenue_discount_dependency", "property", "properties/discounts", "up"),
    ("revenue_product_concentration", "property", "properties/1", "level"),
    ("revenue_refund_spike", "property", "properties/refunds", "up"),
    ("revenue_repeat_rate_drop", "order_cohort", "2026-07", "down"),
    ("revenue_geo_surge", "country", "DE", "up"),
}


def _sales(revenue: float, orders: float, **attributes: float) -> Row:
    return {"revenue": revenue, "conversions": float(orders), "attributes": {"orders": orders, **attributes}}


def _uneven(ago: int) -> float:
    """Days differ by up to a fifth, without any weekday in it."""
    return 1 + 0.2 * ((ago * 5) % 11 - 5) / 5


def _anomaly(orders: int) -> Metrics:
    return lambda ago: _sales(200.0 if ago == 0 else 1_000.0 * _uneven(ago), orders)


def _trend(orders: Callable[[int], float]) -> Metrics:
    """Level for nine weeks, then ten of a hundred less each week."""

    def metrics(ago: int) -> Row:
        weeks_down = max(0, 4 - ago // 7)
        left = 1 - 0.1 * weeks_down
        return _sales(1_000.0 * left * _uneven(ago), left * orders(ago))

    return metrics


def _order_value(orders: Callable[[int], float]) -> Metrics:
    return lambda ago: _sales((65.0 if ago < 28 else 100.0) * orders(ago), orders(ago))


def _discounts(ago: int, revenue: float, orders: int) -> Row:
    """In the three months to September half of the orders have a discount, before them a fifth."""
    share = 0.5 if (AS_OF - timedelta(days=ago)).month >= 7 else 0.2
    taken = {"discounted_revenue": share * revenue, "discount_amount": 0.1 * share * revenue}
    return _sales(revenue, orders, discounted_orders=share * orders, **taken)


def _payments(charges: int, refunds: int) -> Row:
    return {"charges": charges, "charge_amount": 50.0 * charges, "refunds": refunds, "refund_amount": 50.0 * refunds}


def _cohorts(newest: int) -> Iterator[Row]:
    for month, age in COHORTS.items():
        customers, repeats = (newest, newest // 10) if month == "2026-07" else (200, 60)
        yield from series(
            "order_cohort",
            month,
            7,
            lambda ago, age=age, customers=customers, repeats=repeats: {  # type: ignore[misc]
                "attributes": {
                    "cohort_age": age - ago,
                    "cohort_customers": customers,
                    "repeat_customers": repeats,
                }
            },
        )


def _steady(revenue: float, orders: int) -> Metrics:
    """The same sales every day."""
    return lambda ago: _sales(revenue, orders)


def _around() -> Iterator[Row]:
    yield from series("property", "properties/1", DAYS, _steady(5_000.0, 4))
    yield from series("country", "US", DAYS, _steady(2_000.0, 40))


def _products(orders: Callable[[int], float]) -> Iterator[Row]:
    """One product of eight brings most of the revenue."""
    yield from series("product", "product/0", DAYS, lambda ago: _sales(500.0, orders(ago)))
    for number in range(1, 8):
        yield from series("product", f"product/{number}", DAYS, _steady(20.0, 0))


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from _around()
    yield from series("property", "properties/anomaly", 57, _anomaly(10))
    yield from series("property", "properties/trend", DAYS, _trend(lambda ago: 30))
    yield from series("property", "properties/order-value", DAYS, _order_value(lambda ago: 3))
    yield from series("property", "properties/discounts", MONTHS_BACK, lambda ago: _discounts(ago, 1_000.0, 3))
    yield from series("property", "properties/refunds", DAYS, lambda ago: _payments(20, 2 if ago < 28 else ago % 2))
    yield from _products(lambda ago: 10)
    yield from _cohorts(200)
    yield from series("country", "DE", DAYS, lambda ago: _sales(200.0, 4) if ago < 28 else _sales(100.0, 2))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    yield from _around()
    # 10 orders on the median day; 200 a week; 60 in 28 days.
    yield from series("property", "properties/anomaly", 57, _anomaly(9 + more))
    weekly, monthly = ramp(199 + more, 7), ramp(59 + more, 28)
    yield from series("property", "properties/trend", DAYS, _trend(weekly))
    yield from series("property", "properties/order-value", DAYS, _order_value(monthly))
    # 200 orders in the three months, one row a month.
    orders = {4: 68, 5: 66, 6: 66, 7: 67 + more, 8: 66, 9: 66}

    def discounts(ago: int) -> Row | None:
        day = AS_OF - timedelta(days=ago)
        return _discounts(ago, 1_000.0, orders[day.month]) if day.day == 15 and day.month in orders else None

    yield from series("property", "properties/discounts", MONTHS_BACK, discounts)
    # 200 charges and 10 refunds in 28 days, here with 20 of them.
    charges = ramp(199 + more, 28)
    yield from series(
        "property",
        "properties/refunds",
        DAYS,
        lambda ago: _payments(charges(ago) if ago < 28 else 20, 1 if ago < 20 else 0),
    )
    # 100 orders of all products in 90 days; 100 customers of the cohort.
    items = ramp(99 + more, 90)
    yield from _products(lambda ago: items(ago) if ago < 90 else 0)
    yield from _cohorts(99 + more)
    # 30 orders in 28 days, after ten in those before.
    now = ramp(29 + more, 28)

    def surging(ago: int) -> Row:
        orders = now(ago) if ago < 28 else int(ago % 28 % 3 == 0)
        return _sales(50.0 * orders, orders)

    yield from series("country", "DE", DAYS, surging)
