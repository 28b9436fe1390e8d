"""Stripe's own objects through the connector, over HTTP: what Stripe calls its fields is not ours to say."""

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import Any

import pytest
import stripe

from infra.local.vendors.stripe import KEY, Shop
from shared.adapters.stripe import StripeSource
from shared.sources.source import Pull
from shared.sources.stripe.feeds import (
    CHANGES,
    CHARGES,
    CUSTOMERS,
    DISPUTES,
    FEEDS,
    INVOICES,
    PRICES,
    REFUNDS,
    SUBSCRIPTIONS,
    ObjectFeed,
)
from shared.sources.stripe.subscriptions import change
from shared.tenants.records import SourceSettings
from tests.support.stripe_objects import Read, fixture, whole
from tests.support.vendors import Vendors, vendors

TODAY = date(2009, 2, 15)
MADE = datetime(2009, 2, 13, 23, 31, 30, tzinfo=UTC)
CHARGE, CUSTOMER, PRODUCT = "ch_1PgafuB7WZ01zgkWXYmPNZs8", "cus_QXg1o8vcGmoR32", "prod_QXg1hqf4jFNsqG"
PRICE, SUBSCRIPTION = "price_1PgafmB7WZ01zgkW6dKueIc5", "sub_1Pgc6rB7WZ01zgkWNy0Cn5nw"
SUBSCRIBED = {
    "subscription_id": SUBSCRIPTION,
    "customer_id": CUSTOMER,
    "status": "active",
    "currency": "USD",
    "price_id": PRICE,
    "product_id": PRODUCT,
    "billing_interval": "month",
    "interval_count": 1,
    "quantity": 1,
    "trial_start_at": MADE,
    "canceled_at": MADE,
    "ended_at": MADE,
}
EXPECTED: dict[str, tuple[ObjectFeed | Any, str, dict[str, Any]]] = {
    "charge": (
        CHARGES,
        CHARGE,
        {
            "charge_id": CHARGE,
            "currency": "USD",
            "amount": 1.0,
            "amount_captured": 0.0,
            "status": "succeeded",
            "paid": True,
            "captured": False,
            "outcome_type": "type",
            "payment_method_type": "card",
            "card_brand": "visa",
            "wallet_type": "link",
            "country": "US",
        },
    ),
    "refund": (REFUNDS, "re_1Pgc72B7WZ01zgkWqPvrRrPE", {"charge_id": CHARGE, "amount": 1.0, "status": "succeeded"}),
    "dispute": (
        DISPUTES,
        "dp_1Pgc71B7WZ01zgkWMevJiAUx",
        {"charge_id": CHARGE, "amount": 10.0, "status": "warning_needs_response", "reason": "general"},
    ),
    "customer": (CUSTOMERS, CUSTOMER, {"currency": "USD", "delinquent": False, "deleted_at": None}),
    "price": (
        PRICES,
        PRICE,
        {
            "product_id": PRODUCT,
            "product_name": "T-shirt",
            "active": True,
            "unit_amount": 20.0,
            "billing_interval": "month",
            "interval_count": 1,
            "usage_type": "licensed",
        },
    ),
    "subscription": (
        SUBSCRIPTIONS,
        SUBSCRIPTION,
        SUBSCRIBED
        | {
            "started_at": MADE,
            "cancel_at": MADE,
            "cancel_at_period_end": True,
            "current_period_end_at": datetime.fromtimestamp(976287773, UTC),
            "collection_method": "charge_automatically",
            "payment_method_type": "card",
            "card_exp_year": 2030,
            "card_exp_month": 8,
        },
    ),
    "invoice": (
        INVOICES,
        "in_1Pgc6tB7WZ01zgkWu9fdqL6I",
        {
            "customer_id": CUSTOMER,
            "subscription_id": "subscription",
            "status": "draft",
            "billing_reason": "manual",
            "collection_method": "charge_automatically",
            "subtotal": 10.0,
            "total": 10.0,
            "amount_due": 10.0,
            "amount_paid": 0.0,
            "amount_remaining": 10.0,
            "attempted": False,
            "attempt_count": 0,
            "next_attempt_at": MADE,
        },
    ),
    "event": (CHANGES, "evt_1Pgc76B7WZ01zgkWwyRHS12y", SUBSCRIBED | {"changed_at": MADE, "previous_status": "paused"}),
}
"""Kind -> feed, id, and what must come of it."""
NOT_THERE = {
    "charge": {"amount_details.discount_amount": stripe.PaymentIntent.AmountDetails},
    "invoice": {
        "payment.payment_intent": stripe.InvoicePayment.Payment,
        "pricing.price_details": stripe.InvoiceLineItem.Pricing,
    },
    # Of versions of the API before its items had periods of their own.
    "subscription": {"subscription.current_period_start": None, "subscription.current_period_end": None},
}
"""What the fixtures leave out, though Stripe's client has it; None: what no version has any more."""


def objects() -> dict[str, list[dict[str, Any]]]:
    """The account: each object once, by the name of its list."""
    kinds = ("charge", "customer", "dispute", "invoice", "payment_method", "price", "product", "refund", "subscription")
    there = {f"{kind}s": [fixture(kind)] for kind in kinds}
    there["subscriptions"][0]["default_payment_method"] = there["payment_methods"][0]["id"]
    there["invoices"][0]["payments"] = whole("invoice")["payments"]
    told = fixture("event", type="customer.subscription.updated")
    told["data"] = {"object": fixture("subscription"), "previous_attributes": {"status": "paused"}}
    return there | {"events": [told]}


@pytest.fixture(scope="module")
def played() -> Iterator[Vendors]:
    with vendors(TODAY, Shop(objects())) as running:
        yield running


@pytest.mark.parametrize("kind", EXPECTED)
def test_each_of_stripes_own_objects_becomes_a_valid_record(played: Vendors, kind: str):
    feed, name, expected = EXPECTED[kind]
    source = StripeSource(played.address, clock=lambda: datetime(2009, 2, 15, tzinfo=UTC))
    pull = Pull("demo", "run-1", date(2009, 1, 1), SourceSettings(), KEY)
    [(found, fields)] = [document for page in source.pages(feed, pull, "") for document in page.documents]
    assert (found, fields["date"]) == (name, "2009-02-13")
    assert {key: fields[key] for key in expected} == expected
    feed.record.model_validate({"tenant_id": "demo", **fields})


def test_every_feed_is_shown_one():
    assert {feed.collection.name for feed, _, _ in EXPECTED.values()} == {feed.collection.name for feed in FEEDS}


@pytest.mark.parametrize("kind", sorted(EXPECTED))
def test_every_field_that_is_read_is_one_that_stripe_has(kind: str):
    lacked: set[str] = set()
    feed = EXPECTED[kind][0]
    if isinstance(feed, ObjectFeed):
        feed.document(Read(whole(kind), kind, lacked), lambda path, **parameters: iter(()))
    else:
        change(Read(objects()["events"][0], kind, lacked))
    known = NOT_THERE.get(kind, {})
    assert lacked == known.keys()
    for name, where in known.items():
        assert where is None or name.rpartition(".")[2] in where.__annotations__
