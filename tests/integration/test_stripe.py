"""Stripe over HTTP: cursors, what goes wrong on the way, what changed after it was pulled, every amount as it was."""

from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest

from infra.local.sample.stripe import objects as sample
from infra.local.vendors.stripe import KEY, Shop
from shared.adapters.stripe import StripeSource
from shared.adapters.stripe_api import VERSION, StripeApi
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.ledger import Tally
from shared.sources.raw import RawDocuments
from shared.sources.source import Page, Pull
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
    ChangeFeed,
    ObjectFeed,
)
from shared.sources.sync import stamped
from shared.sources.webhook import Notice
from shared.tenants.records import SourceSettings
from tests.fakes import FakeDocuments
from tests.support.stripe import (
    TODAY,
    Object,
    ago,
    card,
    charge,
    customer,
    dispute,
    event,
    invoice,
    invoice_line,
    item,
    listed,
    price,
    refund,
    subscription,
)
from tests.support.vendor import Answer, vendor
from tests.support.vendors import Vendors, vendors

NOW = datetime(2026, 11, 21, 13, tzinfo=UTC)
WHOLE = 400


class Played:
    """An account that a test fills and changes, and Scout's view of it."""

    def __init__(self, shop: Shop, running: Vendors) -> None:
        self.shop, self.running = shop, running
        self.source = self.at()
        self.before = len(running.served("stripe"))

    def at(self, **options: Any) -> StripeSource:
        return StripeSource(self.running.address, **{"patience_seconds": 10.0, "clock": lambda: NOW, **options})

    def has(self, **lists: list[Object]) -> None:
        self.shop.objects.update(lists)

    def asked(self) -> list[str]:
        return [one["path"] for one in self.running.served("stripe")[self.before :]]

    def pages(self, feed: ObjectFeed | ChangeFeed, days: int = 2, position: str = "") -> list[Page]:
        return list(self.source.pages(feed, pull(days), position))

    def documents(self, feed: ObjectFeed | ChangeFeed, days: int = 2) -> dict[str, dict[str, Any]]:
        found = [document for page in self.pages(feed, days) for document in page.documents]
        assert len(dict(found)) == len(found), "a document came twice"
        return dict(found)


def pull(days: int, key: str = KEY, account_id: str | None = None) -> Pull:
    settings = SourceSettings(account_id=account_id)
    return Pull("demo", "run-1", TODAY - timedelta(days=days), settings, key)


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Shop, Vendors]]:
    shop = Shop({})
    with vendors(TODAY, shop) as server:
        yield shop, server


@pytest.fixture
def stripe(running: tuple[Shop, Vendors]) -> Iterator[Played]:
    shop, server = running
    shop.objects.clear()
    yield Played(shop, server)
    server.control("stripe", retry_after_seconds=1, page_size=None)


def many(number: int) -> list[Object]:
    return [charge(f"ch_{one:03d}", ago(20) + one * 60) for one in range(number)]


# Lists.


def test_every_object_arrives_once_newest_first_over_several_pages(stripe: Played):
    stripe.has(charges=many(250))
    pages = stripe.pages(CHARGES, WHOLE)
    assert [len(page.documents) for page in pages] == [100, 100, 50]
    names = [name for page in pages for name, _ in page.documents]
    assert names == [f"ch_{one:03d}" for one in reversed(range(250))]
    assert ({page.reported for page in pages}, pages[-1].following) == ({None}, None)
    assert [("limit=100" in path, "starting_after" in path) for path in stripe.asked()] == [
        (True, False),
        (True, True),
        (True, True),
    ]


def test_any_page_can_be_gone_on_from(stripe: Played):
    stripe.has(charges=many(250), events=[event("evt_1", ago(0), "charge.updated", charge("ch_old", ago(100)))])
    stripe.has(charges=[charge("ch_old", ago(100)), *many(250)])
    pages = stripe.pages(CHARGES, 25)
    assert len(pages) == 4
    for number, page in enumerate(pages[:-1], 1):
        assert page.following is not None
        assert stripe.pages(CHARGES, 25, page.following) == pages[number:]


@pytest.mark.parametrize("feed", FEEDS, ids=lambda feed: feed.collection.name)
@pytest.mark.parametrize("days", [2, WHOLE])
def test_an_empty_account_is_no_error(stripe: Played, feed: ObjectFeed | ChangeFeed, days: int):
    assert stripe.documents(feed, days) == {}


