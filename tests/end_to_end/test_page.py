"""The page in a real Chromium, on the local cloud: what people see, as it happens."""

import re
import time
import uuid
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest
from playwright.sync_api import Browser, Page, expect

from infra.local.cloud import LocalCloud
from infra.local.vendors.ga4_data_api import SAMPLE_PROPERTY
from shared.analytics.records import DailyEntityMetrics
from shared.ops.progress import THROTTLE
from shared.ops.records import Arrivals
from shared.runtime.clients import Clients
from shared.schema.bigquery import plain_table
from shared.sources.states import SourceStates
from shared.tenants.records import Tenant

LAST_DAY = date(2026, 3, 15)
NOW = datetime(2026, 3, 16, 6, tzinfo=UTC)


@pytest.fixture
def tenant(clients: Clients) -> str:
    """A tenant with ninety days of one page."""
    tenant_id = f"t{uuid.uuid4().hex[:12]}"
    clients.warehouse.ensure_dataset(f"aso_tenant_{tenant_id}")
    clients.warehouse.ensure_table(f"aso_tenant_{tenant_id}", plain_table(DailyEntityMetrics))
    days = [LAST_DAY - timedelta(days=ago) for ago in range(90)]
    entity = {"tenant_id": tenant_id, "entity_type": "page", "entity_id": "/pricing"}
    rows = [{**entity, "date": day.isoformat(), "sessions": 900 + day.day, "conversions": 9 + day.day} for day in days]
    clients.warehouse.load(f"aso_tenant_{tenant_id}.daily_entity_metrics", rows)
    settings = Tenant(
        tenant_id=tenant_id, name="Shop", notice="Dates are shifted.", created_at=NOW, updated_at=datetime.now(UTC)
    )
    clients.documents.put(f"tenants/{tenant_id}", settings.document())
    return tenant_id


def put(clients: Clients, tenant: str, key: str, mid: float | None, **changes: Any) -> None:
    """Store an opportunity as a run does."""
    first, middle = LAST_DAY - timedelta(days=34), LAST_DAY - timedelta(days=6)
    value = {"low": mid / 2, "mid": mid, "high": mid * 2, "currency": "USD", "formula": "a * b"} if mid else {}
    values = {
        "opportunity_id": key,
        "tenant_id": tenant,
        "detector_id": "page_cvr_drop",
        "opportunity_type": "conversion_drop",
        "title": f"Title {key}",
        "entity_type": "page",
        "entity_id": "/pricing",
        "direction": "down",
        "confidence_score": 0.8,
        "severity": "high",
        "estimated_value": value or {"reason": "A finding about the data"},
        "recommendation": "Compare with the state before",
        "evidence": {
            "windows": {
                "cur": {"first": middle.isoformat(), "last": LAST_DAY.isoformat()},
                "base": {"first": first.isoformat(), "last": (middle - timedelta(days=1)).isoformat()},
            },
            "numbers": {"cur_sessions": 6400, "base_sessions": 25600, "cur_cvr": 0.011, "base_cvr": 0.03},
            "rates": {"cur_cvr": "cur_conversions / cur_sessions"},
            "test": {"name": "two_proportion_z", "p_value": 1e-9, "q_value": 1e-7},
        },
        "status": "new",
        "run_id": "run-1",
        "as_of": LAST_DAY.isoformat(),
        "detected_at": NOW,
        "created_at": NOW,
        "updated_at": NOW,
        **changes,
    }
    clients.documents.put(f"tenants/{tenant}/opportunities/{key}", values)


def titles(page: Page) -> Any:
    return page.locator(".row .title")


def test_link_with_a_token_signs_in_and_hides_the_token(clients: Clients, tenant: str, visit: Any):
    page = visit()
    assert "token" not in page.url
    assert page.evaluate("document.cookie") == ""
    [cookie] = page.context.cookies()
    assert (cookie["httpOnly"], cookie["sameSite"]) == (True, "Strict")
    expect(page.get_by_text("Nothing found yet")).to_be_visible()
    expect(page.get_by_text("Dates are shifted.")).to_be_visible()
    page.get_by_role("button", name="Sign out").click()
    expect(page.get_by_role("heading", name="Sign in")).to_be_visible()


def test_opportunities_appear_and_change_by_themselves_in_order_of_worth(clients: Clients, tenant: str, visit: Any):
    page = visit()
    put(clients, tenant, "small", 10)
    expect(titles(page)).to_have_text(["Title small"])
    put(clients, tenant, "large", 500)
    put(clients, tenant, "dq", None, detector_id="dq_missing_day", severity="critical")
    expect(titles(page)).to_have_text(["Title large", "Title small", "Title dq"])
    expect(page.locator("#open-worth")).to_have_text("$408")
    expect(page.locator("#quality")).to_be_visible()
    put(clients, tenant, "small", 9000)
    expect(titles(page)).to_have_text(["Title small", "Title large", "Title dq"])
    clients.documents.delete(f"tenants/{tenant}/opportunities/small")
    expect(titles(page)).to_have_text(["Title large", "Title dq"])


