"""Stripe's invoices as fields of documents."""

from collections.abc import Mapping
from typing import Any

from shared.sources.stripe.money import money, total
from shared.sources.stripe.objects import Ask, Given, at, at_or_none, id_of, made, whole


def invoice(given: Given, ask: Ask) -> dict[str, Any]:
    """One invoice with all its lines."""
    currency, times = given["currency"], given.get("status_transitions") or {}
    parent = (given.get("parent") or {}).get("subscription_details") or {}
    payments = [payment["payment"] for payment in whole(given.get("payments"), ask)]
    return made(given) | {
        "invoice_id": given["id"],
        "customer_id": id_of(given.get("customer")),
        "subscription_id": id_of(parent.get("subscription")),
        "payment_intent_ids": [id_of(payment["payment_intent"]) for payment in payments if "payment_intent" in payment],
        "status": given.get("status"),
        "billing_reason": given.get("billing_reason"),
        "collection_method": given.get("collection_method"),
        "currency": currency.upper(),
        "subtotal": money(given["subtotal"], currency),
        "discount_amount": _discounts(given.get("total_discount_amounts"), currency),
        "total": money(given["total"], currency),
        "amount_due": money(given["amount_due"], currency),
        "amount_paid": money(given["amount_paid"], currency),
        "amount_remaining": money(given["amount_remaining"], currency),
        "attempted": given["attempted"],
        "attempt_count": given["attempt_count"],
        "finalized_at": at_or_none(times.get("finalized_at")),
        "failed_at": at_or_none(times.get("finalized_at") if _failed(given, times) else None),
        "next_attempt_at": at_or_none(given.get("next_payment_attempt")),
        "paid_at": at_or_none(times.get("paid_at")),
        "voided_at": at_or_none(times.get("voided_at")),
        "uncollectible_at": at_or_none(times.get("marked_uncollectible_at")),
        "lines": [_line(line, currency) for line in whole(given["lines"], ask)],
    }


def _failed(given: Given, times: Mapping[str, Any]) -> bool:
    """True where a payment was tried and was not taken at once: Stripe counts the tries of its own schedule."""
    tried = given["attempted"] and given["amount_due"] > 0
    return bool(tried and (given["attempt_count"] > 1 or not times.get("paid_at")))


def _line(given: Given, currency: str) -> dict[str, Any]:
    parent, price = given.get("parent") or {}, (given.get("pricing") or {}).get("price_details") or {}
    of_item = parent.get("subscription_item_details")
    details = of_item or parent.get("invoice_item_details") or {}
    proration = bool(details.get("proration"))
    return {
        "line_id": given["id"],
        "item_id": of_item and of_item.get("subscription_item"),
        "price_id": id_of(price.get("price")),
        "product_id": price.get("product"),
        "subscription_id": id_of(details.get("subscription")),
        "recurring": of_item is not None and not proration,
        "proration": proration,
        "quantity": given.get("quantity"),
        "amount": money(given["amount"], currency),
        "discount_amount": _discounts(given.get("discount_amounts"), currency),
        "period_start_at": at(given["period"]["start"]),
        "period_end_at": at(given["period"]["end"]),
    }


def _discounts(given: list[Given] | None, currency: str) -> float:
    return total([discount["amount"] for discount in given or []], currency)