def test_pages_may_be_shorter_than_what_was_asked(stripe: Played):
    stripe.has(charges=many(50))
    stripe.running.control("stripe", page_size=7)
    assert len(stripe.documents(CHARGES, WHOLE)) == 50


def test_a_list_goes_on_where_its_last_object_was_deleted_meanwhile(stripe: Played):
    stripe.has(customers=[customer(f"cus_{one:03d}", ago(20) + one * 60) for one in range(150)])
    pages = stripe.source.pages(CUSTOMERS, pull(WHOLE), "")
    first = next(pages)
    last = first.documents[-1][0]
    stripe.shop.find("customers", last)["deleted"] = True
    rest = [name for page in pages for name, _ in page.documents]
    assert len({name for name, _ in first.documents} | set(rest)) == 150


def test_a_second_pull_gives_equal_documents(stripe: Played):
    stripe.has(**{name: list(made) for name, made in sample(TODAY).items()})
    for feed in FEEDS:
        assert stripe.documents(feed, 7) == stripe.documents(feed, 7)
    assert len(stripe.documents(CHARGES, 7)) > 0


def test_the_sample_arrives_to_the_cent_and_every_document_is_a_record(stripe: Played):
    those = sample(TODAY)
    stripe.has(**{name: list(made) for name, made in those.items()})
    for feed in FEEDS:
        for fields in stripe.documents(feed, WHOLE).values():
            feed.record.model_validate({"tenant_id": "demo", **fields})
    for feed, name in ((CHARGES, "charges"), (REFUNDS, "refunds"), (DISPUTES, "disputes")):
        given = sum(Decimal(one["amount"]) for one in those[name]) / 100
        assert sum(Decimal(str(one["amount"])) for one in stripe.documents(feed, WHOLE).values()) == given
    due = sum(Decimal(one["amount_due"]) for one in those["invoices"]) / 100
    assert sum(Decimal(str(one["amount_due"])) for one in stripe.documents(INVOICES, WHOLE).values()) == due


def test_a_day_is_that_of_utc_and_of_when_an_object_was_made(stripe: Played):
    midnight = int(datetime(2026, 11, 20, tzinfo=UTC).timestamp())
    stripe.has(charges=[charge("ch_1", midnight - 1), charge("ch_2", midnight)])
    found = stripe.documents(CHARGES, 1)
    assert {name: fields["date"] for name, fields in found.items()} == {"ch_2": "2026-11-20"}
    assert {fields["date"] for fields in stripe.documents(CHARGES, 2).values()} == {"2026-11-19", "2026-11-20"}


def test_amounts_are_in_the_currencys_own_unit(stripe: Played):
    told = {"usd": 1999, "jpy": 1999, "kwd": 1990, "ugx": 199900, "isk": 199900}
    stripe.has(charges=[charge(f"ch_{code}", ago(1), currency=code, amount=amount) for code, amount in told.items()])
    found = stripe.documents(CHARGES)
    assert {one["currency"]: one["amount"] for one in found.values()} == {
        "USD": 19.99, "JPY": 1999.0, "KWD": 1.99, "UGX": 1999.0, "ISK": 1999.0,
    }  # fmt: skip


def test_an_amount_that_is_no_number_is_kept_as_it_was_given(stripe: Played):
    stripe.has(charges=[charge("ch_1", ago(1), amount="a lot")])
    assert stripe.documents(CHARGES)["ch_1"]["amount"] == "a lot"


# What goes wrong on the way.


def test_a_key_that_is_not_taken_is_told_at_once_and_never_repeated(stripe: Played):
    with pytest.raises(CredentialsRefused) as refused:
        list(stripe.source.pages(CHARGES, pull(2, key="sk_test_wrong"), ""))
    assert refused.value.fields == {
        "resource": "charges", "status_given": 401, "reason_given": "api_key_invalid",
    }  # fmt: skip
    assert "sk_test" not in f"{refused.value} {refused.value.fields} {refused.value.__cause__}"
    assert len(stripe.asked()) == 1


def test_what_a_restricted_key_may_not_read_is_named(stripe: Played):
    stripe.running.control("stripe", fail_next=[403])
    with pytest.raises(CredentialsRefused, match="may not read subscriptions") as refused:
        stripe.documents(SUBSCRIPTIONS)
    assert (refused.value.fields["resource"], refused.value.fields["permission"]) == (
        "subscriptions",
        "rak_sample_read",
    )


