"""Objects in the shapes of Stripe's API, for tests.

Restated from the fixtures of Stripe's OpenAPI description (https://github.com/stripe/openapi, MIT): the fields that
Scout reads, and some that it does not.
"""

import json
from datetime import UTC, date, datetime, timedelta
from typing import Any

import stripe

Object = dict[str, Any]

TODAY = date(2026, 11, 21)


def ago(days: float, seconds: int = 0) -> int:
    """So many days before noon of today, as Stripe writes a time."""
    noon = datetime(TODAY.year, TODAY.month, TODAY.day, 12, tzinfo=UTC)
    return int((noon - timedelta(days=days)).timestamp()) + seconds


def charge(name: str, created: int, **changed: Any) -> Object:
    """A charge of 20.00 by card that succeeded."""
    card = {"brand": "visa", "country": "US", "exp_month": 8, "exp_year": 2030, "wallet": None, "last4": "4242"}
    return {
        "id": name,
        "object": "charge",
        "created": created,
        "amount": 2000,
        "amount_captured": 2000,
        "amount_refunded": 0,
        "billing_details": {"address": {"country": "DE"}, "email": None, "name": "Jenny Rosen"},
        "captured": True,
        "currency": "usd",
        "customer": None,
        "disputed": False,
        "failure_code": None,
        "metadata": {},
        "outcome": {"type": "authorized"},
        "paid": True,
        "payment_intent": None,
        "payment_method_details": {"card": card, "type": "card"},
        "receipt_email": None,
        "refunded": False,
        "status": "succeeded",
        **changed,
    }


def refund(name: str, created: int, of: Object, amount: int) -> Object:
    """A refund of a charge."""
    about = {"charge": of["id"], "currency": of["currency"], "payment_intent": of["payment_intent"]}
    return {"id": name, "object": "refund", "created": created, "amount": amount, **about} | {
        "metadata": {},
        "reason": "requested_by_customer",
        "status": "succeeded",
    }


def dispute(name: str, created: int, of: Object, **changed: Any) -> Object:
    """A dispute of a charge."""
    about = {"charge": of["id"], "currency": of["currency"], "amount": of["amount"]}
    told = {"payment_intent": None, "reason": "fraudulent", "status": "needs_response"}
    return {"id": name, "object": "dispute", "created": created, **about, **told, **changed}


def customer(name: str, created: int, **changed: Any) -> Object:
    """A customer."""
    return {
        "id": name,
        "object": "customer",
        "created": created,
        "address": {"country": "DE"},
        "currency": "usd",
        "default_source": None,
        "delinquent": False,
        "email": "Jenny.Rosen@Example.com ",
        "invoice_settings": {"default_payment_method": None},
        "metadata": {"plan_limit": "100"},
        "name": "Jenny Rosen",
        "shipping": None,
        **changed,
    }


def card(name: str, of: Object, year: int, month: int) -> Object:
    """A card of a customer."""
    held = {"brand": "visa", "country": "US", "exp_month": month, "exp_year": year}
    return {"id": name, "object": "payment_method", "created": of["created"], "type": "card", "card": held} | {
        "customer": of["id"]
    }


def price(name: str, amount: int | None, interval: str = "month", count: int = 1, **changed: Any) -> Object:
    """A recurring price."""
    exact = None if amount is None else str(amount)
    return {
        "id": name,
        "object": "price",
        "created": ago(500),
        "active": True,
        "billing_scheme": "per_unit",
        "currency": "usd",
        "metadata": {},
        "nickname": None,
        "product": f"prod_{name}",
        "recurring": {"interval": interval, "interval_count": count, "usage_type": "licensed"},
        "transform_quantity": None,
        "type": "recurring",
        "unit_amount": amount,
        "unit_amount_decimal": exact,
        **changed,
    }


def item(name: str, of: Object, quantity: int | None = 1, **changed: Any) -> Object:
    """A subscription's item."""
    period = {"current_period_start": ago(10), "current_period_end": ago(-20)}
    return {"id": name, "object": "subscription_item", "price": of, "quantity": quantity, **period, **changed}


def listed(*those: Object) -> Object:
    """A list within an object."""
    return {"object": "list", "data": list(those), "has_more": False}


def subscription(name: str, created: int, of: str, *items: Object, **changed: Any) -> Object:
    """A subscription of a customer."""
    return {
        "id": name,
        "object": "subscription",
        "created": created,
        "cancel_at": None,
        "cancel_at_period_end": False,
        "canceled_at": None,
        "cancellation_details": {"comment": None, "feedback": None, "reason": None},
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer": of,
        "default_payment_method": None,
        "default_source": None,
        "ended_at": None,
        "items": listed(*items),
        "latest_invoice": None,
        "metadata": {},
        "start_date": created,
        "status": "active",
        "trial_end": None,
        "trial_start": None,
        **changed,
    }


def invoice_line(name: str, of: Object, amount: int, proration: bool = False) -> Object:
    """A line for a subscription's item."""
    about = {"subscription": "sub_1", "subscription_item": "si_1", "proration": proration}
    return {
        "id": name,
        "object": "line_item",
        "amount": amount,
        "currency": of["currency"],
        "discount_amounts": [],
        "parent": {"type": "subscription_item_details", "subscription_item_details": about},
        "period": {"start": ago(30), "end": ago(0)},
        "pricing": {"type": "price_details", "price_details": {"price": of["id"], "product": of["product"]}},
        "quantity": 1,
    }


def invoice(name: str, created: int, *lines: Object, **changed: Any) -> Object:
    """An invoice that was paid at once."""
    due = sum(line["amount"] for line in lines)
    times = {"finalized_at": created + 3600, "paid_at": created + 3605, "voided_at": None}
    return {
        "id": name,
        "object": "invoice",
        "created": created,
        "amount_due": due,
        "amount_paid": due,
        "amount_remaining": 0,
        "attempt_count": 1,
        "attempted": True,
        "billing_reason": "subscription_cycle",
        "collection_method": "charge_automatically",
        "currency": "usd",
        "customer": "cus_1",
        "lines": listed(*lines),
        "next_payment_attempt": None,
        "parent": {"type": "subscription_details", "subscription_details": {"subscription": "sub_1"}},
        "payments": listed({"id": f"inpay_{name}", "payment": {"type": "payment_intent", "payment_intent": "pi_1"}}),
        "status": "paid",
        "status_transitions": {**times, "marked_uncollectible_at": None},
        "subtotal": due,
        "total": due,
        "total_discount_amounts": [],
        **changed,
    }


def event(name: str, created: int, kind: str, of: Object, /, **previous: Any) -> Object:
    """An event about an object; `previous` is what it was before."""
    data = {"object": of, **({"previous_attributes": previous} if previous else {})}
    return {"id": name, "object": "event", "created": created, "type": kind, "api_version": "2026-10-28", "data": data}


def signed(sent: Object, secret: str, at: datetime) -> tuple[bytes, str]:
    """A delivery's body and the signature that Stripe would give it."""
    body = json.dumps(sent)
    return body.encode(), stripe.WebhookSignature.generate_signature_header(body, secret, int(at.timestamp()))
