"""Credentials are nowhere but where they are kept: not in documents, dead letters, messages, log lines or answers."""

import logging
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest
from flask import Request

from functions.check_source.main import handle as check
from functions.sync_source.main import handle as sync
from infra.local.sample import shop
from infra.local.vendors.activecampaign import Account
from infra.local.vendors.stripe import Shop
from shared.runtime.breaker import Breakers
from shared.runtime.clients import Clients
from shared.runtime.connectors import connectors
from shared.settings import Settings
from shared.sources.catalogue import SOURCES
from tests.fakes import FakeSecrets, fake_clients, posted, pushed
from tests.support.vendor import Answer, vendor
from tests.support.vendors import Vendors, vendors

WITH_CREDENTIALS = [name for name, kind in SOURCES.items() if kind.credentials]
MARKER = "marker-that-nobody-may-see"
NOW = datetime.now(UTC)
GOOGLE = {name: f"{MARKER}-{name}" for name in ("client_id", "client_secret", "refresh_token")}
LISTS = ("contacts", "campaigns", "messages", "lists", "automations", "contactAutomations", "contactLists")


@pytest.fixture(scope="module")
def running() -> Iterator[Vendors]:
    account = Account({name: [] for name in (*LISTS, "campaignLists", "links", "automationBlocks")})
    with vendors(NOW.date(), "google_ads", "search_console", "google_oauth", Shop({}), account) as server:
        yield server


def world(address: str, source: str, credentials: str) -> Clients:
    """A tenant with one source, at an address that plays its vendor."""
    endpoints = ("STRIPE", "GOOGLE_ADS", "SEARCH_CONSOLE")
    at = Settings(  # type: ignore[call-arg]
        GOOGLE_CLOUD_PROJECT="p",
        SCOUT_GOOGLE_TOKEN_ENDPOINT=f"{address}/token",
        SCOUT_ACTIVECAMPAIGN_ENDPOINT=f"{address}/{{account}}",
        **{f"SCOUT_{name}_ENDPOINT": address for name in endpoints},
    )
    secrets = FakeSecrets(**{f"demo_{source}": credentials})
    clients = fake_clients("demo", sources=connectors(at, Breakers()), secrets=secrets)
    tenant = {"tenant_id": "demo", "sources": {source: shop.SETTINGS["sources"][source]}}
    clients.documents.documents["tenants/demo"] = tenant | {"created_at": NOW, "updated_at": NOW}
    return clients


def asked(source: str) -> tuple[Request, Request]:
    """A sync of yesterday, as Pub/Sub asks for it, and a test of the connection, as a person does."""
    since = (NOW - timedelta(days=1)).date().isoformat()
    run = {"tenant_id": "demo", "source": source, "since": since, "run_id": f"sync-{source}-demo-1"}
    return pushed(run), posted({"tenant_id": "demo", "source": source})


def everything(clients: Clients, *responses: Any) -> str:
    """All that is left of what was done."""
    held = {
        "documents": clients.documents.documents,
        "ops": clients.ops.documents,
        "letters": {name: str(data) for name, data in clients.dead_letter_objects.objects.items()},
        "messages": [repr(message) for message in clients.publisher.messages],
        "answers": [each.get_data(as_text=True) for each in responses],
    }
    return orjson.dumps(held, default=str).decode()


@pytest.fixture
def logged(caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]) -> Any:
    caplog.set_level(logging.WARNING)  # as deployed: nothing asks for more

    def read() -> str:
        lines = capfd.readouterr()
        return caplog.text + lines.out + lines.err

    return read


@pytest.mark.parametrize("source", WITH_CREDENTIALS)
def test_credentials_that_are_taken_are_nowhere_afterwards(running: Vendors, logged: Any, source: str):
    credentials = shop.credentials()[source]
    clients = world(running.address, source, credentials)
    message, question = asked(source)
    synced, checked = sync(message, clients), check(question, clients)
    assert (synced.status_code, checked.status_code) == (204, 200), checked.get_data()
    assert clients.ops.documents[f"source_states/demo:{source}"]["state"] == "connected"
    found = everything(clients, synced, checked) + logged()
    parts = orjson.loads(credentials).values() if credentials.startswith("{") else [credentials]
    assert not [part for part in parts if part in found]


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("source", WITH_CREDENTIALS)
def test_credentials_that_are_refused_are_nowhere_though_the_vendor_repeats_them(logged: Any, source: str, status: int):
    credentials = orjson.dumps(GOOGLE).decode() if source in ("google_ads", "search_console") else MARKER
    said = f"this is not right: {MARKER}"
    with vendor() as played:
        if source in ("google_ads", "search_console"):
            body: Any = {"error": "invalid_grant", "error_description": said}
        else:
            body = {"error": {"message": said, "type": "invalid_request_error"}, "message": said}
        played.answers = [Answer(body, status=status)]
        clients = world(played.address, source, credentials)
        message, question = asked(source)
        synced, checked = sync(message, clients), check(question, clients)
        assert played.asked
    assert (synced.status_code, checked.status_code) == (204, 422)
    assert len(clients.dead_letter_objects.objects) == 1
    assert MARKER not in everything(clients, synced, checked) + logged()