@pytest.mark.parametrize("fault", [429, 500, 503, "truncate", "html"])
def test_what_may_pass_is_asked_again(stripe: Played, fault: int | str):
    stripe.has(charges=many(3))
    stripe.running.control("stripe", fail_next=[fault], retry_after_seconds=0)
    assert len(stripe.documents(CHARGES, WHOLE)) == 3
    assert len(stripe.asked()) == 2


def test_no_answer_in_time_is_asked_again(stripe: Played):
    stripe.has(charges=many(3))
    stripe.running.control("stripe", fail_next=["timeout"])
    stripe.source = stripe.at(call_seconds=0.3)
    assert len(stripe.documents(CHARGES, WHOLE)) == 3


@pytest.mark.parametrize(("fault", "cause"), [(429, "HTTP 429"), (503, "HTTP 503")])
def test_who_is_told_to_come_back_too_late_gives_up_at_once(stripe: Played, fault: int, cause: str):
    stripe.running.control("stripe", fail_next=[fault], retry_after_seconds=3600)
    with pytest.raises(Unavailable) as gave_up:
        stripe.documents(CHARGES)
    told = {"cause": cause, "retry_after_seconds": 3600.0, "resource": "charges"}
    assert (gave_up.value.fields, len(stripe.asked())) == (told, 1)


def test_patience_ends(stripe: Played):
    stripe.running.control("stripe", fail_next=[500, 500])
    stripe.source = stripe.at(patience_seconds=0.2)
    with pytest.raises(Unavailable, match="Stripe is not available"):
        stripe.documents(CHARGES)
    assert stripe.documents(CHARGES) == {}


def test_a_page_that_comes_once_more_is_neither_taken_twice_nor_for_ever(stripe: Played):
    stripe.has(charges=many(250))
    pages = stripe.source.pages(CHARGES, pull(WHOLE), "")
    found = list(next(pages).documents)
    stripe.running.control("stripe", fail_next=["repeat"])
    found += [document for page in pages for document in page.documents]
    assert len(found) == len(dict(found)) == 250


def test_events_that_were_not_asked_for_are_the_answer_to_another_question():
    told = event("evt_1", ago(1), "payout.paid", {"id": "po_1"})
    with vendor() as played:
        empty, wrong = ({"object": "list", "data": data, "has_more": False, "url": "/v1/x"} for data in ([], [told]))
        played.answers = [Answer(empty), Answer(wrong)]
        with pytest.raises(Unavailable, match="not asked for"):
            list(StripeSource(played.address, clock=lambda: NOW).pages(CHARGES, pull(2), ""))


def test_what_stripe_refuses_for_good_is_told_without_its_words():
    words = {"error": {"type": "invalid_request_error", "param": "limit", "message": "jenny@example.com is wrong"}}
    with vendor() as played:
        played.answers = [Answer(words, status=400)]
        with pytest.raises(Rejected) as refused:
            list(StripeSource(played.address).pages(CHARGES, pull(2), ""))
    assert "jenny" not in f"{refused.value} {refused.value.fields}"
    assert refused.value.fields["parameter"] == "limit"


def test_the_version_of_the_api_and_the_account_are_said():
    with vendor() as played:
        played.answers = [Answer({"object": "list", "data": [], "has_more": False, "url": "/v1/charges"})]
        list(StripeSource(played.address).pages(CHARGES, pull(WHOLE, " rk_live_1\n", "acct_1"), ""))
    [asked] = played.asked
    assert (asked.headers["stripe-version"], asked.headers["stripe-account"]) == (VERSION, "acct_1")
    assert asked.headers["authorization"] == "Bearer rk_live_1"


# What changed after it was pulled.


def test_an_older_object_that_changed_arrives_through_its_event_as_it_is_now(stripe: Played):
    bought = charge("ch_1", ago(20), payment_intent="pi_1")
    stripe.has(charges=[bought, charge("ch_2", ago(20))])
    assert stripe.documents(CHARGES) == {}
    bought.update(amount_refunded=500)
    told = {**bought, "amount_refunded": 300}
    stripe.has(events=[event("evt_1", ago(1), "charge.refunded", told), event("evt_2", ago(0), "charge.updated", told)])
    stripe.has(refunds=[refund("re_1", ago(1), bought, 500)])
    found = stripe.documents(CHARGES)
    assert {name: fields["amount_refunded"] for name, fields in found.items()} == {"ch_1": 5.0}
    assert sum("/v1/charges/ch_1" in path for path in stripe.asked()) == 1


