"""Stripe's objects as fields of documents: charges, refunds, disputes, customers, prices.

Shapes: https://docs.stripe.com/api. References are ids, or the objects themselves where they were asked for.
"""

from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from typing import Any, Protocol

from shared.sources.stripe.money import interval, money, per_month, total, unit_amount

Given = Mapping[str, Any]
PRODUCT_KEYS = ("product_id", "product", "sku")
"""Where merchants commonly put what was bought, in the metadata of a payment."""


class Ask(Protocol):
    """Lists everything at a path of the API."""

    def __call__(self, path: str, **parameters: Any) -> Iterator[Given]: ...


def charge(given: Given, ask: Ask) -> dict[str, Any]:
    """One charge, its payment intent with it."""
    currency, metadata = given["currency"], given.get("metadata") or {}
    details, billing = given.get("payment_method_details") or {}, given.get("billing_details") or {}
    method = details.get(details.get("type")) or {}
    told = referred(given.get("payment_intent")).get("amount_details") or {}
    lines = list(whole(told.get("line_items"), ask))
    return made(given) | {
        "charge_id": given["id"],
        "customer_id": id_of(given.get("customer")),
        "payment_intent_id": id_of(given.get("payment_intent")),
        "currency": currency.upper(),
        "amount": money(given["amount"], currency),
        "amount_captured": money(given["amount_captured"], currency),
        "amount_refunded": money(given["amount_refunded"], currency),
        "discount_amount": _discount(told, lines, currency),
        "status": given["status"],
        "paid": given["paid"],
        "captured": given["captured"],
        "refunded": given["refunded"],
        "disputed": given["disputed"],
        "failure_code": given.get("failure_code"),
        "outcome_type": (given.get("outcome") or {}).get("type"),
        "payment_method_type": details.get("type"),
        "card_brand": method.get("brand"),
        "wallet_type": (method.get("wallet") or {}).get("type"),
        "country": _country(billing) or method.get("country"),
        "email": address(given.get("receipt_email") or billing.get("email")),
        "product_id": next((metadata[key] for key in PRODUCT_KEYS if metadata.get(key)), None),
        "lines": [_charge_line(line, currency) for line in lines],
        "metadata": dict(metadata),
    }


def refund(given: Given, ask: Ask) -> dict[str, Any]:
    """One refund."""
    return _of_charge(given) | {"refund_id": given["id"]}


def dispute(given: Given, ask: Ask) -> dict[str, Any]:
    """One dispute."""
    return _of_charge(given) | {"dispute_id": given["id"]}


def customer(given: Given, ask: Ask) -> dict[str, Any]:
    """One customer that there is."""
    currency = given.get("currency")
    return made(given) | {
        "customer_id": given["id"],
        "email": address(given.get("email")),
        "country": _country(given) or _country(given.get("shipping") or {}),
        "currency": currency and currency.upper(),
        "delinquent": bool(given.get("delinquent")),
        "deleted_at": None,
        "metadata": dict(given.get("metadata") or {}),
    }


def price(given: Given, ask: Ask) -> dict[str, Any]:
    """One price, its product with it."""
    currency, (every, count) = given["currency"], interval(given)
    recurring = given.get("recurring") or {}
    # Of a metered price a month costs what is used.
    monthly = None if recurring.get("usage_type") == "metered" else per_month(given, 1)
    return made(given) | {
        "price_id": given["id"],
        "product_id": id_of(given["product"]),
        "product_name": referred(given["product"]).get("name"),
        "nickname": given.get("nickname"),
        "active": given["active"],
        "currency": currency.upper(),
        "unit_amount": money(unit_amount(given), currency),
        "billing_interval": every,
        "interval_count": count,
        "usage_type": recurring.get("usage_type"),
        "monthly_price": None if monthly is None else float(monthly),
        "metadata": dict(given.get("metadata") or {}),
    }


def made(given: Given) -> dict[str, Any]:
    """When an object was made: a document's day is that of UTC."""
    created = at(given["created"])
    return {"date": created.date().isoformat(), "created_at": created}


def at(seconds: int) -> datetime:
    """One of Stripe's times."""
    return datetime.fromtimestamp(seconds, UTC)


def at_or_none(seconds: int | None) -> datetime | None:
    """The same of a time that may be none."""
    return None if seconds is None else at(seconds)


def id_of(value: Any) -> Any:
    """The id of what is referred to, whether it is there itself or not."""
    return value["id"] if isinstance(value, Mapping) else value


def referred(value: Any) -> Given:
    """What is referred to where it is there itself; else nothing."""
    return value if isinstance(value, Mapping) else {}


def whole(listed: Given | None, ask: Ask) -> Iterator[Given]:
    """All of a list within an object, which has only its beginning."""
    if listed:
        yield from listed["data"]
        if listed["has_more"]:
            yield from ask(listed["url"], starting_after=listed["data"][-1]["id"])


def address(email: str | None) -> str | None:
    """An e-mail address as other sources have it, too: its hash is what they are joined by."""
    return email.strip().lower() if email else None


def _of_charge(given: Given) -> dict[str, Any]:
    currency = given["currency"]
    return made(given) | {
        "charge_id": id_of(given.get("charge")),
        "payment_intent_id": id_of(given.get("payment_intent")),
        "currency": currency.upper(),
        "amount": money(given["amount"], currency),
        "status": given.get("status"),
        "reason": given.get("reason"),
    }


def _charge_line(given: Given, currency: str) -> dict[str, Any]:
    return {
        "product_id": given.get("product_code"),
        "product_name": given.get("product_name"),
        "quantity": given.get("quantity"),
        "unit_amount": money(given.get("unit_cost"), currency),
        "discount_amount": money(given.get("discount_amount"), currency),
    }


def _discount(told: Given, lines: list[Given], currency: str) -> Any:
    """Told of the whole payment or of its lines, never of both; None where nothing is told."""
    if told.get("discount_amount") is not None:
        return money(told["discount_amount"], currency)
    return total([line.get("discount_amount") or 0 for line in lines], currency) if lines else None


def _country(given: Given) -> str | None:
    country: str | None = (given.get("address") or {}).get("country")
    return country
