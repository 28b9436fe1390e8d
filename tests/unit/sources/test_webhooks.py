"""Webhooks: what is fetched is written, the newer stays, strangers learn nothing."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from io import BytesIO
from typing import Any

import pytest
from flask import Request
from werkzeug.test import EnvironBuilder

from functions.receive_webhook.main import handle
from shared.adapters.rest import PATIENCE_SECONDS
from shared.errors import CredentialsRefused, Unauthenticated, Unavailable
from shared.runtime.envelope import BODY_LIMIT
from shared.schema.record import Collection
from shared.sources.deadline import ANSWER_SECONDS, seconds_left
from shared.sources.raw import SAME_BUT_FOR
from shared.sources.records import SourceRow
from shared.sources.source import Feed, Pull
from shared.sources.webhook import Change, Delivery, Notice, stranger
from shared.sources.webhooks import REMEMBER_SECONDS, RENEW_SECONDS
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
        self.patience = 0.0

    def notices(self, delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
        if delivery.headers.get("x-signature") != secret:
            raise stranger()
        if delivery.body == b"old":
            raise Unauthenticated("it was signed too long ago")
        return [Notice(delivery.body.decode(), "thing.updated", "thing")] if delivery.body else []

    def fetch(self, pull: Pull, notice: Notice) -> Sequence[Change]:
        self.asked.append(pull)
        self.patience = seconds_left(PATIENCE_SECONDS)
        if self.error:
            raise self.error
        fields = None if self.number is None else {"date": "2026-01-01", "number": self.number}
        return [Change(Feed(Thing, mutable=True), notice.object_id, fields)]


class AskedSecrets(FakeSecrets):
    """Counts what it is asked for."""

    def __init__(self, **held: str) -> None:
        super().__init__(**held)
        self.asked: list[str] = []

    def get(self, tenant_id: str, source: str) -> str:
        self.asked.append(source)
        return super().get(tenant_id, source)


class World:
    def __init__(self) -> None:
        self.vendor, self.now, self.seconds = Vendor(), NOW, 0.0
        secrets = AskedSecrets(demo_stripe="sk", demo_stripe_webhook="whsec", broken_stripe_webhook="whsec")
        self.clients = fake_clients(
            "demo", "bare", "broken", sources={"stripe": lambda tenant_id: self.vendor}, secrets=secrets
        )
        at = {"created_at": NOW, "updated_at": NOW}
        for name, sources in {"demo": {"stripe": {}}, "bare": {}, "broken": {"stripe": 1}}.items():
            self.clients.documents.documents[f"tenants/{name}"] = {"tenant_id": name, "sources": sources, **at}
        self.clients.webhooks._now = lambda: self.now
        self.clients.webhooks._clock = lambda: self.seconds

    def deliver(
        self,
        event: str = "evt_1",
        path: str = "/stripe/demo",
        secret: str = "whsec",
        method: str = "POST",
        chunks: BytesIO | None = None,
    ) -> Any:
        """Post an event, or what comes in chunks, without a length."""
        sent = BytesIO(event.encode()) if chunks is None else chunks
        builder = EnvironBuilder(path=path, input_stream=sent, headers={"X-Signature": secret}, method=method)
        environ = builder.get_environ()
        if chunks is not None:
            del environ["CONTENT_LENGTH"]
            environ["wsgi.input_terminated"] = True
        return handle(Request(environ), self.clients)

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


def test_a_page_that_is_on_its_way_does_not_undo_what_was_asked_for_later(world: World):
    """The thing was 1, became 2, which a page tells, and is 1 again before the page is written."""
    world.deliver("evt_1")
    page_asked_at, world.now = NOW + timedelta(seconds=1), NOW + timedelta(seconds=2)
    page = {**world.thing, "number": 2, "sync_run_id": "sync-1", "synced_at": page_asked_at}
    with world.clients.leases.hold("sync:demo:stripe", 60):
        assert world.deliver("evt_2").json["written"] == 1
        world.clients.documents.put_newer([(PATH, page)], "synced_at", SAME_BUT_FOR)
    assert (world.thing["number"], world.thing["synced_at"]) == (1, world.now)
    world.now += timedelta(seconds=1)
    assert world.deliver("evt_3").json["unchanged"] == 1


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


STRANGE = ("nobody", "bare", "broken", "", "demo/x", "../demo", "demo/played_things/thing", "DEMO", "demo%0a", "x" * 64)


@pytest.mark.parametrize("tenant", STRANGE)
def test_strangers_learn_no_tenants(world: World, tenant: str):
    world.deliver()
    before = world.deliver(secret="guessed")
    answer = world.deliver(path=f"/stripe/{tenant}", secret="guessed")
    assert (answer.status_code, answer.json) == (before.status_code, before.json) == (401, answer.json)


def test_what_can_be_no_tenant_is_asked_of_no_store(world: World):
    world.clients.documents.get = lambda path: pytest.fail(f"{path} was asked for")
    assert world.deliver(path="/stripe/demo/played_things/thing").status_code == 401


@pytest.mark.parametrize("secret", [None, "", " \n"])
def test_a_tenant_without_a_secret_takes_none(world: World, secret: str | None):
    del world.clients.secrets.held["demo_stripe_webhook"]
    if secret is not None:
        world.clients.secrets.held["demo_stripe_webhook"] = secret
    assert world.deliver(secret="").status_code == 401


def test_a_secret_may_end_a_line(world: World):
    world.clients.secrets.held["demo_stripe_webhook"] = "whsec\n"
    assert world.deliver().status_code == 200


def test_who_has_the_secret_is_told_that_the_delivery_is_too_old(world: World):
    assert world.deliver("old").json["detail"] == "it was signed too long ago"


def test_forged_deliveries_do_not_ask_for_the_secret_each(world: World):
    world.deliver()
    for _ in range(20):
        world.seconds += RENEW_SECONDS / 10
        assert world.deliver(secret="guessed").status_code == 401
    assert world.clients.secrets.asked.count("stripe_webhook") == 3


def test_deliveries_to_a_tenant_without_a_secret_do_not_ask_for_it_each(world: World):
    held = world.clients.secrets.held
    secret = held.pop("demo_stripe_webhook")
    for _ in range(5):
        assert world.deliver().status_code == 401
    assert world.clients.secrets.asked == ["stripe_webhook"]
    held["demo_stripe_webhook"] = secret
    world.seconds += RENEW_SECONDS
    assert world.deliver().status_code == 200


def test_a_new_secret_is_taken_within_seconds_and_the_old_one_within_a_minute_no_more(world: World):
    world.deliver()
    world.clients.secrets.held["demo_stripe_webhook"] = "renewed"
    assert world.deliver(secret="renewed").status_code == 401
    assert world.deliver().status_code == 200
    world.seconds += RENEW_SECONDS
    assert world.deliver(secret="renewed").status_code == 200
    assert world.deliver().status_code == 401
    world.clients.secrets.held["demo_stripe_webhook"] = "third"
    world.seconds += REMEMBER_SECONDS
    assert world.deliver(secret="renewed").status_code == 401


def test_a_tenant_that_leaves_is_forgotten_within_a_minute(world: World):
    world.deliver()
    world.clients.documents.documents["tenants/demo"]["status"] = "suspended"
    assert world.deliver().status_code == 200
    world.seconds += REMEMBER_SECONDS
    assert world.deliver().status_code == 401


@pytest.mark.parametrize("path", ["/ga4/demo", "/nothing/demo", "/"])
def test_a_source_without_webhooks_is_told(world: World, path: str):
    response = world.deliver(path=path)
    assert response.status_code == 422
    assert response.json["errors"][0]["field"] == "source"


def test_a_get_and_a_huge_body_are_refused(world: World):
    assert world.deliver(method="GET").status_code == 422
    assert world.deliver("x" * ((1 << 20) + 1)).status_code == 413


def test_a_body_in_chunks_is_read_no_further_than_one_may_send(world: World):
    sent = BytesIO(b"x" * (8 << 20))
    assert world.deliver(chunks=sent).status_code == 413
    assert sent.tell() == BODY_LIMIT + 1


def test_a_body_in_chunks_is_taken(world: World):
    assert world.deliver(chunks=BytesIO(b"evt_1")).json["written"] == 1


def test_a_vendor_is_given_up_before_its_own_patience_ends(world: World):
    world.deliver()
    assert 0 < world.vendor.patience <= ANSWER_SECONDS < PATIENCE_SECONDS


def test_a_vendor_that_does_not_answer_is_asked_again_by_its_own_retry(world: World):
    world.vendor.error = Unavailable("Stripe is not available")
    assert world.deliver().status_code == 503
    assert world.thing is None


def test_refused_credentials_are_seen_on_the_page(world: World):
    world.vendor.error = CredentialsRefused("Stripe refused the credentials")
    assert world.deliver().status_code == 422
    assert world.clients.ops.documents["source_states/demo:stripe"]["state"] == "refused"