def test_what_was_listed_anyway_is_not_fetched_again(stripe: Played):
    new = charge("ch_1", ago(1))
    stripe.has(charges=[new], events=[event("evt_1", ago(0), "charge.succeeded", new)])
    assert set(stripe.documents(CHARGES)) == {"ch_1"}
    assert "/v1/charges/ch_1" not in "".join(stripe.asked())


def test_a_refund_that_its_event_brings_once_more_counts_once(stripe: Played):
    bought = charge("ch_1", ago(20))
    made = refund("re_1", ago(1), bought, 500)
    stripe.has(charges=[bought], refunds=[made], events=[event("evt_1", ago(1), "charge.refunded", bought)])
    pages, raw, tally = stripe.pages(REFUNDS), RawDocuments(FakeDocuments()), Tally(NOW)
    assert [name for page in pages for name, _ in page.documents] == ["re_1", "re_1"]
    for page in pages:
        tally.add("", raw.write(REFUNDS, "demo", page, stamped("demo", "stripe", "run-1", NOW), False, tally))
    assert tally.counts["pages"].total() == 1


def test_events_of_many_pages_are_all_read(stripe: Played):
    old = [charge(f"ch_{one:03d}", ago(50) + one) for one in range(120)]
    stripe.has(charges=old)
    stripe.has(events=[event(f"evt_{one:03d}", ago(1) + one, "charge.updated", given) for one, given in enumerate(old)])
    pages = stripe.pages(CHARGES)
    assert [len(page.documents) for page in pages] == [0, 100, 20]


def test_a_dispute_shows_on_its_charge(stripe: Played):
    bought = charge("ch_1", ago(60), disputed=True)
    disputed = dispute("dp_1", ago(1), bought)
    stripe.has(charges=[bought], disputes=[disputed])
    stripe.has(events=[event("evt_1", ago(1), "charge.dispute.created", disputed)])
    assert stripe.documents(CHARGES)["ch_1"]["disputed"] is True
    assert stripe.documents(DISPUTES)["dp_1"]["charge_id"] == "ch_1"


def test_beyond_the_memory_of_events_everything_is_listed_anew(stripe: Played):
    stripe.has(
        charges=[charge("ch_1", ago(200)), charge("ch_2", ago(500))],
        customers=[customer("cus_1", ago(900))],
        prices=[price("price_1", 1000)],
    )
    assert set(stripe.documents(CHARGES, 35)) == {"ch_1"}
    assert set(stripe.documents(CUSTOMERS, 35)) == {"cus_1"}
    assert set(stripe.documents(PRICES, 35)) == {"price_1"}
    assert not any("/v1/events" in path for path in stripe.asked())


def test_a_deleted_customer_keeps_its_days_and_nothing_that_tells_who_it_was(stripe: Played):
    jenny = customer("cus_1", ago(100))
    stripe.has(customers=[{"id": "cus_1", "object": "customer", "deleted": True}])
    stripe.has(
        events=[
            event("evt_1", ago(1), "customer.updated", jenny, email="other@example.com"),
            event("evt_2", ago(0), "customer.deleted", jenny),
        ]
    )
    assert stripe.documents(CUSTOMERS) == {
        "cus_1": {
            "date": "2026-08-13",
            "created_at": datetime(2026, 8, 13, 12, tzinfo=UTC),
            "customer_id": "cus_1",
            "email": None,
            "country": None,
            "currency": "USD",
            "delinquent": False,
            "deleted_at": datetime(2026, 11, 21, 12, tzinfo=UTC),
            "metadata": {},
        }
    }


def test_a_deleted_draft_says_so(stripe: Played):
    draft = invoice("in_1", ago(40), invoice_line("il_1", price("price_1", 1000), 1000), status="draft")
    stripe.has(events=[event("evt_1", ago(1), "invoice.deleted", draft)])
    assert stripe.documents(INVOICES)["in_1"]["status"] == "deleted"


def test_a_renamed_product_renames_its_prices(stripe: Played):
    product = {"id": "prod_1", "object": "product", "created": ago(500), "name": "Club"}
    stripe.has(prices=[price("price_1", 1000, product="prod_1"), price("price_2", 2000)], products=[product])
    stripe.has(events=[event("evt_1", ago(1), "product.updated", product, name="Klub")])
    found = stripe.documents(PRICES)
    assert {name: fields["product_name"] for name, fields in found.items()} == {"price_1": "Club"}