def test_decision_is_seen_by_everybody_at_once(clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10)
    mine, theirs = visit(), visit("opportunities/a")
    mine.get_by_label("Status of Title a").select_option("in_progress")
    expect(theirs.get_by_label("Status")).to_have_value("in_progress")
    theirs.get_by_label("Status").select_option("dismissed")
    theirs.get_by_label("Note").fill("It is the season")
    theirs.get_by_role("button", name="Save").click()
    expect(titles(mine)).to_have_count(0)
    expect(mine.get_by_text("All clear")).to_be_visible()
    mine.get_by_role("button", name="Dismissed").click()
    expect(titles(mine)).to_have_text(["Title a"])
    stored = clients.documents.get(f"tenants/{tenant}/opportunities/a")
    assert stored is not None
    assert (stored["status"], stored["note"], stored["decided_by"]) == (
        "dismissed",
        "It is the season",
        "ann@shop.test",
    )


def test_filters_narrow_the_list_and_stay_in_the_address(clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10)
    put(clients, tenant, "b", 20, severity="low", entity_type="source_medium", entity_id="news / email")
    page = visit()
    expect(titles(page)).to_have_count(2)
    page.get_by_label("Severity").select_option("low")
    expect(titles(page)).to_have_text(["Title b"])
    page.reload()
    expect(titles(page)).to_have_text(["Title b"])
    page.get_by_label("Search").fill("nothing like it")
    page.get_by_role("button", name="Clear filters").click()
    expect(titles(page)).to_have_count(2)


def test_snooze_asks_for_its_day(clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10)
    page = visit()
    page.get_by_label("Status of Title a").select_option("snoozed")
    page.get_by_role("button", name="Cancel").click()
    expect(page.get_by_label("Status of Title a")).to_have_value("new")
    page.get_by_label("Status of Title a").select_option("snoozed")
    page.get_by_role("button", name="In two weeks").click()
    page.get_by_role("button", name="Snooze", exact=True).click()
    expect(titles(page)).to_have_count(0)
    page.get_by_role("button", name="Snoozed").click()
    until = datetime.now(UTC).date() + timedelta(days=14)
    expect(page.locator(".row .when")).to_have_text(f"until {until.day} {until:%b %Y}")
    stored = clients.documents.get(f"tenants/{tenant}/opportunities/a")
    assert stored is not None
    assert (stored["status"], stored["snoozed_until"]) == ("snoozed", until.isoformat())
    titles(page).click()
    later = (until + timedelta(days=7)).isoformat()
    page.get_by_label("Snoozed until").fill(later)
    page.get_by_role("button", name="Save").click()
    expect(page.locator("#decision-said")).to_have_text("Saved")
    page.reload()
    expect(page.locator(".history li").first).to_contain_text(f"by a person: until {later}")


def test_part_of_another_is_shown_under_its_lead_until_it_leads_itself(clients: Clients, tenant: str, visit: Any):
    child = {"detector_id": "page_cvr_drop", "entity_type": "page", "entity_id": "/child", "title": "Title child"}
    put(clients, tenant, "lead", 100, evidence={"children": [{**child, "change": 12.0, "share": 0.25}]})
    put(clients, tenant, "child", 500, entity_id="/child", part_of="lead")
    page = visit()
    expect(titles(page)).to_have_text(["Title lead"])
    expect(page.locator(".row .parts")).to_have_text("Of the same cause: Title child (/child)")
    expect(page.locator("#open-worth")).to_have_text("$80")
    page.get_by_label("Search").fill("/child")
    expect(titles(page)).to_have_text(["Title lead"])
    titles(page).click()
    expect(page.locator(".parts-panel")).to_contain_text("25.00 %")
    page.locator(".parts-panel").get_by_role("link", name="Title child").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Title child")
    expect(page.locator(".lead-link").get_by_role("link")).to_have_text("Title lead")
    page.get_by_role("link", name="All opportunities").click()
    put(clients, tenant, "child", 500, entity_id="/child", part_of=None)
    expect(titles(page)).to_have_text(["Title child", "Title lead"])


def test_list_is_ranked_by_the_ranking_that_is_stored(clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10, ranking=900.0)
    put(clients, tenant, "b", 500, ranking=20.0)
    expect(titles(visit())).to_have_text(["Title a", "Title b"])


