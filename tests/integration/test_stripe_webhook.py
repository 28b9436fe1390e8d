"""Stripe's webhooks through the deployed function: signatures, and what a delivery leaves, in whatever order."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from functions.receive_webhook.main import handle
from infra.local.vendors.stripe import KEY, Shop
from shared.adapters.stripe import StripeSource
from shared.errors import BadRequest, Unauthenticated
from shared.sources.stripe.feeds import FEEDS, event_types
from shared.sources.webhook import Delivery, Notice
from tests.fakes import FakeSecrets, fake_clients
from tests.support.stripe import (
    TODAY,
    Object,
    ago,
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
    signed,
    subscription,
)
from tests.support.vendors import Vendors, vendors

NOW = datetime(2026, 11, 21, 13, tzinfo=UTC)
SECRET = "whsec_test"  # noqa: S105 - signs what tests send


class World:
    """The function over fakes, of a tenant whose Stripe is played."""

    def __init__(self, shop: Shop, running: Vendors) -> None:
        self.shop, self.running, self.now = shop, running, NOW
        self.source = StripeSource(running.address, patience_seconds=0.2, clock=lambda: self.now)
        secrets = FakeSecrets(demo_stripe=KEY, demo_stripe_webhook=SECRET)
        self.clients = fake_clients("demo", sources={"stripe": lambda tenant_id: self.source}, secrets=secrets)
        at = {"created_at": NOW, "updated_at": NOW}
        tenant = {"tenant_id": "demo", "sources": {"stripe": {}}, **at}
        self.clients.documents.documents["tenants/demo"] = tenant
        self.clients.webhooks._now = lambda: self.now

    def happens(self, told: Object, **lists: list[Object]) -> Object:
        """Something happens at Stripe, a second later than what happened before."""
        self.now += timedelta(seconds=1)
        self.shop.objects.update(lists)
        self.shop.objects["events"] = [*self.shop.objects.get("events", []), told]
        return told

    def deliver(self, told: Object, secret: str = SECRET, signed_at: datetime | None = None) -> Any:
        """Post an event, signed now unless another time is said; the function's answer."""
        self.now += timedelta(seconds=1)
        body, signature = signed(told, secret, signed_at or self.now)
        builder = EnvironBuilder(path="/stripe/demo", method="POST", data=body, headers={"Stripe-Signature": signature})
        return handle(Request(builder.get_environ()), self.clients)

    def holds(self, collection: str) -> dict[str, Any]:
        """The documents of a collection."""
        begin = f"tenants/demo/{collection}/"
        found = self.clients.documents.documents
        return {path.removeprefix(begin): fields for path, fields in found.items() if path.startswith(begin)}


@pytest.fixture(scope="module")
def running() -> Iterator[tuple[Shop, Vendors]]:
    shop = Shop({})
    with vendors(TODAY, shop) as server:
        yield shop, server


@pytest.fixture
def world(running: tuple[Shop, Vendors]) -> World:
    shop, server = running
    shop.objects.clear()
    return World(shop, server)


def test_a_signed_delivery_brings_its_object_as_it_is_now(world: World):
    bought = charge("ch_1", ago(0), status="pending")
    told = world.happens(event("evt_1", ago(0), "charge.pending", dict(bought)), charges=[bought])
    bought["status"] = "succeeded"
    response = world.deliver(told)
    assert (response.status_code, response.json) == (200, {"notices": 1, "written": 1, "unchanged": 0, "deleted": 0})
    held = world.holds("stripe_charges")["ch_1"]
    assert (held["status"], held["amount"], held["sync_run_id"]) == ("succeeded", 20.0, "webhook-evt_1")


def test_a_replay_changes_nothing(world: World):
    told = world.happens(
        event("evt_1", ago(0), "charge.succeeded", charge("ch_1", 1)), charges=[charge("ch_1", ago(0))]
    )
    world.deliver(told)
    before = world.holds("stripe_charges")
    assert world.deliver(told).json == {"notices": 1, "written": 0, "unchanged": 1, "deleted": 0}
    assert world.holds("stripe_charges") == before


