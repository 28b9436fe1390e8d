"""Webhooks: what is fetched is written, the newer stays, strangers learn nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from functions.receive_webhook.main import handle
from shared.errors import CredentialsRefused, Unauthenticated, Unavailable
from shared.schema.record import Collection
from shared.sources.records import SourceRow
from shared.sources.source import Feed, Pull
from shared.sources.webhook import Change, Delivery, Notice
from tests.fakes import FakeSecrets, fake_clients

NOW = datetime(2026, 1, 1, tzinfo=UTC)
PATH = "tenants/demo/played_things/thing"


class Thing(SourceRow):
    """What changes."""

    number: int = 0
    collection = Collection("tenants/{tenant_id}/played_things")


class Vendor:
    """Port `WebhookSource`: one thing, at a number that can be set; a body is `signed` with the secret, or refused."""

    def __init__(self) -> None:
        self.number: int | None = 1
        self.error: Exception | None = None
        self.asked: list[Pull] = []

    def notices(self, delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
        if delivery.headers.get("x-signature") != secret:
            raise Unauthenticated("the signature is wrong")
        return [Notice(delivery.body.decode(), "thing.updated", "thing")] if delivery.body else []

    def fetch(self, pull: Pull, notice: Notice) -> Sequence[Change]:
        self.asked.append(pull)
        if self.error:
            raise self.error
        fields = None if self.number is None else {"date": "2026-01-01", "number": self.number}
        return [Change(Feed(Thing, mutable=True), notice.object_id, fields)]


class World:
    def __init__(self) -> None:
        self.vendor, self.now = Vendor(), NOW
        secrets = FakeSecrets(demo_stripe="sk", demo_stripe_webhook="whsec")
        self.clients = fake_clients("demo", "bare", sources={"stripe": lambda tenant_id: self.vendor}, secrets=secrets)
        at = {"created_at": NOW, "updated_at": NOW}
        for name, sources in {"demo": {"stripe": {}}, "bare": {}}.items():
            self.clients.documents.documents[f"tenants/{name}"] = {"tenant_id": name, "sources": sources, **at}
        self.clients.webhooks._now = lambda: self.now

    def deliver(self, event: str = "evt_1", path: str = "/stripe/demo", secret: str = "whsec", **options: Any) -> Any:
        headers = {"X-Signature": secret}
        builder = EnvironBuilder(path=path, data=event.encode(), headers=headers, **{"method": "POST", **options})
        return handle(Request(builder.get_environ()), self.clients)

    @property
    def thing(self) -> Any:
        return self.clients.documents.get(PATH)


@pytest.fixture
def world() -> World:
    return World()


def test_what_a_notice_tells_of_is_fetched_and_written(world: World):
    response = world.deliver()
    assert (response.status_code, response.json) == (200, {"notices": 1, "written": 1, "unchanged": 0, "deleted": 0})
    assert world.thing == {
        "tenant_id": "demo", "source": "stripe", "date": "2026-01-01", "number": 1, "sync_run_id": "webhook-evt_1",
        "synced_at": NOW,
    }  # fmt: skip
    assert world.vendor.asked[0].credentials == "sk"


def test_a_repeat_changes_nothing(world: World):
    world.deliver()
    before = dict(world.thing)
    world.now += timedelta(seconds=1)
    assert world.deliver().json["unchanged"] == 1
    assert world.thing == before


def test_a_late_notice_brings_what_is_so_now(world: World):
    world.vendor.number = 2
    world.deliver("evt_2")
    world.now += timedelta(seconds=1)
    world.deliver("evt_1")
    assert world.thing["number"] == 2


def test_what_was_asked_for_later_stays(world: World):
    world.deliver("evt_2")
    world.now -= timedelta(seconds=1)
    world.vendor.number = 0
    assert world.deliver("evt_1").json["unchanged"] == 1
    assert world.thing["number"] == 1
    world.vendor.number = None
    assert world.deliver("evt_3").json["unchanged"] == 1
    assert world.thing["number"] == 1


def test_what_is_no_more_is_deleted(world: World):
    world.deliver()
    world.vendor.number = None
    world.now += timedelta(seconds=1)
    assert world.deliver("evt_2").json["deleted"] == 1
    assert world.thing is None
    assert world.deliver("evt_2").json["unchanged"] == 1


def test_a_wrong_signature_is_refused_before_anything_is_asked(world: World):
    response = world.deliver(secret="guessed")
    assert (response.status_code, response.json["title"]) == (401, "Unauthenticated")
    assert world.vendor.asked == []


@pytest.mark.parametrize("path", ["/stripe/nobody", "/stripe/bare", "/stripe/", "/stripe/demo/x", "/stripe/../demo"])
def test_strangers_learn_no_tenants(world: World, path: str):
    response = world.deliver(path=path)
    assert response.status_code == 401
    assert response.json["detail"] == "nobody takes webhooks at this address"


def test_a_tenant_without_a_secret_takes_none(world: World):
    del world.clients.secrets.held["demo_stripe_webhook"]
    assert world.deliver().status_code == 401


@pytest.mark.parametrize("path", ["/ga4/demo", "/nothing/demo", "/"])
def test_a_source_without_webhooks_is_told(world: World, path: str):
    response = world.deliver(path=path)
    assert response.status_code == 422
    assert response.json["errors"][0]["field"] == "source"


def test_a_get_and_a_huge_body_are_refused(world: World):
    assert world.deliver(method="GET").status_code == 422
    assert world.deliver("x" * ((1 << 20) + 1)).status_code == 413


def test_a_vendor_that_does_not_answer_is_asked_again_by_its_own_retry(world: World):
    world.vendor.error = Unavailable("Stripe is not available")
    assert world.deliver().status_code == 503
    assert world.thing is None


def test_refused_credentials_are_seen_on_the_page(world: World):
    world.vendor.error = CredentialsRefused("Stripe refused the credentials")
    assert world.deliver().status_code == 422
    assert world.clients.ops.documents["source_states/demo:stripe"]["state"] == "refused"
