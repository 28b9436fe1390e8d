from collections.abc import Callable
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.routing import Route
from starlette.types import ASGIApp

from shared.dashboard.site import site
from shared.runtime.clients import Clients
from shared.sources.messages import CheckRequested, SyncRequested
from tests.fakes import ScriptedWarehouse, fake_clients
from tests.unit.dashboard.samples import opportunity

FOLDER = Path(__file__).resolve().parents[3] / "functions" / "dashboard"
HERE = "/t/demo/opportunities/a1"
HTML = {"accept": "text/html"}


@pytest.fixture
def clients() -> Clients:
    rows = [{"date": date(2026, 3, 15), "sessions": 7}]
    made = fake_clients("demo", "other", warehouse=ScriptedWarehouse(daily_entity_metrics=rows))
    held: Any = made.documents
    now = datetime(2026, 3, 1, tzinfo=UTC)
    for tenant_id in ("demo", "other"):
        settings = {"created_at": now, "updated_at": now, "notice": "Dates are <shifted>."}
        held.documents[f"tenants/{tenant_id}"] |= settings
    held.documents["tenants/demo/opportunities/a1"] = opportunity(title="<script>alert(1)</script>")
    return made


@pytest.fixture
def browser(clients: Clients) -> Callable[[str | None], httpx.AsyncClient]:
    application = site(clients, FOLDER)
    methods = ["GET", "POST", "DELETE"]

    async def dashboard(request: Request) -> ASGIApp:
        return application

    # As the functions framework serves it: the application is what a catch-all route answers.
    transport = httpx.ASGITransport(Starlette(routes=[Route("/{path:path}", dashboard, methods=methods)]))

    def signed_in(token: str | None) -> httpx.AsyncClient:
        cookies = {"scout_session": token} if token else {}
        return httpx.AsyncClient(transport=transport, base_url="http://scout.test", cookies=cookies)

    return signed_in


async def test_token_becomes_a_cookie_that_no_script_and_no_other_site_can_use(browser):
    async with browser(None) as client:
        response = await client.post("/session", json={"token": "demo"})
        cookie = response.headers["set-cookie"].lower()
        assert response.json() == {"operator": False, "tenant_id": "demo"}
        assert "httponly" in cookie
        assert "samesite=strict" in cookie
        assert "secure" not in cookie
        assert (await client.get("/t/demo/")).status_code == 200
        await client.request("DELETE", "/session")
        assert (await client.get("/t/demo/")).status_code == 401


async def test_cookie_is_secure_behind_https(browser):
    async with browser(None) as client:
        headers = {"x-forwarded-proto": "https"}
        response = await client.post("/session", json={"token": "demo"}, headers=headers)
        assert "secure" in response.headers["set-cookie"].lower()


async def test_way_in_leads_where_the_token_belongs(browser):
    async with browser("demo") as client:
        assert (await client.get("/")).headers["location"] == "/t/demo/"
    async with browser("operator") as client:
        response = await client.get("/")
        assert 'href="/t/demo/"' in response.text
        assert 'href="/t/other/"' in response.text


async def test_visitor_without_a_token_gets_the_sign_in_page(browser):
    async with browser(None) as client:
        response = await client.get("/t/demo/", headers=HTML)
        assert response.status_code == 401
        assert 'id="sign-in"' in response.text


async def test_pages_escape_what_documents_hold(browser):
    async with browser("demo") as client:
        page = (await client.get(HERE)).text
        assert "<script>alert" not in page
        assert "&lt;script&gt;alert" in page
        assert "Dates are &lt;shifted&gt;." in page


async def test_every_answer_carries_a_strict_policy(browser):
    async with browser("demo") as client:
        for path in ("/", "/t/demo/", HERE, f"{HERE}/series", "/static/scout.css", "/nowhere"):
            policy = (await client.get(path)).headers["content-security-policy"]
            assert "default-src 'none'" in policy
            assert "unsafe" not in policy


async def test_pages_ask_nothing_of_other_hosts():
    for file in [*FOLDER.glob("templates/*"), *FOLDER.glob("static/*.*")]:
        text = file.read_text().replace("http://www.w3.org/2000/svg", "")
        assert "http://" not in text, file
        assert "https://" not in text, file
        assert "innerHTML" not in text, file
        assert " style=" not in text, file


async def test_opportunity_shows_value_confidence_evidence_and_advice(browser):
    async with browser("demo") as client:
        page = (await client.get(HERE)).text
        for said in ("$100", "$80 to $140", "a * b", "80 %", "23,120", "below 0.0001", "Compare with the state before"):
            assert said in page, said


