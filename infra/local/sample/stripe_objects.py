"""Objects in the shapes of Stripe's API, of the fields that matter: times in Unix seconds, money in cents.

An account is the objects by the name of their list, in the order in which they were made; ids count up.
"""

from collections.abc import Sequence
from copy import deepcopy
from datetime import UTC, datetime, timedelta
from typing import Any

Object = dict[str, Any]

LISTS = (
    "charges",
    "refunds",
    "disputes",
    "customers",
    "prices",
    "subscriptions",
    "invoices",
    "events",
    "payment_methods",
    "payment_intents",
)
EVENTS_KEPT = timedelta(days=30)
"""For how long Stripe tells events."""


def unix(at: datetime) -> int:
    """A moment as Stripe writes it."""
    return int(at.replace(tzinfo=UTC).timestamp())


class Account:
    """What the account holds as of a moment."""

    def __init__(self, now: datetime) -> None:
        self.now = now
        self.lists: dict[str, list[Object]] = {name: [] for name in LISTS}

    def made(self, listed: str, prefix: str, kind: str, at: datetime, **fields: Any) -> Object:
        """A new object of a list."""
        number = len(self.lists[listed]) + 1
        made = {"id": f"{prefix}_{number:05d}", "object": kind, "created": unix(at), "livemode": False, **fields}
        self.lists[listed].append(made)
        return made

    def customer(self, at: datetime, email: str, country: str) -> Object:
        """A customer and the card that it pays with."""
        made = self.made("customers", "cus", "customer", at, email=email, address={"country": country}, name="A Buyer")
        made.update(currency="usd", delinquent=False, metadata={}, shipping=None)
        self.card(at, made, 12, self.now.year + 2)
        return made

    def card(self, at: datetime, customer: Object, month: int, year: int) -> Object:
        """A card, with which the customer pays from now on."""
        card = {"brand": "visa", "country": customer["address"]["country"], "exp_month": month, "exp_year": year}
        made = self.made("payment_methods", "pm", "payment_method", at, type="card", card=card, customer=customer["id"])
        customer["invoice_settings"] = {"default_payment_method": made["id"]}
        return made

    def charge(
        self, at: datetime, amount: int, intent: str, payer: Object | None, email: str, country: str, paid: bool = True
    ) -> Object:
        """An attempt to take money; the card's issuer declines it where it is not paid. No payer: a guest."""
        card = {"brand": "visa", "country": country, "wallet": None}
        return self.made(
            "charges",
            "ch",
            "charge",
            at,
            amount=amount,
            amount_captured=amount if paid else 0,
            amount_refunded=0,
            currency="usd",
            customer=payer and payer["id"],
            payment_intent=intent,
            status="succeeded" if paid else "failed",
            paid=paid,
            captured=paid,
            refunded=False,
            disputed=False,
            failure_code=None if paid else "card_declined",
            outcome={"type": "authorized" if paid else "issuer_declined"},
            billing_details={"address": {"country": country}, "email": email, "name": "A Buyer"},
            receipt_email=email,
            payment_method_details={"type": "card", "card": card},
            metadata={},
        )

    def refund(self, at: datetime, charge: Object, amount: int) -> None:
        """Give a charge back, or a part of it."""
        made = self._about(charge, "refunds", "re", "refund", at, amount, "succeeded", "requested_by_customer")
        charge["amount_refunded"] += made["amount"]
        charge["refunded"] = charge["amount_refunded"] == charge["amount"]

    def dispute(self, at: datetime, charge: Object) -> None:
        """The payer of a charge disputes it."""
        self._about(charge, "disputes", "dp", "dispute", at, charge["amount"], "needs_response", "fraudulent")
        charge["disputed"] = True

    def _about(
        self, charge: Object, listed: str, prefix: str, kind: str, at: datetime, amount: int, status: str, reason: str
    ) -> Object:
        made = self.made(listed, prefix, kind, at, charge=charge["id"], payment_intent=charge["payment_intent"])
        made.update(amount=amount, currency="usd", status=status, reason=reason, metadata={})
        return made

    def intent(self, at: datetime, intent: str, amount: int, discount: int) -> None:
        """The payment that a discounted charge is an attempt of; of the others there is nothing to tell."""
        made = self.made("payment_intents", "pi", "payment_intent", at, amount=amount, currency="usd")
        made.update(id=intent, amount_details={"discount_amount": discount, "tip": {}})

    def price(self, price_id: str, name: str, amount: int, interval: str, at: datetime) -> Object:
        """A recurring price and its product."""
        made = self.made("prices", "price", "price", at, active=True, currency="usd", nickname=name, metadata={})
        made.update(
            id=price_id,
            product={"id": f"prod_{price_id}", "object": "product", "name": name},
            type="recurring",
            recurring={"interval": interval, "interval_count": 1, "usage_type": "licensed"},
            billing_scheme="per_unit",
            unit_amount=amount,
            unit_amount_decimal=str(amount),
        )
        return made

    def event(self, at: datetime, kind: str, subscription: Object, previous: Object | None = None) -> None:
        """What happened to a subscription, with the subscription as it is now."""
        if at >= self.now - EVENTS_KEPT:
            data = {
                "object": deepcopy(subscription),
                **({"previous_attributes": deepcopy(previous)} if previous else {}),
            }
            self.made("events", "evt", "event", at, type=f"customer.subscription.{kind}", data=data)

    def invoice(
        self, at: datetime, subscription: Object, reason: str, lines: Sequence[Object], intent: str, discount: int = 0
    ) -> Object:
        """An invoice that is yet to be paid; one of nothing has no payment."""
        subtotal = sum(line["amount"] for line in lines)
        total = subtotal - discount
        payment = {"type": "payment_intent", "payment_intent": intent}
        paid_by = [{"id": f"inpay_{intent}", "object": "invoice_payment", "is_default": True, "payment": payment}]
        of = {"subscription": subscription["id"], "metadata": {}}
        return self.made(
            "invoices",
            "in",
            "invoice",
            at,
            customer=subscription["customer"],
            parent={"type": "subscription_details", "subscription_details": of},
            billing_reason=reason,
            collection_method="charge_automatically",
            currency="usd",
            status="open",
            subtotal=subtotal,
            total=total,
            total_discount_amounts=[{"amount": discount, "discount": "di_welcome"}] if discount else [],
            amount_due=total,
            amount_paid=0,
            amount_remaining=total,
            attempted=True,
            attempt_count=0,
            next_payment_attempt=None,
            status_transitions={
                "finalized_at": unix(at + timedelta(hours=1)),
                "paid_at": None,
                "voided_at": None,
                "marked_uncollectible_at": None,
            },
            lines={"object": "list", "has_more": False, "data": list(lines)},
            payments={"object": "list", "has_more": False, "data": paid_by if total else []},
        )


def line(price: Object, subscription: Object, start: datetime, end: datetime, amount: int, proration: bool) -> Object:
    """An invoice's line: a whole period of the subscription's item, or (proration) what a part of one adds or takes."""
    item = subscription["items"]["data"][0]["id"]
    of = {"subscription": subscription["id"], "subscription_item": item, "proration": proration}
    priced = {"price": price["id"], "product": price["product"]["id"]}
    return {
        "id": f"il_{subscription['id']}_{unix(start)}_{price['id']}{'_part' if proration else ''}",
        "object": "line_item",
        "amount": amount,
        "currency": "usd",
        "discount_amounts": [],
        "period": {"start": unix(start), "end": unix(end)},
        "quantity": 1,
        "parent": {"type": "subscription_item_details", "subscription_item_details": of},
        "pricing": {"type": "price_details", "price_details": priced, "unit_amount_decimal": str(price["unit_amount"])},
    }
