"""Webhooks as vendors post them: to the real function, over HTTP, until they are rows; and what strangers get."""

import hashlib
import hmac
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import urlencode

import httpx
import pytest

from infra.local.cloud import LocalCloud
from infra.local.run import TENANT, credentials
from infra.local.sample import shop
from shared.comparison.messages import ReconcileAsked
from shared.runtime.clients import Clients
from shared.runtime.envelope import BODY_LIMIT
from shared.settings import Settings
from shared.sources.activecampaign_webhook import MAX_AGE

SECRETS = shop.credentials()
VENDORS = ("stripe", "activecampaign")
SOURCES = {name: shop.SETTINGS["sources"][name] for name in VENDORS}
COLLECTIONS = {"stripe": "stripe_subscriptions", "activecampaign": "ac_contacts"}
LONG_AGO = MAX_AGE + timedelta(hours=1)
NOW = timedelta()
HTTP = httpx.Client(timeout=60, trust_env=False)


class Posts:
    """What vendors post to the function, and what they are asked."""

    def __init__(self, cloud: LocalCloud) -> None:
        self._cloud = cloud

    def send(
        self,
        vendor: str,
        body: bytes,
        *,
        to: str | None = None,
        secret: str | None = None,
        ago: timedelta = NOW,
        chunked: bool = False,
        method: str = "POST",
    ) -> httpx.Response:
        """A body as the vendor sends it; `to` another address than the tenant's, `secret` another than is agreed."""
        secret = SECRETS[f"{vendor}_webhook"] if secret is None else secret
        proof: dict[str, Any] = {"params": {"secret": secret}}
        if vendor == "stripe":
            at = int((datetime.now(UTC) - ago).timestamp())
            signature = hmac.new(secret.encode(), f"{at}.".encode() + body, hashlib.sha256).hexdigest()
            proof = {"headers": {"Stripe-Signature": f"t={at},v1={signature}"}}
        home = self._cloud.url("receive_webhook").rstrip("/")
        path = f"{vendor}/{TENANT}" if to is None else to
        return HTTP.request(method, f"{home}/{path}", content=iter([body]) if chunked else body, **proof)

    def news(self, vendor: str, ago: timedelta = NOW) -> tuple[str, bytes]:
        """An object that the vendor holds, and what it posts when that changes."""
        if vendor == "stripe":
            headers = {"Authorization": f"Bearer {SECRETS['stripe']}"}
            events = self._ask(
                "SCOUT_STRIPE_ENDPOINT", "/v1/events?types[]=customer.subscription.updated&limit=1", headers
            )
            (told,) = events["data"]
            return told["data"]["object"]["id"], json.dumps(told).encode()
        headers = {"Api-Token": SECRETS["activecampaign"]}
        contacts = self._ask("SCOUT_ACTIVECAMPAIGN_ENDPOINT", "/api/3/contacts?limit=1", headers)
        contact = contacts["contacts"][0]["id"]
        at = (datetime.now(UTC) - ago).isoformat()
        return contact, urlencode({"type": "update", "date_time": at, "contact[id]": contact}).encode()

    def questions(self) -> int:
        """How much the vendors were asked so far."""
        asked = [HTTP.get(f"{self._cloud.env['SCOUT_STRIPE_ENDPOINT']}/_control/{name}").json() for name in VENDORS]
        return sum(len(each["requests"]) for each in asked)

    def _ask(self, endpoint: str, path: str, headers: dict[str, str]) -> Any:
        address = self._cloud.env[endpoint].format(account=SOURCES["activecampaign"]["account_id"])
        return HTTP.get(f"{address}{path}", headers=headers).json()


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    functions = ("receive_webhook", "stream_document")
    with LocalCloud(tmp_path_factory.mktemp("cloud"), only=functions, environment=credentials()) as cloud:
        cloud.tenant(TENANT, sources=SOURCES)
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield Clients(Settings())  # type: ignore[call-arg]


@pytest.fixture(scope="module")
def posts(cloud: LocalCloud) -> Posts:
    return Posts(cloud)


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_delivery_becomes_a_document_and_a_row_and_a_replay_nothing_new(
    cloud: LocalCloud, clients: Clients, posts: Posts, vendor: str
):
    object_id, body = posts.news(vendor)
    collection = COLLECTIONS[vendor]
    first = posts.send(vendor, body)
    assert first.status_code == 200, first.text
    count = first.json()["written"]
    assert count >= 1
    written = clients.documents.get(f"tenants/{TENANT}/{collection}/{object_id}")
    assert written is not None
    again = posts.send(vendor, body, chunked=True)
    assert again.json() == {"notices": 1, "written": 0, "unchanged": count, "deleted": 0}
    cloud.drain()
    assert clients.documents.get(f"tenants/{TENANT}/{collection}/{object_id}") == written
    rows = clients.warehouse.query(f"SELECT * FROM aso_tenant_{TENANT}.{collection}")
    assert [row["sync_run_id"] for row in rows] == [written["sync_run_id"]]
    log = clients.warehouse.query(f"SELECT COUNT(*) AS n FROM aso_tenant_{TENANT}.{collection}_raw_changelog")
    assert log == [{"n": 1}]


