"""Stripe's objects as fields: money exact to the last digit, prices by the month, what a subscription stands for."""

import re
from collections.abc import Iterator
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest

from shared.sources.stripe.feeds import FEEDS, event_types
from shared.sources.stripe.invoices import invoice as invoice_fields
from shared.sources.stripe.money import money, per_month, per_renewal, units
from shared.sources.stripe.objects import charge as charge_fields
from shared.sources.stripe.objects import customer as customer_fields
from shared.sources.stripe.objects import price as price_fields
from shared.sources.stripe.subscriptions import change
from shared.sources.stripe.subscriptions import subscription as subscription_fields
from tests.support.stripe import (
    Object,
    ago,
    card,
    charge,
    customer,
    event,
    invoice,
    invoice_line,
    item,
    listed,
    price,
    subscription,
)


def nothing(path: str, **parameters: Any) -> Iterator[Object]:
    raise AssertionError(f"{path} was asked for")


@pytest.mark.parametrize(
    ("amount", "currency", "expected"),
    [
        (1, "usd", "0.01"),
        (123456789012345678, "usd", "1234567890123456.78"),
        (-500, "EUR", "-5"),
        (500, "jpy", "500"),
        (5120, "kwd", "5.12"),
        (500, "ugx", "5"),
        ("0.1234567", "usd", "0.001234567"),
        ("0.123456789012", "usd", "0.001234568"),
        (0, "usd", "0"),
    ],
)
def test_an_amount_in_its_own_unit_is_exact(amount: Any, currency: str, expected: str):
    assert units(amount, currency) == Decimal(expected)


@pytest.mark.parametrize("amount", [None, "a lot", [1], float("nan"), float("inf"), True])
def test_what_is_no_amount_is_left_as_it_is(amount: Any):
    assert units(amount, "usd") is None
    assert money(amount, "usd") is amount


@pytest.mark.parametrize(
    ("interval", "count", "monthly"),
    [
        ("month", 1, "12"), ("month", 3, "4"), ("year", 1, "1"), ("year", 2, "0.5"),
        ("week", 1, "52.142857"), ("day", 1, "365"), ("week", 2, "26.071429"),
    ],
)  # fmt: skip
def test_a_price_is_brought_to_a_month(interval: str, count: int, monthly: str):
    assert per_month(price("price_1", 1200, interval, count), 1) == Decimal(monthly)


@pytest.mark.parametrize(
    ("quantity", "rounds", "expected"), [(10, "up", "10"), (11, "up", "20"), (19, "down", "10"), (9, "down", "0")]
)
def test_packages_are_paid_whole(quantity: int, rounds: str, expected: str):
    of_ten = price("price_1", 1000, transform_quantity={"divide_by": 10, "round": rounds})
    assert per_renewal(of_ten, quantity) == Decimal(expected)


def test_what_has_no_price_of_its_own_has_no_month():
    tiered, metered = price("price_1", None), price("price_2", 1000)
    once = price("price_3", 1000, recurring=None)
    assert (per_month(tiered, 1), per_month(metered, None), per_month(once, 1)) == (None, None, None)
    metered["recurring"]["usage_type"] = "metered"
    assert price_fields(metered, nothing)["monthly_price"] is None
    assert price_fields(metered, nothing)["unit_amount"] == 10.0


def test_the_dearest_item_by_month_stands_for_a_subscription():
    cheap, dear = item("si_1", price("price_1", 9000, "year")), item("si_2", price("price_2", 1000), 2)
    found = subscription_fields(subscription("sub_1", ago(5), "cus_1", cheap, dear), nothing)
    said = ("price_id", "product_id", "billing_interval", "interval_count", "quantity", "monthly_price", "mrr")
    assert [found[name] for name in said] == ["price_2", "prod_price_2", "month", 1, 2, 27.5, 27.5]
    assert found["renewal_amount"] == 110.0
    assert [one["price_id"] for one in found["items"]] == ["price_1", "price_2"]