def test_an_older_delivery_after_a_newer_one_leaves_what_is_so_now(world: World):
    bought = charge("ch_1", ago(9))
    older = world.happens(event("evt_1", ago(1), "charge.succeeded", dict(bought)), charges=[bought])
    bought.update(amount_refunded=2000, refunded=True)
    newer = world.happens(
        event("evt_2", ago(0), "charge.refunded", dict(bought)), refunds=[refund("re_1", ago(0), bought, 2000)]
    )
    world.deliver(newer)
    world.deliver(older)
    assert world.holds("stripe_charges")["ch_1"]["refunded"] is True
    assert set(world.holds("stripe_refunds")) == {"re_1"}


@pytest.mark.parametrize("minutes", [-6, 6])
def test_a_delivery_that_was_not_signed_just_now_is_not_taken(world: World, minutes: int):
    told = world.happens(event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0))))
    response = world.deliver(told, signed_at=world.now + timedelta(minutes=minutes))
    assert (response.status_code, response.json["title"]) == (401, "Unauthenticated")
    assert world.holds("stripe_charges") == {}


def test_a_delivery_signed_by_somebody_else_asks_stripe_nothing(world: World):
    told = event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0)))
    before = len(world.running.served("stripe"))
    assert world.deliver(told, secret="whsec_guessed").status_code == 401
    assert len(world.running.served("stripe")) == before


def test_an_event_that_stripe_does_not_know_is_written_nowhere(world: World):
    response = world.deliver(event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0))))
    assert response.json == {"notices": 1, "written": 0, "unchanged": 0, "deleted": 0}


def test_events_about_nothing_that_scout_holds_are_no_notices(world: World):
    response = world.deliver(world.happens(event("evt_1", ago(0), "payout.paid", {"id": "po_1", "object": "payout"})))
    assert response.json["notices"] == 0


def test_stripe_out_of_order_makes_the_vendor_deliver_again(world: World):
    told = world.happens(event("evt_1", ago(0), "charge.succeeded", {"id": "ch_1"}), charges=[charge("ch_1", ago(0))])
    world.running.control("stripe", fail_next=[503], retry_after_seconds=60)
    assert world.deliver(told).status_code == 503
    assert world.deliver(told).json["written"] == 1


def test_a_subscription_brings_its_change_and_itself(world: World):
    small, large = item("si_1", price("price_1", 1000)), item("si_1", price("price_2", 2500))
    held = subscription("sub_1", ago(50), "cus_1", large)
    told = world.happens(
        event("evt_1", ago(0), "customer.subscription.updated", dict(held), items=listed(small)),
        subscriptions=[held],
        customers=[customer("cus_1", ago(60))],
    )
    assert world.deliver(told).json["written"] == 2
    assert world.holds("stripe_subscriptions")["sub_1"]["mrr"] == 25.0
    change = world.holds("stripe_subscription_changes")["evt_1"]
    assert (change["previous_mrr"], change["mrr"], change["date"]) == (10.0, 25.0, "2026-11-21")


def test_a_dispute_brings_its_charge_too(world: World):
    bought = charge("ch_1", ago(9), disputed=True)
    disputed = dispute("dp_1", ago(0), bought)
    told = event("evt_1", ago(0), "charge.dispute.created", disputed)
    assert world.deliver(world.happens(told, charges=[bought], disputes=[disputed])).json["written"] == 2
    assert world.holds("stripe_charges")["ch_1"]["disputed"] is True


def test_a_deleted_customer_stays_without_what_tells_who_it_was(world: World):
    jenny = customer("cus_1", ago(60))
    world.deliver(world.happens(event("evt_1", ago(60), "customer.created", dict(jenny)), customers=[jenny]))
    updated = world.happens(event("evt_2", ago(1), "customer.updated", dict(jenny), email="jen@example.com"))
    told = world.happens(event("evt_3", ago(0), "customer.deleted", dict(jenny)))
    jenny["deleted"] = True
    assert world.deliver(told).json["written"] == 1
    assert world.deliver(updated).json["written"] == 0
    held = world.holds("stripe_customers")["cus_1"]
    assert (held["email"], held["metadata"], held["date"]) == (None, {}, "2026-09-22")
    assert held["deleted_at"] == datetime(2026, 11, 21, 12, tzinfo=UTC)


