"""Stripe's amounts, which are in a currency's smallest unit, in the currency's own; prices brought to a month."""

from collections.abc import Mapping
from decimal import Decimal, InvalidOperation
from typing import Any

# https://docs.stripe.com/currencies#zero-decimal and #special-cases: ISK and UGX have no decimals of their own, and
# are told with two all the same.
NO_DECIMALS = "BIF CLP DJF GNF JPY KMF KRW MGA PYG RWF VND VUV XAF XOF XPF"
THREE_DECIMALS = "BHD JOD KWD OMR TND"
DECIMALS = dict.fromkeys(NO_DECIMALS.split(), 0) | dict.fromkeys(THREE_DECIMALS.split(), 3)
"""Of currencies that have not two."""

NUMERIC = Decimal("1E-9")
"""The smallest step of a NUMERIC column. Prices have up to twelve decimals of the smallest unit."""
MONTHLY = Decimal("1E-6")
A_MONTH = {"day": Decimal(365) / 12, "week": Decimal(365) / 84, "month": Decimal(1), "year": 1 / Decimal(12)}
"""How often an interval goes into a month."""


def units(amount: Any, currency: str) -> Decimal | None:
    """An amount (an integer, or a decimal as text) in units of its currency; None where it is none, or no number."""
    try:
        exact = Decimal(str(amount))
    except InvalidOperation:
        return None
    return exact.scaleb(-DECIMALS.get(currency.upper(), 2)).quantize(NUMERIC) if exact.is_finite() else None


def money(amount: Any, currency: str) -> Any:
    """The same as a document holds it. Raw is raw: what is no number is kept, and refused where people see it."""
    exact = units(amount, currency)
    return amount if exact is None else float(exact)


def total(amounts: list[Any], currency: str) -> float:
    """The sum of some amounts, as a document holds it."""
    return float(sum((units(amount, currency) or Decimal(0) for amount in amounts), Decimal(0)))


def unit_amount(price: Mapping[str, Any]) -> Any:
    """What one of it costs, in the smallest unit and as exactly as Stripe says it; None of a tiered price.

    Takes a price, or a plan, as older events have it.
    """
    names = ("unit_amount_decimal", "unit_amount", "amount_decimal", "amount")
    return next((price[name] for name in names if price.get(name) is not None), None)


def interval(price: Mapping[str, Any]) -> tuple[str | None, int | None]:
    """How often a price, or a plan, is paid: every second month is ("month", 2)."""
    recurring = price.get("recurring") or price
    return recurring.get("interval"), recurring.get("interval_count")


def per_renewal(price: Mapping[str, Any], quantity: int | None) -> Decimal | None:
    """What so many of it cost when they renew; None of a tiered price, and of a metered one (it has no quantity)."""
    each = units(unit_amount(price), price["currency"])
    if each is None or quantity is None:
        return None
    packages = price.get("transform_quantity")
    if packages:
        whole, rest = divmod(quantity, packages["divide_by"])
        quantity = whole + (1 if rest and packages["round"] == "up" else 0)
    return each * quantity


def per_month(price: Mapping[str, Any], quantity: int | None) -> Decimal | None:
    """The same brought to a month: a year is twelve of them, and 365 days; None too of what is sold once."""
    paid, (every, count) = per_renewal(price, quantity), interval(price)
    if paid is None or every not in A_MONTH:
        return None
    return (paid * A_MONTH[every] / (count or 1)).quantize(MONTHLY)