def test_outcome_and_hit_rate_are_told(clients: Clients, tenant: str, visit: Any):
    outcome = {
        "verdict": "paid", "metric": "conversions / sessions", "before": 0.011, "after": 0.019, "peers": 12,
        "compared_with": "peers", "peers_change": -0.04, "effect": 0.8, "effect_low": 0.31, "effect_high": 1.4,
        "gained_value": 1234.0, "currency": "USD",
    }  # fmt: skip
    put(clients, tenant, "a", 10, status="completed", completed_at=NOW, outcome=outcome)
    put(clients, tenant, "b", 5, status="completed", completed_at=NOW)
    rate = {"detector_id": "page_cvr_drop", "completed": 2, "measured": 1, "paid": 1, "did_not_pay": 0, "unclear": 0}
    more = {"hit_rate": 1.0, "gained_value": 1234.0, "currency": "USD"}
    clients.documents.put(f"tenants/{tenant}/detector_hit_rates/page_cvr_drop", {**rate, **more})
    page = visit()
    expect(page.locator(".rates-panel tbody")).to_contain_text("100 %")
    expect(page.locator(".rates-panel tbody")).to_contain_text("$1,234")
    page.get_by_role("button", name="Completed").click()
    expect(page.locator(".row .when")).to_have_text(["It paid", "on 16 Mar 2026"])
    titles(page).first.click()
    panel = page.locator(".outcome-panel")
    for said in (
        "It paid",
        "Conversion rate: +80 % beyond what 12 peers did",
        "1.10 %",
        "1.90 %",
        "−4.0 %",
        "+31 % to +140 %",
        "$1,234",
    ):
        expect(panel).to_contain_text(said)
    visit("opportunities/b")


def test_progress_of_a_run_is_shown_while_it_runs(clients: Clients, tenant: str, visit: Any):
    page = visit()
    with clients.progress.track(f"{tenant}-run", "detectors", tenant) as run:
        run.step("judging", done=3, total=12, counts={"findings": 5})
        time.sleep(THROTTLE.total_seconds())
        run.step("judging")
        cell = page.locator("#strip li", has_text="Detectors")
        expect(cell).to_contain_text("3 of 12")
        expect(cell).to_contain_text("5 findings so far")
        run.finish({"findings": 7})
    expect(cell).to_contain_text("7 findings")
    expect(cell).to_have_attribute("data-state", "done")


def test_copies_and_comparisons_are_shown_with_what_they_found(clients: Clients, tenant: str, visit: Any):
    page = visit()
    cells = page.locator("#data li")
    clients.ops.put(f"backfills/{tenant}-b", {"collection_path": f"tenants/{tenant}/things"})
    with clients.progress.track(f"{tenant}-b", "backfill", tenant) as run:
        run.step("copying", done=3, total=12)
        time.sleep(THROTTLE.total_seconds())
        run.step("copying")
        expect(cells.filter(has_text="Copy of things")).to_contain_text("3 of 12")
        run.finish({"added": 11, "refused": 1})
    expect(cells.filter(has_text="Copy of things")).to_contain_text("11 added, 1 refused")
    compared = {"subject": f"tenants/{tenant}/things", "counts": {"equal": 9, "missing": 2}, "repairs": {}}
    clients.ops.put(f"verifications/{tenant}-v", compared)
    with clients.progress.track(f"{tenant}-v", "verify", tenant) as run:
        run.finish(compared["counts"])
    found = cells.filter(has_text="Comparison of things")
    expect(found).to_contain_text("2 missing")
    expect(found).to_have_attribute("data-state", "failed")


def test_sources_show_what_is_wrong_and_are_tested_by_a_button(clients: Clients, tenant: str, visit: Any):
    settings = {"ga4": {"property_id": SAMPLE_PROPERTY}, "stripe": {}}
    stored = clients.documents.get(f"tenants/{tenant}") or {}
    clients.documents.put(f"tenants/{tenant}", {**stored, "sources": settings})
    states = SourceStates(clients.ops)
    states.answered(tenant, "ga4", synced=True)
    entry = Arrivals(
        run_id="sync-1",
        tenant_id=tenant,
        source="ga4",
        collection_name="ga_landing_pages",
        pages={"0": {LAST_DAY.isoformat(): 2}},
        reported=4210,
        complete=True,
        arrived=2,
        lost=4208,
        finished_at=NOW,
    )
    clients.ops.put("arrivals/sync-1:ga_landing_pages", entry.document())
    page = visit(viewport={"width": 390, "height": 844})
    cells, troubles = page.locator("#sources li"), page.locator("#troubles li")
    expect(cells.first).to_contain_text("4,208 rows lost")
    expect(cells.first).to_have_attribute("data-state", "failed")
    expect(cells.last).to_contain_text("Not asked yet")
    expect(troubles).to_have_count(1)
    expect(troubles).to_contain_text("2 of 4,210 rows that the source reported came")
    page.get_by_role("button", name="Show Google Analytics 4").click()
    expect(page.locator("#ledger tbody tr")).to_have_text(re.compile("ga_landing_pages.*4,210.*2.*0.*2.*0.*4,208"))
    page.get_by_role("button", name="Test connection").click()
    expect(page.locator("#source-said")).to_contain_text(f"It answers: {SAMPLE_PROPERTY}")
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.get_by_role("button", name="Close").click()
    expect(page.get_by_role("region", name="Google Analytics 4")).to_have_count(0)
    cells.last.get_by_role("button").click()
    page.get_by_role("button", name="Sync", exact=True).click()
    expect(cells.last).to_contain_text("Credentials refused")
    expect(troubles.last).to_contain_text(f"secret scout-{tenant}-stripe")
    expect(page.get_by_role("button", name="Sync", exact=True)).to_be_enabled()