def test_what_the_stream_lost_of_a_delivery_the_comparison_finds_and_a_repair_brings(
    cloud: LocalCloud, clients: Clients, posts: Posts
):
    posts.send("activecampaign", posts.news("activecampaign")[1])
    cloud.drain()
    table = f"aso_tenant_{TENANT}.ac_contacts"
    clients.warehouse.execute(f"DELETE FROM {table}_raw_changelog WHERE TRUE")
    asked = ReconcileAsked(collection=f"tenants/{TENANT}/ac_contacts", repair=True, settle_seconds=0)
    run_id = clients.reconciler.start("verify-webhook", asked, TENANT, "").run_id
    assert clients.reconciler.carry_on(run_id).counts["missing"] == 1
    assert clients.warehouse.query(f"SELECT COUNT(*) AS n FROM {table}") == [{"n": 1}]


STRANGE = (
    "{vendor}/nobody",
    "{vendor}/",
    "{vendor}/No%20Body",
    "{vendor}/demo/{collection}",
    "{vendor}/demo/{collection}/{object_id}",
)
NO_SECRET = "s" * 40


@pytest.mark.parametrize("vendor", VENDORS)
def test_whoever_lacks_the_secret_or_the_address_is_told_the_same(posts: Posts, vendor: str):
    object_id, body = posts.news(vendor)
    posts.send(vendor, body)
    before = posts.questions()
    forged = posts.send(vendor, body, secret=NO_SECRET)
    assert forged.status_code == 401
    assert forged.headers["content-type"] == "application/problem+json"
    for to in STRANGE:
        path = to.format(vendor=vendor, collection=COLLECTIONS[vendor], object_id=object_id)
        for secret in (None, NO_SECRET, ""):
            answer = posts.send(vendor, body, to=path, secret=secret)
            assert (answer.status_code, answer.json()) == (401, forged.json()), path
    assert posts.send(vendor, b"junk", secret=NO_SECRET).json() == forged.json()
    assert posts.questions() == before


@pytest.mark.parametrize("vendor", VENDORS)
def test_a_delivery_of_long_ago_is_a_copy_that_somebody_kept(posts: Posts, vendor: str):
    _, body = posts.news(vendor, LONG_AGO)
    before = posts.questions()
    assert posts.send(vendor, body, ago=LONG_AGO).status_code == 401
    assert posts.questions() == before


@pytest.mark.parametrize(
    ("vendor", "body", "field"),
    [
        ("stripe", b"", "body"),
        ("stripe", b"junk", "body"),
        ("stripe", b"[]", "body"),
        ("stripe", b"[" * 5000, "body"),
        ("stripe", b'{"id": "evt_1", "type": "charge.succeeded"}', "body"),
        ("stripe", b'{"id": 1, "type": "charge.succeeded", "data": {"object": {"id": "ch_1"}}}', "body"),
        ("activecampaign", b"", "type"),
        ("activecampaign", b"junk", "type"),
        ("activecampaign", b"\xff\xfe\x00", "body"),
        ("activecampaign", b"type=update", "contact[id]"),
        ("activecampaign", b"type=update&contact%5Bid%5D=..%2F7", "contact[id]"),
        ("activecampaign", b"type=sent&campaign%5Bid%5D=x", "campaign[id]"),
        ("activecampaign", b"type=update&contact%5Bid%5D=7&date_time=yesterday", "date_time"),
    ],
)
def test_a_body_that_cannot_be_read_is_refused_by_its_field(posts: Posts, vendor: str, body: bytes, field: str):
    before = posts.questions()
    answer = posts.send(vendor, body)
    assert answer.status_code == 422, answer.text
    assert [each["field"] for each in answer.json()["errors"]] == [field]
    assert all(each["expected"] for each in answer.json()["errors"])
    assert posts.questions() == before


@pytest.mark.parametrize("vendor", VENDORS)
@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_above_the_limit_is_refused_whatever_length_it_tells(posts: Posts, vendor: str, chunked: bool):
    assert posts.send(vendor, b"x" * (BODY_LIMIT + 1), chunked=chunked).status_code == 413


@pytest.mark.parametrize("vendor", VENDORS)
def test_only_posts_are_taken(posts: Posts, vendor: str):
    assert posts.send(vendor, b"", method="GET").json()["field"] == "method"


@pytest.mark.parametrize("vendor", ["ga4", "nobody"])
def test_a_source_without_webhooks_is_told_which_have_one(posts: Posts, vendor: str):
    answer = posts.send("stripe", b"{}", to=f"{vendor}/{TENANT}")
    assert answer.status_code == 422
    assert answer.json()["errors"] == [{"field": "source", "expected": "one of: activecampaign, stripe"}]


def test_no_delivery_ended_the_function_and_no_log_holds_a_secret(cloud: LocalCloud, posts: Posts):
    for vendor in VENDORS:
        posts.send(vendor, posts.news(vendor)[1])
        posts.send(vendor, b"junk", secret=NO_SECRET)
    assert cloud.deaths() == {}
    said = cloud.log("function-receive_webhook").read_text()
    assert said.count('"result":"Unauthenticated"') >= len(VENDORS)
    assert not [secret for secret in (*SECRETS.values(), NO_SECRET) if secret in said]