async def test_series_of_an_opportunity(browser):
    async with browser("demo") as client:
        found = (await client.get(f"{HERE}/series")).json()
        assert (found["plots"][0]["name"], found["plots"][0]["values"][-1]) == ("sessions", 7)


async def test_decision_is_stored_beside_everything_else(browser, clients: Clients):
    async with browser("demo") as client:
        response = await client.post(HERE, json={"status": "dismissed", "note": "seasonal"})
        assert (response.status_code, response.json()["status"]) == (200, "dismissed")
    stored = clients.documents.get("tenants/demo/opportunities/a1")
    assert stored is not None
    assert (stored["status"], stored["note"], stored["decided_by"]) == ("dismissed", "seasonal", "someone@demo.test")
    assert stored["evidence"] == opportunity()["evidence"]


async def test_snooze_names_its_day(browser, clients: Clients):
    async with browser("demo") as client:
        response = await client.post(HERE, json={"status": "snoozed"})
        assert (response.status_code, response.json()["field"]) == (422, "snoozed_until")
        response = await client.post(HERE, json={"status": "snoozed", "snoozed_until": "2999-01-01"})
        assert (response.status_code, response.json()["snoozed_until"]) == (200, "2999-01-01")
        page = (await client.get(HERE)).text
        assert 'value="2999-01-01"' in page
        assert "by a person: until 2999-01-01" in page


async def test_part_links_to_its_lead_and_the_lead_to_its_parts(browser, clients: Clients):
    held: Any = clients.documents
    child = {"detector_id": "page_cvr_drop", "entity_type": "page", "entity_id": "/b", "title": "Part"}
    lead = opportunity(title="Lead", evidence={"children": [{**child, "change": 3, "share": 0.4}, {"title": "Gone"}]})
    held.documents["tenants/demo/opportunities/a1"] = lead
    held.documents["tenants/demo/opportunities/b1"] = opportunity(**child, opportunity_id="b1", part_of="a1")
    held.documents["tenants/demo/opportunities/c1"] = opportunity(opportunity_id="c1", part_of="x/y")
    async with browser("demo") as client:
        page = (await client.get(HERE)).text
        assert '<a href="/t/demo/opportunities/b1">Part</a>' in page
        assert "40.00 %" in page
        assert '<a href="/t/demo/opportunities/a1">Lead</a>' in (await client.get("/t/demo/opportunities/b1")).text
        assert (await client.get("/t/demo/opportunities/c1")).status_code == 200


async def test_hit_rates_are_on_the_list(browser, clients: Clients):
    async with browser("demo") as client:
        assert "Did it pay?" not in (await client.get("/t/demo/")).text
        held: Any = clients.documents
        counts = {"completed": 4, "measured": 3, "paid": 2, "did_not_pay": 1, "unclear": 0}
        rate = {"detector_id": "page_cvr_drop", **counts, "hit_rate": 0.6667, "gained_value": 90.0, "currency": "EUR"}
        held.documents["tenants/demo/detector_hit_rates/page_cvr_drop"] = rate
        page = (await client.get("/t/demo/")).text
        assert "67 %" in page
        assert "€90" in page


@pytest.fixture
def with_sources(clients: Clients) -> Clients:
    """The tenant has a source that nobody has asked yet."""
    held: Any = clients.documents
    held.documents["tenants/demo"]["sources"] = {"stripe": {}}
    return clients


async def test_pressed_sync_is_asked_for_and_shown(browser, with_sources: Clients):
    async with browser("demo") as client:
        response = await client.post("/t/demo/sources/stripe/sync", json={})
    [published] = with_sources.publisher.messages  # type: ignore[attr-defined]
    assert isinstance(published, SyncRequested)
    assert (response.status_code, published.source) == (202, "stripe")
    [stripe] = response.json()
    assert (stripe["sync"]["run_id"], stripe["sync"]["status"]) == (published.run_id, "requested")
    assert with_sources.ops.get(f"progress/{published.run_id}")["requested_by"] == "someone@demo.test"  # type: ignore[index]


async def test_pressed_test_is_left_to_those_who_may_read_credentials(browser, with_sources: Clients):
    async with browser("demo") as client:
        response = await client.post("/t/demo/sources/stripe/check", json={})
    [published] = with_sources.publisher.messages  # type: ignore[attr-defined]
    assert isinstance(published, CheckRequested)
    [stripe] = response.json()
    assert (stripe["check"]["run_id"], stripe["state"]) == (published.run_id, "new")