def test_of_equal_items_the_first_by_its_price_stands_for_a_subscription():
    items = [item("si_1", price("price_2", 12000, "year")), item("si_2", price("price_1", 1000))]
    found = [
        subscription_fields(subscription("sub_1", ago(5), "cus_1", *each), nothing) for each in (items, items[::-1])
    ]
    assert [one["price_id"] for one in found] == ["price_1", "price_1"]


@pytest.mark.parametrize(
    ("status", "mrr"),
    [
        ("active", 10.0), ("past_due", 10.0), ("trialing", 0.0), ("unpaid", 0.0), ("paused", 0.0), ("canceled", 0.0),
        ("incomplete", 0.0),
    ],
)  # fmt: skip
def test_only_what_is_paid_recurs(status: str, mrr: float):
    held = subscription("sub_1", ago(5), "cus_1", item("si_1", price("price_1", 1000)), status=status)
    found = subscription_fields(held, nothing)
    assert (found["mrr"], found["monthly_price"]) == (mrr, 10.0)


def test_a_subscription_without_items_is_worth_nothing():
    found = subscription_fields(subscription("sub_1", ago(5), "cus_1"), nothing)
    assert (found["mrr"], found["price_id"], found["current_period_end_at"]) == (0.0, None, None)


def test_a_subscription_renews_with_the_first_of_its_items():
    early = item("si_1", price("price_1", 1000), current_period_end=ago(-3), current_period_start=ago(27))
    late = item("si_2", price("price_2", 9000, "year"))
    found = subscription_fields(subscription("sub_1", ago(90), "cus_1", late, early), nothing)
    assert found["current_period_end_at"] == datetime(2026, 11, 24, 12, tzinfo=UTC)
    assert found["current_period_start_at"] == datetime(2026, 11, 11, 12, tzinfo=UTC)


def with_card(year: int, month: int, **changed: Any) -> Object:
    jenny = customer("cus_1", ago(90))
    renewing = item("si_1", price("price_1", 1000), current_period_end=ago(-9))
    held = {"customer": jenny, "default_payment_method": card("pm_1", jenny, year, month)}
    return {**subscription("sub_1", ago(80), "cus_1", renewing), **held, **changed}


@pytest.mark.parametrize(
    ("given", "asks"),
    [
        (with_card(2026, 10), True),
        (with_card(2026, 11), False),
        (with_card(2026, 12), False),
        (with_card(2026, 10, status="canceled"), False),
        (with_card(2026, 10, customer={"id": "cus_1", "object": "customer", "deleted": True}), False),
    ],
    ids=["expired", "good until the month ends", "good", "not renewed", "nobody's"],
)
def test_other_methods_are_counted_where_the_card_expires_before_it_renews(given: Object, asks: bool):
    asked = []

    def methods(path: str, **parameters: Any) -> Iterator[Object]:
        asked.append(path)
        yield from ({"id": "pm_1"}, {"id": "pm_2"}, {"id": "pm_3"})

    found = subscription_fields(given, methods)
    assert asked == (["/v1/customers/cus_1/payment_methods"] if asks else [])
    assert found["backup_methods"] == (2 if asks else None)


def test_a_card_of_the_older_kind_is_one_too():
    source = {"id": "card_1", "object": "card", "brand": "Visa", "exp_year": 2031, "exp_month": 2}
    found = subscription_fields(with_card(2030, 1, default_payment_method=None, default_source=source), nothing)
    assert (found["payment_method_type"], found["card_exp_year"], found["card_exp_month"]) == ("card", 2031, 2)


def test_an_update_says_what_was_before():
    now = subscription("sub_1", ago(50), "cus_1", item("si_1", price("price_1", 1000)))
    found = change(event("evt_1", ago(1), "customer.subscription.updated", now, status="trialing"))
    assert (found["previous_status"], found["previous_mrr"], found["mrr"]) == ("trialing", 0.0, 10.0)
    assert (found["changed_at"], found["created_at"]) == (
        datetime(2026, 11, 20, 12, tzinfo=UTC),
        datetime(2026, 10, 2, 12, tzinfo=UTC),
    )


