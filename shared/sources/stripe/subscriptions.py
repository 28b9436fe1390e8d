"""Stripe's subscriptions as fields of documents, and their changes, which events tell of."""

from datetime import date
from decimal import Decimal
from typing import Any

from shared.sources.stripe.money import interval, money, per_month, per_renewal, unit_amount
from shared.sources.stripe.objects import Ask, Given, at, at_or_none, id_of, made, referred, whole

EARNING = frozenset(("active", "past_due"))
"""Statuses whose items count as recurring revenue, as Stripe's own MRR has it: no trials, nothing unpaid or paused."""
RENEWING = frozenset(("active", "past_due", "trialing"))
NOTHING = Decimal(0)


def subscription(given: Given, ask: Ask) -> dict[str, Any]:
    """One subscription as it is now, with its customer and its methods of payment."""
    items = list(whole(given["items"], ask))
    method, renews = _method(given), _renews(given, items)
    card = method.get("card") or (method if method.get("object") == "card" else {})
    details = given.get("cancellation_details") or {}
    renewal = sum((per_renewal(_price(item), item.get("quantity")) or NOTHING for item in items), NOTHING)
    return (
        made(given)
        | _subscribed(given, items)
        | {
            "started_at": at(given["start_date"]),
            "cancel_at": at_or_none(given.get("cancel_at")),
            "cancel_at_period_end": bool(given.get("cancel_at_period_end")),
            "cancellation_feedback": details.get("feedback"),
            "current_period_start_at": at_or_none(_bound(given, items, "current_period_start", max)),
            "current_period_end_at": at_or_none(renews),
            "renewal_amount": float(renewal),
            "collection_method": given.get("collection_method"),
            "latest_invoice_id": id_of(given.get("latest_invoice")),
            "payment_method_type": method.get("type") or method.get("object"),
            "card_exp_year": card.get("exp_year"),
            "card_exp_month": card.get("exp_month"),
            "backup_methods": _backups(given, card, renews, ask),
            "metadata": dict(given.get("metadata") or {}),
        }
    )


def change(event: Given) -> dict[str, Any]:
    """A subscription as an event of it left it.

    An event is in the version of the API that its account had by default that day: what has moved since is looked for
    in both places.
    """
    given, previous = event["data"]["object"], event["data"].get("previous_attributes") or {}
    before = {**given, **previous} if event["type"] == "customer.subscription.updated" else None
    changed = at(event["created"])
    return _subscribed(given, given["items"]["data"]) | {
        "date": changed.date().isoformat(),
        "created_at": at(given["created"]),
        "change_id": event["id"],
        "event_type": event["type"],
        "changed_at": changed,
        "previous_status": before and before["status"],
        "previous_mrr": before and float(_mrr(before["status"], _monthly(before["items"]["data"]))),
    }


def _subscribed(given: Given, items: list[Given]) -> dict[str, Any]:
    """What a subscription pays for. The dearest item stands for it, of equals the first by its price's name."""
    monthly = _monthly(items)
    main = min(items, key=_dearest_first, default=None)
    dearest = {} if main is None else _item(main)
    return {
        "subscription_id": given["id"],
        "customer_id": id_of(given["customer"]),
        "status": given["status"],
        "currency": _currency(given, items).upper(),
        "items": [_item(item) for item in items],
        **{name: dearest.get(name) for name in ("price_id", "product_id", "billing_interval", "interval_count")},
        "quantity": dearest.get("quantity"),
        "monthly_price": float(monthly),
        "mrr": float(_mrr(given["status"], monthly)),
        "trial_start_at": at_or_none(given.get("trial_start")),
        "trial_end_at": at_or_none(given.get("trial_end")),
        "canceled_at": at_or_none(given.get("canceled_at")),
        "ended_at": at_or_none(given.get("ended_at")),
        "cancellation_reason": (given.get("cancellation_details") or {}).get("reason"),
    }


def _currency(given: Given, items: list[Given]) -> str:
    """Its own; its items' in versions of the API in which it had none."""
    currency: str = given.get("currency") or _price(items[0])["currency"]
    return currency


def _item(given: Given) -> dict[str, Any]:
    price = _price(given)
    every, count = interval(price)
    return {
        "item_id": given["id"],
        "price_id": price["id"],
        "product_id": id_of(price.get("product")),
        "billing_interval": every,
        "interval_count": count,
        "unit_amount": money(unit_amount(price), price["currency"]),
        "quantity": given.get("quantity"),
    }


def _price(item: Given) -> Given:
    """Its price, or its plan, as it was called before prices."""
    price: Given = item.get("price") or item["plan"]
    return price


def _monthly(items: list[Given]) -> Decimal:
    return sum((per_month(_price(item), item.get("quantity")) or NOTHING for item in items), NOTHING)


def _dearest_first(item: Given) -> tuple[Decimal, str]:
    return -(per_month(_price(item), item.get("quantity")) or NOTHING), _price(item)["id"]


def _mrr(status: str, monthly: Decimal) -> Decimal:
    return monthly if status in EARNING else NOTHING


def _bound(given: Given, items: list[Given], name: str, of: Any) -> Any:
    """A period's bound: of its items since they may have periods of their own, of the subscription before."""
    return of((item[name] for item in items if item.get(name)), default=given.get(name))


def _renews(given: Given, items: list[Given]) -> Any:
    return _bound(given, items, "current_period_end", min)


def _method(given: Given) -> Given:
    """What it is paid with: its own default before its customer's, each before the older kind of source."""
    customer = referred(given.get("customer"))
    candidates = (
        given.get("default_payment_method"),
        given.get("default_source"),
        (customer.get("invoice_settings") or {}).get("default_payment_method"),
        customer.get("default_source"),
    )
    return next((referred(candidate) for candidate in candidates if referred(candidate)), {})


def _backups(given: Given, card: Given, renews: Any, ask: Ask) -> int | None:
    """Its customer's other methods, asked for where they will be needed: the card expires before it renews."""
    if given["status"] not in RENEWING or renews is None or not card.get("exp_year") or not card.get("exp_month"):
        return None
    # Good until its month ends.
    expired = date(card["exp_year"] + card["exp_month"] // 12, card["exp_month"] % 12 + 1, 1)
    if at(renews).date() < expired or referred(given.get("customer")).get("deleted"):
        return None
    methods = ask(f"/v1/customers/{id_of(given['customer'])}/payment_methods")
    return max(0, sum(1 for _ in methods) - 1)
