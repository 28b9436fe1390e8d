"""The sample of Stripe: it agrees with that of Google Analytics, and with itself."""

from collections import Counter, defaultdict
from datetime import UTC, date, datetime, timedelta

import pytest

from infra.local.sample import Sample
from infra.local.sample.google_ads import reports
from infra.local.sample.stripe import objects

TODAY = date(2026, 11, 21)
DAYS = [TODAY + timedelta(days=number) for number in (0, 2, 3)]


def day(seconds):
    return datetime.fromtimestamp(seconds, UTC).date()


@pytest.mark.parametrize("today", DAYS)
def test_each_day_brings_what_google_analytics_counts_or_the_renewals_where_they_are_more(today):
    paid, renewed = defaultdict(int), defaultdict(int)
    for charge in objects(today)["charges"]:
        paid[day(charge["created"])] += charge["amount_captured"]
        renewed[day(charge["created"])] += 0 if charge["metadata"] else charge["amount_captured"]
    for row in Sample.load(today).report("ga_property_totals"):
        on, cents = datetime.strptime(row["date"], "%Y%m%d").date(), round(row["purchaseRevenue"] * 100)
        assert paid[on] == max(cents, renewed[on]), on
    assert sum(renewed.values()) < 0.1 * sum(paid.values())


@pytest.mark.parametrize("today", DAYS)
def test_it_is_small_and_nothing_in_it_is_yet_to_come(today):
    account = objects(today)
    kept = {name: made for name, made in account.items() if name not in ("payment_methods", "payment_intents")}
    assert sum(len(made) for made in kept.values()) <= 5200
    assert all(day(made["created"]) < today for name in kept for made in kept[name])
    assert all(day(made["created"]) >= today - timedelta(days=400) for made in account["invoices"])


def test_ids_are_given_once_and_what_is_referred_to_is_there():
    account = objects(TODAY)
    ids = {name: Counter(made["id"] for made in listed) for name, listed in account.items()}
    assert all(count == 1 for counted in ids.values() for count in counted.values())
    for name, field, referred in (
        ("refunds", "charge", "charges"),
        ("disputes", "charge", "charges"),
        ("subscriptions", "customer", "customers"),
        ("subscriptions", "default_payment_method", "payment_methods"),
        ("subscriptions", "latest_invoice", "invoices"),
        ("invoices", "customer", "customers"),
    ):
        assert {made[field] for made in account[name] if made[field]} <= set(ids[referred]), (name, field)
    assert {made["customer"] for made in account["charges"] if made["customer"]} <= set(ids["customers"])
    assert {made["payment_intent"] for made in account["charges"]} > set(ids["payment_intents"])


def test_an_invoice_is_paid_by_the_charges_that_name_its_payment():
    account = objects(TODAY)
    charged = defaultdict(int)
    for charge in account["charges"]:
        charged[charge["payment_intent"]] += charge["amount_captured"]
    first = min(day(charge["created"]) for charge in account["charges"] if not charge["metadata"])
    recent = [made for made in account["invoices"] if day(made["created"]) > first and made["payments"]["data"]]
    assert len(recent) > 300
    for invoice in recent:
        [payment] = invoice["payments"]["data"]
        assert charged[payment["payment"]["payment_intent"]] == invoice["amount_paid"], invoice["id"]
        assert invoice["amount_paid"] in (0, invoice["total"])


def test_a_refund_is_no_more_than_its_charge():
    account = objects(TODAY)
    refunded = defaultdict(int)
    for refund in account["refunds"]:
        refunded[refund["charge"]] += refund["amount"]
    charges = {charge["id"]: charge for charge in account["charges"]}
    assert all(
        amount == charges[name]["amount_refunded"] <= charges[name]["amount"] for name, amount in refunded.items()
    )
    assert any(amount < charges[name]["amount"] for name, amount in refunded.items())


@pytest.mark.parametrize("today", DAYS)
def test_ads_win_half_as_many_customers_for_nearly_the_same_money_and_a_year_of_one_does_not_pay(today):
    account = objects(today)
    won = {made["id"] for made in account["customers"] if made["metadata"]["channel"] == "Paid Search"}
    firsts, spent = {}, defaultdict(int)
    for charge in account["charges"]:
        if charge["paid"] and charge["customer"] in won:
            firsts.setdefault(charge["customer"], (today - day(charge["created"])).days)
            spent[charge["customer"]] += charge["amount"] / 100
    cost = defaultdict(float)
    for row in reports(today)["campaign"]:
        if row["campaign.advertising_channel_type"] == "SEARCH":
            cost[(today - date.fromisoformat(row["segments.date"])).days] += int(row["metrics.cost_micros"]) / 1e6
    for last in (1, 2, 3, 4):
        halves = [range(last + 42 * half, last + 42 * (half + 1)) for half in (0, 1)]
        new, before = (sum(ago in half for ago in firsts.values()) for half in halves)
        cac, cac_before = (
            sum(cost[ago] for ago in half) / count for half, count in zip(halves, (new, before), strict=True)
        )
        ltv = [spent[customer] for customer, ago in firsts.items() if ago >= 365 + last]
        assert min(new, before) >= 50
        assert cac > 1.35 * cac_before
        assert len(ltv) >= 10
        assert sum(ltv) / len(ltv) < 2.5 * cac