def test_an_event_in_an_older_version_of_the_api_is_read_too():
    plan = {"id": "gold", "object": "plan", "amount": 1500, "currency": "eur", "interval": "month", "interval_count": 1}
    old = subscription("sub_1", ago(50), "cus_1")
    del old["currency"], old["cancellation_details"]
    old["items"] = {"object": "list", "data": [{"id": "si_1", "plan": {**plan, "product": "prod_1"}, "quantity": 2}]}
    found = change(event("evt_1", ago(1), "customer.subscription.created", old))
    said = ("price_id", "product_id", "mrr", "currency", "cancellation_reason", "previous_mrr")
    assert [found[name] for name in said] == ["gold", "prod_1", 30.0, "EUR", None, None]


@pytest.mark.parametrize(
    ("changed", "failed"),
    [
        ({}, False),
        ({"attempt_count": 2}, True),
        ({"status": "open", "paid": False}, True),
        ({"status": "open", "paid": False, "attempted": False, "attempt_count": 0}, False),
        ({"amount_due": 0, "attempt_count": 0}, False),
    ],
    ids=["paid at once", "paid later", "not paid", "not tried yet", "nothing to pay"],
)
def test_an_invoice_failed_when_it_was_not_paid_at_once(changed: Object, failed: bool):
    given = invoice("in_1", ago(5), invoice_line("il_1", price("price_1", 1000), 1000))
    if not changed.pop("paid", True):
        given["status_transitions"]["paid_at"] = None
    found = invoice_fields({**given, **changed}, nothing)
    assert found["failed_at"] == (found["finalized_at"] if failed else None)


def test_an_invoices_lines_tell_what_recurs():
    of = price("price_1", 1000)
    once = invoice_line("il_3", of, 500) | {
        "parent": {"type": "invoice_item_details", "invoice_item_details": {"proration": False, "subscription": None}}
    }
    lines = invoice_line("il_1", of, 1000), invoice_line("il_2", of, -300, proration=True), once
    lines[0]["discount_amounts"] = [{"amount": 100, "discount": "di_1"}, {"amount": 50, "discount": "di_2"}]
    given = invoice("in_1", ago(5), *lines, total_discount_amounts=[{"amount": 150, "discount": "di_1"}])
    found = invoice_fields(given, nothing)
    assert [(line["recurring"], line["proration"], line["amount"]) for line in found["lines"]] == [
        (True, False, 10.0), (False, True, -3.0), (False, False, 5.0),
    ]  # fmt: skip
    assert (found["discount_amount"], found["lines"][0]["discount_amount"]) == (1.5, 1.5)
    assert (found["subscription_id"], found["lines"][2]["subscription_id"]) == ("sub_1", None)
    assert [line["item_id"] for line in found["lines"]] == ["si_1", "si_1", None]


def test_what_a_payment_tells_of_its_discount_is_taken_as_a_whole_or_by_its_lines():
    def discount(**told: Any) -> Any:
        return charge_fields(charge("ch_1", 1, payment_intent={"id": "pi_1", "amount_details": told}), nothing)[
            "discount_amount"
        ]

    line = {"id": "uli_1", "product_name": "Mug", "quantity": 1, "unit_cost": 900, "discount_amount": None}
    assert discount(discount_amount=250) == 2.5
    assert discount(line_items=listed(line, {**line, "discount_amount": 75})) == 0.75
    assert discount(line_items=listed(line)) == 0.0
    assert discount() is None


def test_an_address_is_spelled_as_other_sources_spell_it():
    assert customer_fields(customer("cus_1", ago(1)), nothing)["email"] == "jenny.rosen@example.com"
    assert customer_fields(customer("cus_1", ago(1), email=None), nothing)["email"] is None


def test_no_feed_asks_for_more_kinds_of_events_than_stripe_takes():
    assert all(0 < len(feed.events) <= 20 for feed in FEEDS)
    assert event_types() == sorted(set(event_types()))


def test_the_documentation_names_every_event_that_a_webhook_should_send():
    text = (Path(__file__).parents[3] / "docs" / "stripe.md").read_text()
    assert re.findall(r"`([a-z_]+\.[a-z_.]+)`", text.partition("Events to send:")[2]) == event_types()