def test_every_kind_of_event_that_is_asked_for_brings_a_document(world: World):
    of = {
        "charge": charge("ch_1", ago(5)),
        "customer": customer("cus_1", ago(5)),
        "price": price("price_1", 1000),
        "subscription": subscription("sub_1", ago(5), "cus_1", item("si_1", price("price_1", 1000))),
        "invoice": invoice("in_1", ago(5), invoice_line("il_1", price("price_1", 1000), 1000)),
        "product": {"id": "prod_price_1", "object": "product", "created": ago(5), "name": "Club"},
        "payment_method": {"id": "pm_1", "object": "payment_method", "created": ago(5), "customer": "cus_1"},
    }
    of |= {"refund": refund("re_1", ago(5), of["charge"], 500), "dispute": dispute("dp_1", ago(5), of["charge"])}
    world.shop.objects.update({f"{name}s": [one] for name, one in of.items()})
    for kind in event_types():
        about = next(
            of[name] for name in ("subscription", "dispute", *of) if name in kind.rpartition(".")[0].split(".")
        )
        told = world.happens(event(f"evt_{kind}", ago(0), kind, about))
        notice = Notice(told["id"], kind, about["id"])
        found = world.source.fetch(world.clients.sync.pull("demo", "stripe", "run", TODAY, _settings(world)), notice)
        assert found, kind
    assert {feed.collection.name for feed in FEEDS} == {f"stripe_{name}" for name in COLLECTIONS}


COLLECTIONS = (
    "charges", "refunds", "disputes", "customers", "prices", "subscriptions", "subscription_changes", "invoices",
)  # fmt: skip


def _settings(world: World) -> Any:
    return world.clients.sync.settings("demo", "stripe")


# What can be said of a delivery without Stripe.


def notices(body: bytes, signature: str, secret: str = SECRET) -> Any:
    delivery = Delivery(body, {"stripe-signature": signature} if signature else {}, {})
    return StripeSource("http://nobody.test").notices(delivery, secret, NOW)


def test_a_notice_is_the_event_and_its_objects_id():
    told = event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0)))
    assert notices(*signed(told, SECRET, NOW)) == [Notice("evt_1", "charge.succeeded", "ch_1")]


@pytest.mark.parametrize("secret", ["", " "])
def test_no_secret_signs_nothing(secret: str):
    with pytest.raises(Unauthenticated):
        notices(*signed(event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0))), secret, NOW), secret=secret)


@pytest.mark.parametrize("signature", ["", "t=1", "v1=abc", "t=x,v1=abc", "t=1,v1=é", "t=,v1=", "nonsense"])
def test_a_signature_that_is_none_is_refused(signature: str):
    with pytest.raises(Unauthenticated):
        notices(b"{}", signature)


def test_a_body_that_is_no_text_is_not_signed():
    with pytest.raises(Unauthenticated):
        notices(b"\xff\xfe", signed({}, SECRET, NOW)[1])


def test_a_changed_body_is_not_signed():
    body, signature = signed(event("evt_1", ago(0), "charge.succeeded", charge("ch_1", ago(0))), SECRET, NOW)
    with pytest.raises(Unauthenticated):
        notices(body.replace(b"ch_1", b"ch_2"), signature)


@pytest.mark.parametrize(
    "told",
    [
        {},
        [],
        {"id": "evt_1", "object": "v2.core.event", "type": "charge.succeeded"},
        {"id": 1, "type": "charge.updated", "data": {"object": {"id": "ch_1"}}},
    ],
)
def test_what_is_signed_and_no_event_says_what_was_expected(told: Any):
    with pytest.raises(BadRequest) as refused:
        notices(*signed(told, SECRET, NOW))
    assert refused.value.fields["errors"][0]["expected"].startswith("an event")
