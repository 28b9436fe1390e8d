"""Customers: single ones, first products, segments, channels, the whole."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, changed, ramp, steady
from tests.support.detectors import Row, series

YEAR = 400
FOUND = {
    ("cust_dispute_rate", "property", "properties/1", "level"),
    ("cust_first_to_second_order", "first_product", "gateway", "level"),
    ("cust_first_to_second_order", "first_product", "dead end", "level"),
    ("cust_high_value_at_risk", "customer", "overdue", "level"),
    ("cust_lookalike_segment", "customer_segment", "country:CH", "level"),
    ("cust_ltv_cac_low", "channel", "Paid Search", "level"),
    ("cust_new_customer_drop", "property", "properties/1", "down"),
}


def _customer(orders: int, days_since_last: int, ltv: float) -> Row:
    history = {"lifetime_orders": orders, "days_since_last": days_since_last, "median_gap": 20, "gap_cv": 0.3}
    return {"attributes": {**history, "ltv": ltv}}


def _customers() -> Iterator[Row]:
    for number in range(20):
        yield from series("customer", f"regular{number}", 1, steady(**_customer(5, 10, 100.0 + number)))


def _site(disputes: int, charges: int, new: int, **attributes: float) -> Row:
    figures = {"charges": charges, "charge_amount": charges * 50.0, "disputes": disputes, "revenue": charges * 50.0}
    return figures | {
        "conversions": float(charges),
        "attributes": {"new_customers": new, "repeat_orders": 40, "ltv_90d": 80.0, **attributes},
    }


def _channel(cost: float, customers: int) -> Row:
    return {"cost": cost, "attributes": {"new_customers": customers, "ltv_12m": 120.0}}


def _segment(customers: int, worth: float, dimension: str = "country") -> Row:
    spent = {"matured_customers": customers, "matured_revenue": customers * worth}
    return {"attributes": {**spent, "segment_dimension": dimension}}


def _first_product(customers: int, repeaters: int) -> Row:
    return {"attributes": {"matured_customers": customers, "repeaters": repeaters}}


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    before, after = _site(1, 100, 20, disputed_amount=50.0), _site(2, 100, 10, disputed_amount=100.0)
    yield from series("property", "properties/1", DAYS, changed(before, after, days=28))
    yield from _customers()
    yield from series("customer", "overdue", 1, steady(**_customer(12, 55, 2_000.0)))
    yield from series("customer", "lost", 1, steady(**_customer(12, 300, 2_000.0)))
    yield from series("channel", "Paid Search", DAYS, changed(_channel(300.0, 5), _channel(500.0, 5), days=42))
    yield from series("channel", "Paid Social", DAYS, steady(**_channel(500.0, 5)))
    yield from series("channel", "Email", DAYS, steady(**_channel(10.0, 5)))
    yield from series("first_product", "usual", YEAR, steady(**_first_product(20, 6)))
    yield from series("first_product", "gateway", YEAR, steady(**_first_product(2, 1)))
    yield from series("first_product", "dead end", YEAR, lambda ago: _first_product(2, 1 if ago % 10 == 0 else 0))
    yield from series("customer_segment", "country:DE", DAYS, lambda ago: _segment(10, 90.0 + ago % 20))
    yield from series("customer_segment", "country:CH", DAYS, lambda ago: _segment(2, 240.0 + ago % 20))
    yield from series("customer_segment", "device:mobile", DAYS, steady(**_segment(12, 120.0, "device")))


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    # 500 charges in 30 days, 60 new customers in the base are needed.
    charges, new = ramp(499 + more, 30), ramp(59 + more, 28)

    def site(ago: int) -> Row:
        customers = new(ago - 28) if ago >= 28 else 1 if ago < 10 else 0
        return _site(1, charges(ago % 30), customers, disputed_amount=50.0)

    yield from series("property", "properties/1", DAYS, site)
    # 4 orders are needed.
    yield from _customers()
    yield from series("customer", "overdue", 1, steady(**_customer(3 + more, 55, 2_000.0)))
    # 50 new customers in six weeks are needed.
    few = ramp(49 + more, 42)
    yield from series(
        "channel", "Paid Search", DAYS, lambda ago: _channel(500.0, few(ago)) if ago < 42 else _channel(100.0, 2)
    )
    # 100 customers of a first product are needed.
    hundred = ramp(99 + more, 50)
    yield from series("first_product", "usual", YEAR, steady(**_first_product(20, 6)))
    yield from series(
        "first_product",
        "gateway",
        YEAR,
        lambda ago: _first_product(*(2 * [hundred(ago - 100)] if 100 <= ago < 150 else [0, 0])),
    )
    # 50 customers of a segment are needed.
    fifty = ramp(49 + more, 90)
    yield from series("customer_segment", "country:DE", DAYS, lambda ago: _segment(10, 90.0 + ago % 20))
    yield from series("customer_segment", "country:CH", DAYS, lambda ago: _segment(fifty(ago), 240.0 + ago % 20))