def test_a_product_that_is_gone_costs_no_other_price(stripe: Played):
    gone = {"id": "prod_1", "object": "product", "created": ago(500), "name": "Club", "deleted": True}
    other = {"id": "prod_2", "object": "product", "created": ago(500), "name": "Shop"}
    stripe.has(prices=[price("price_2", 2000, product="prod_2")], products=[gone, other])
    told = [event(f"evt_{one['id']}", ago(1), "product.updated", one, name="...") for one in (other, gone)]
    stripe.has(events=told)
    assert set(stripe.documents(PRICES)) == {"price_2"}
    for one in told:
        assert len(stripe.source.fetch(pull(2), Notice(one["id"], one["type"], one["data"]["object"]["id"]))) == (
            one is told[0]
        )


def test_a_subscription_whose_customer_is_gone_meanwhile_costs_no_other(stripe: Played):
    jenny, joe = customer("cus_1", ago(90)), customer("cus_2", ago(90))
    expiring = [card(f"pm_{number}", one, 2026, 11) for number, one in enumerate((jenny, joe))]
    stripe.has(payment_methods=expiring, customers=[joe])
    stripe.has(
        subscriptions=[
            subscription(f"sub_{number}", ago(80), one["id"], item("si_1", price("price_1", 1000)))
            | {"default_payment_method": f"pm_{number}"}
            for number, one in enumerate((jenny, joe))
        ]
    )
    found = stripe.documents(SUBSCRIPTIONS, WHOLE)
    assert {name: fields["backup_methods"] for name, fields in found.items()} == {"sub_0": 0, "sub_1": 0}


def test_a_list_that_changes_while_it_is_read_is_read_again_and_not_cut(stripe: Played):
    gone = Answer({"error": {"type": "invalid_request_error", "code": "resource_missing", "param": "starting_after"}})
    with vendor() as odd:
        odd.answers = [replace(gone, status=400)]
        with pytest.raises(Unavailable, match="changed while it was read"):
            list(StripeApi(odd.address, KEY, patience_seconds=0.1).every("/v1/prices", product="prod_1"))


# What belongs together.


def test_a_charge_says_who_paid_how_and_for_what(stripe: Played):
    line = {"id": "uli_1", "object": "payment_intent_amount_details_line_item", "product_code": "MUG"} | {
        "product_name": "Mug", "quantity": 2, "unit_cost": 1100, "discount_amount": 200,
    }  # fmt: skip
    lines = [{**line, "id": f"uli_{number}"} for number in range(12)]
    intent = {"id": "pi_1", "object": "payment_intent", "amount_details": {"line_items": listed(*lines)}}
    bought = charge(
        "ch_1",
        ago(1),
        payment_intent="pi_1",
        customer="cus_1",
        receipt_email=" Jenny@Example.com",
        metadata={"sku": "M1"},
    )
    stripe.has(charges=[bought], payment_intents=[intent], customers=[customer("cus_1", ago(9))])
    found = stripe.documents(CHARGES)["ch_1"]
    assert found["lines"] == 12 * [
        {"product_id": "MUG", "product_name": "Mug", "quantity": 2, "unit_amount": 11.0, "discount_amount": 2.0}
    ]
    said = ("customer_id", "payment_intent_id", "email", "product_id", "discount_amount", "country", "card_brand")
    assert [found[name] for name in said] == ["cus_1", "pi_1", "jenny@example.com", "M1", 24.0, "DE", "visa"]
    assert "Jenny Rosen" not in str(found)


def test_a_subscription_knows_its_card_and_what_else_it_could_be_paid_with(stripe: Played):
    jenny = customer("cus_1", ago(90), invoice_settings={"default_payment_method": "pm_1"})
    stripe.has(
        customers=[jenny],
        payment_methods=[card("pm_1", jenny, 2026, 11), card("pm_2", jenny, 2030, 1), card("pm_3", jenny, 2030, 2)],
        subscriptions=[
            subscription("sub_1", ago(1), "cus_1", item("si_1", price("price_1", 1000), 3)),
            subscription("sub_2", ago(1), "cus_1", item("si_2", price("price_1", 1000)), default_payment_method="pm_3"),
        ],
    )
    found = stripe.documents(SUBSCRIPTIONS)
    said = ("payment_method_type", "card_exp_year", "card_exp_month", "backup_methods", "mrr", "renewal_amount")
    assert [found["sub_1"][name] for name in said] == ["card", 2026, 11, 2, 30.0, 30.0]
    assert [found["sub_2"][name] for name in said] == ["card", 2030, 2, None, 10.0, 10.0]