def test_a_sync_is_shown_on_its_source_while_it_runs(clients: Clients, tenant: str, visit: Any):
    stored = clients.documents.get(f"tenants/{tenant}") or {}
    clients.documents.put(f"tenants/{tenant}", {**stored, "sources": {"ga4": {"property_id": SAMPLE_PROPERTY}}})
    page = visit()
    cell = page.locator("#sources li")
    expect(cell).to_have_attribute("data-state", "")
    with clients.progress.track(f"sync-ga4-{tenant}-1", "sync", tenant) as tracker:
        tracker.step("ga_page_performance", done=1234)
        time.sleep(THROTTLE.total_seconds())
        tracker.step("ga_page_performance")
        expect(cell).to_contain_text("1,234 documents")
        expect(cell).to_contain_text("ga_page_performance")
        expect(cell).to_have_attribute("data-state", "running")
        cell.get_by_role("button").click()
        expect(page.locator("#source-sync")).to_be_disabled()
    SourceStates(clients.ops).answered(tenant, "ga4", synced=True)
    expect(cell).to_have_attribute("data-state", "done")
    expect(page.get_by_role("button", name="Sync", exact=True)).to_be_enabled()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [390, 1280])
def test_opportunity_shows_its_evidence_and_figures(clients: Clients, tenant: str, visit: Any, width: int, scheme: str):
    put(clients, tenant, "a", 1234)
    page = visit("opportunities/a", viewport={"width": width, "height": 900}, color_scheme=scheme)
    expect(page.locator(".uplot canvas")).to_have_count(3)
    for said in ("$1,234", "$617 to $2,468", "80 %", "25,600", "Compare with the state before", "9 – 15 Mar 2026"):
        expect(page.locator("main")).to_contain_text(said)
    # The line and the shaded windows are really drawn: a blank canvas has one colour.
    colours = page.evaluate(
        """() => {
          const canvas = document.querySelector(".uplot canvas");
          const { data } = canvas.getContext("2d").getImageData(0, 0, canvas.width, canvas.height);
          return new Set(new Uint32Array(data.buffer)).size;
        }"""
    )
    assert colours > 4
    assert page.evaluate("document.documentElement.scrollWidth") <= width


def test_list_fits_a_phone(clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10, entity_id="/a-very-long-path/" + "x" * 180, title="A title that is rather long " * 4)
    page = visit(viewport={"width": 390, "height": 844})
    expect(titles(page)).to_have_count(1)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390


def test_what_documents_hold_is_text_and_never_a_script(clients: Clients, tenant: str, visit: Any):
    evil = "<img src=x onerror=\"document.title='owned'\">"
    put(clients, tenant, "a", 10, title=evil, entity_id=evil, recommendation=evil, evidence={"fact": evil})
    page = visit()
    expect(titles(page)).to_have_text([evil])
    titles(page).click()
    expect(page.get_by_role("heading", level=1)).to_have_text(evil)
    expect(page).to_have_title(re.compile("^<img"))


def test_page_catches_up_after_its_server_died(cloud: LocalCloud, clients: Clients, tenant: str, visit: Any):
    put(clients, tenant, "a", 10)
    page = visit()
    expect(titles(page)).to_have_text(["Title a"])
    cloud.kill_function("dashboard")
    expect(page.locator("#connection")).to_have_attribute("data-state", "lost")
    put(clients, tenant, "b", 20)
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    expect(titles(page)).to_have_text(["Title b", "Title a"])


def test_operator_chooses_a_tenant(cloud: LocalCloud, chromium: Browser, clients: Clients, tenant: str):
    clients.documents.put("tenants/another", {"tenant_id": "another", "name": "Another"})
    page = chromium.new_page()
    page.goto(f"{cloud.url('dashboard')}#token={cloud.token()}")
    page.get_by_role("link", name=re.compile(tenant)).click()
    expect(page.locator("#connection")).to_have_attribute("data-state", "live")
    page.close()