async def test_days_of_a_source_are_asked_of_bigquery(browser, with_sources: Clients):
    counts = {"written": 9, "unchanged": 0, "arrived": 9, "refused": 0, "row_count": 9, "aggregated": 9}
    ledger = [{"collection_name": "stripe_charges", "date": date(2026, 3, 1), **counts}]
    with_sources.warehouse = ScriptedWarehouse(arrival_ledger=ledger, stage_counts=[])  # type: ignore[assignment]
    async with browser("demo") as client:
        found = (await client.get("/t/demo/sources/stripe/days")).json()
    assert found["days"]["stripe_charges"][0]["date"] == "2026-03-01"


async def test_operator_may_decide_for_any_tenant(browser):
    async with browser("operator") as client:
        assert (await client.post(HERE, json={"status": "in_progress"})).status_code == 200


@pytest.mark.parametrize(
    ("path", "content", "token", "status", "named"),
    [
        (HERE, b'{"status": "closed"}', "demo", 422, "status"),
        (HERE, b'{"status": 7}', "demo", 422, "status"),
        (HERE, b'{"note": 7}', "demo", 422, "note"),
        (HERE, b'{"severity": "low"}', "demo", 422, "severity"),
        (HERE, b"{}", "demo", 422, "status or note"),
        (HERE, b"[]", "demo", 422, "body"),
        (HERE, b"{", "demo", 422, "body"),
        (HERE, b'{"note": "' + b"x" * (1 << 20) + b'"}', "demo", 413, "limit_bytes"),
        (HERE, b'{"status": "new"}', None, 401, "no token"),
        (HERE, b'{"status": "new"}', "forged", 401, "token"),
        (HERE, b'{"status": "new"}', "other", 403, "tenant_id"),
        ("/t/nobody/opportunities/a1", b'{"status": "new"}', "operator", 404, "tenant_id"),
        ("/t/De%20mo/opportunities/a1", b'{"status": "new"}', "operator", 404, "tenant_id"),
        ("/t/demo/opportunities/nothing", b'{"status": "new"}', "demo", 404, "opportunity_id"),
        ("/t/demo/opportunities/a%20b", b'{"status": "new"}', "demo", 404, "opportunity_id"),
        ("/session", b"{}", None, 422, "token"),
        ("/session", b'{"token": "forged"}', None, 401, "token"),
        ("/nowhere", b"{}", "demo", 404, "path"),
        ("/t/demo/", b"{}", "demo", 405, "path"),
        ("/t/demo/sources/nothing/sync", b"{}", "demo", 422, "source"),
        ("/t/demo/sources/stripe/sync", b"{}", "demo", 422, "source"),
        ("/t/demo/sources/stripe/check", b"{}", "demo", 422, "source"),
        ("/t/demo/sources/stripe/check", b'{"tenant_id": "other"}', "demo", 422, "tenant_id"),
        ("/t/demo/sources/stripe/sync", b"{}", "other", 403, "tenant_id"),
        ("/t/demo/sources/stripe/sync", b"{}", None, 401, "no token"),
    ],
)
async def test_bad_input_is_answered_with_what_is_wrong_and_writes_nothing(
    browser, clients: Clients, path, content, token, status, named
):
    async with browser(token) as client:
        response = await client.post(path, content=content, headers={"content-type": "application/json"})
    assert response.status_code == status
    assert response.headers["content-type"] == "application/problem+json"
    assert response.json()["status"] == status
    assert named in response.text
    assert clients.documents.writes == []  # type: ignore[attr-defined]


async def test_form_of_another_site_is_refused(browser, clients: Clients):
    async with browser("demo") as client:
        response = await client.post(HERE, content=b'{"status": "new"}', headers={"content-type": "text/plain"})
    assert (response.status_code, response.json()["field"]) == (422, "content-type")
    assert clients.documents.writes == []  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    "path", ["/t/other/", "/t/other/events", "/t/other/opportunities/a1", "/t/other/sources/stripe/days"]
)
async def test_other_tenants_are_out_of_sight(browser, path):
    async with browser("demo") as client:
        assert (await client.get(path)).status_code == 403
        assert "another tenant" in (await client.get(path, headers=HTML)).text


async def test_store_that_is_down_is_503(browser, clients: Clients):
    clients.documents.down = True  # type: ignore[attr-defined]
    async with browser("demo") as client:
        response = await client.get("/t/demo/")
        assert (response.status_code, response.headers["retry-after"]) == (503, "5")