@pytest.mark.parametrize(
    ("kind", "previous", "arrives"),
    [
        ("customer.updated", {"invoice_settings": {"default_payment_method": None}}, True),
        ("customer.updated", {"balance": 0}, False),
    ],
)
def test_a_customers_new_card_changes_its_subscriptions(stripe: Played, kind: str, previous: Object, arrives: bool):
    jenny = customer("cus_1", ago(90), invoice_settings={"default_payment_method": "pm_1"})
    stripe.has(customers=[jenny], payment_methods=[card("pm_1", jenny, 2031, 5)])
    stripe.has(subscriptions=[subscription("sub_1", ago(80), "cus_1", item("si_1", price("price_1", 1000)))])
    stripe.has(events=[event("evt_1", ago(1), kind, jenny, **previous)])
    found = stripe.documents(SUBSCRIPTIONS)
    assert {name: fields["card_exp_year"] for name, fields in found.items()} == ({"sub_1": 2031} if arrives else {})


def test_a_detached_card_is_that_of_the_customer_it_had(stripe: Played):
    jenny = customer("cus_1", ago(90))
    stripe.has(customers=[jenny])
    stripe.has(subscriptions=[subscription("sub_1", ago(80), "cus_1", item("si_1", price("price_1", 1000)))])
    detached = {**card("pm_1", jenny, 2031, 5), "customer": None}
    stripe.has(events=[event("evt_1", ago(1), "payment_method.detached", detached, customer="cus_1")])
    assert set(stripe.documents(SUBSCRIPTIONS)) == {"sub_1"}


def test_changes_of_subscriptions_are_the_events_as_far_as_stripe_remembers_them(stripe: Played):
    small, large = item("si_1", price("price_1", 1000)), item("si_1", price("price_2", 2400, "year"))
    now = subscription("sub_1", ago(40), "cus_1", large)
    stripe.has(
        events=[
            event("evt_1", ago(40), "customer.subscription.created", now),
            event("evt_2", ago(3), "customer.subscription.updated", now, items=listed(small)),
            event("evt_3", ago(2), "customer.subscription.deleted", {**now, "status": "canceled"}),
        ]
    )
    found = stripe.documents(CHANGES, WHOLE)
    said = ("date", "status", "mrr", "previous_mrr", "previous_status")
    assert {name: [fields[field] for field in said] for name, fields in found.items()} == {
        "evt_2": ["2026-11-18", "active", 2.0, 10.0, "active"],
        "evt_3": ["2026-11-19", "canceled", 0.0, None, None],
    }


def test_an_invoice_has_all_its_lines(stripe: Played):
    lines = [invoice_line(f"il_{number}", price("price_1", 100), 100 + number) for number in range(130)]
    stripe.has(invoices=[invoice("in_1", ago(1), *lines)])
    found = stripe.documents(INVOICES)["in_1"]
    assert [line["amount"] for line in found["lines"]] == [(100 + number) / 100 for number in range(130)]
    assert found["payment_intent_ids"] == ["pi_1"]


# The connection.


def test_a_connection_is_called_by_the_name_of_its_account(stripe: Played):
    stripe.has(**{name: list(made) for name, made in sample(TODAY).items()})
    assert stripe.source.check(pull(2)) == "Google Merchandise Store"


def test_a_connection_test_finds_what_the_key_may_not_read(stripe: Played):
    stripe.running.control("stripe", fail_next=[403])
    with pytest.raises(CredentialsRefused, match="may not read charges"):
        stripe.source.check(pull(2))


def test_a_restricted_key_need_not_open_the_account_itself():
    empty = Answer({"object": "list", "data": [], "has_more": False, "url": "/v1/things"})
    closed = Answer({"error": {"type": "invalid_request_error", "message": "No."}}, status=403)
    with vendor() as played:
        played.answers = [*[empty] * len(FEEDS), closed]
        assert StripeSource(played.address).check(pull(2)) == "a restricted key"
