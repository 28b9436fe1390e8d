"""The main loop on the sample: what `make run ONCE=1` says, against what the stores hold and a person sees.

Every finding is computed a second time from the raw documents (recomputation.py). The tests run in order: those that
only read come first, then those in which people and further runs change things.
"""

import json
import math
from collections.abc import Callable
from datetime import date, datetime
from typing import Any

import httpx
import pytest
from playwright.sync_api import Page, expect

from infra.local.cloud import LocalCloud
from infra.local.run import TENANT
from infra.local.sample import Incident, Sample, shop
from shared.detectors.catalogue import catalogue
from shared.detectors.homes import sources_of
from shared.ops.records import Arrivals
from shared.runtime.clients import Clients
from shared.schema.registry import streamed_records
from shared.sources.source import source_collections
from tests.end_to_end.conftest import SampleRun
from tests.end_to_end.recomputation import FALSE_DISCOVERY_RATE, Recomputation, Verdict

DATASET = f"aso_tenant_{TENANT}"
TIMEOUT_SECONDS = 120
CONTRACT = (
    "detector_id", "entity_type", "entity_id", "direction", "confidence_score", "estimated_value", "severity",
    "recommendation", "evidence", "status", "detected_at", "updated_at",
)  # fmt: skip
RAW = (
    "ga_property_totals", "ga_traffic_sources", "ga_device_metrics", "ga_funnel_events", "ga_landing_pages",
    "ga_page_performance",
)  # fmt: skip
REAL = ("source_medium", "channel", "campaign")
"""Entity types whose detectors read nothing but published daily figures."""

Values = dict[str, Any]
Finished = Callable[[str], None]
Visit = Callable[..., Page]


def incidents() -> list[Incident]:
    """Those of the web, which are computed a second time here."""
    return Sample.load().incidents()


def collections() -> list[str]:
    """Every collection that a sync writes."""
    return list(source_collections())


def opportunities(clients: Clients) -> dict[str, Values]:
    return {path.rpartition("/")[2]: each for path, each in clients.documents.find(f"tenants/{TENANT}/opportunities")}


def parts(found: Any) -> list[tuple[str, str]]:
    """Findings that have no opportunity of their own: the one that leads lists them."""
    listed = [part for each in found.values() for part in each["evidence"].get("children") or []]
    return [(part["detector_id"], part["entity_id"]) for part in listed]


def letters(clients: Clients) -> list[Values]:
    """Dead letters of the sample's tenant; other tests may have their own."""
    return [each for _, each in clients.ops.find("dead_letters", where=[("tenant_id", "==", TENANT)])]


@pytest.fixture(scope="package")
def tenant(sample_run: SampleRun) -> str:
    return TENANT


@pytest.fixture(scope="package")
def found(clients: Clients, sample_run: SampleRun) -> dict[tuple[str, str], Values]:
    """Opportunities as the run left them, by detector and entity."""
    return {(each["detector_id"], each["entity_id"]): each for each in opportunities(clients).values()}


@pytest.fixture(scope="package")
def recomputed(clients: Clients, found: dict[tuple[str, str], Values]) -> Recomputation:
    """The second computation, from Firestore's raw documents as the official client reads them."""
    raw = {
        name: [each.to_dict() for each in clients.documents.client.collection(f"tenants/{TENANT}/{name}").stream()]
        for name in RAW
    }
    [as_of] = {each["as_of"] for each in found.values()}
    return Recomputation(raw, date.fromisoformat(as_of))


@pytest.fixture(scope="package")
def verdicts(recomputed: Recomputation) -> dict[str, dict[str, Verdict]]:
    return recomputed.all()


# --- the summary ----------------------------------------------------------------------------------------------------


def test_run_ends_well_and_loses_nothing(sample_run: SampleRun):
    summary = sample_run.summary
    assert (sample_run.exit_code, summary["failures"], summary["leaks"], summary["deaths"]) == (0, [], [], {})
    assert summary["documents_written"] == summary["rows_streamed"] > 1_000
    assert (summary["rows_refused"], summary["dead_letters"]) == (0, 0)
    assert summary["events_delivered"] >= summary["documents_written"]
    assert summary["metric_rows"] > 0
    assert summary["entities"] > 0
    assert summary["detectors_run"] >= 60
    assert set(summary["seconds"]) >= {"start", "sync", "stream and etl", "detectors", "opportunities"}


def test_summary_says_what_the_stores_hold(clients: Clients, sample_run: SampleRun, found: Any):
    summary = sample_run.summary
    written = sum(clients.documents.count(f"tenants/{TENANT}/{name}") for name in collections())
    rows = sum(_count(clients, f"SELECT document_name FROM `{DATASET}.{name}`") for name in collections())
    assert (summary["documents_written"], summary["rows_streamed"]) == (written, rows)
    for name in RAW:
        assert clients.documents.count(f"tenants/{TENANT}/{name}") == len(Sample.load().report(name))
    assert summary["metric_rows"] == _count(clients, f"SELECT date FROM `{DATASET}.daily_entity_metrics`")
    assert summary["opportunities"] == len(found) == len(opportunities(clients))
    assert summary["opportunities"] + len(parts(found)) == summary["findings"]
    assert letters(clients) == []


def test_every_core_detector_of_these_domains_has_rows_to_judge(clients: Clients, sample_run: SampleRun):
    domains = {"email", "revenue", "subscription", "customer", "keyword", "content", "campaign", "ad_group"}
    core = {each.id for each in catalogue() if each.domain in domains and each.tier == "core"}
    [*_, account] = sorted(
        (each for _, each in clients.ops.find("detector_runs", where=[("tenant_id", "==", TENANT)])),
        key=lambda each: each["finished_at"],
    )
    muted = account["muted"]
    mute = {name: why for name, why in muted.items() if name in core and why.startswith("no data")}
    # It compares with the best of twelve months, of which the sample has three.
    assert set(mute) == {"content_decay"}


def test_ten_opportunities_of_four_detectors_or_more(found: Any):
    assert len(found) >= 10
    assert len({detector for detector, _ in found}) >= 4


def test_every_disclosed_incident_is_found(sample_run: SampleRun, found: Any):
    told = {*found, *parts(found)}
    missed = [each.id for each in incidents() if (each.detector, each.entity) not in told]
    assert missed + [each for each in shop.PLANTED if not each.is_among(told)] == []
    assert sample_run.summary["incidents_found"] == sample_run.summary["incidents_disclosed"] >= 40


# --- computed a second time -----------------------------------------------------------------------------------------


def test_detectors_find_what_the_raw_documents_say_and_nothing_else(found: Any, verdicts: Any):
    for detector, judged in verdicts.items():
        wanted = {entity for entity, verdict in judged.items() if verdict.found}
        assert {entity for name, entity in (*found, *parts(found)) if name == detector} == wanted, detector


@pytest.mark.parametrize("incident", incidents(), ids=lambda each: each.id)
def test_incident_is_recomputed_from_the_raw_documents(found: Any, verdicts: Any, incident: Incident):
    verdict = verdicts[incident.detector][incident.entity]
    assert verdict.found
    stored = found.get((incident.detector, incident.entity))
    if stored is None:
        # Another finding leads it, and has the evidence.
        assert (incident.detector, incident.entity) in parts(found)
        return
    evidence = stored["evidence"]
    numbers = {name: value for name, value in evidence["numbers"].items() if name != "entity_id"}
    assert verdict.numbers == pytest.approx(numbers, rel=1e-9)
    assert evidence["test"]["p_value"] == pytest.approx(verdict.p_value, rel=1e-6)
    assert evidence["test"]["q_value"] == pytest.approx(verdict.q_value, rel=1e-6)
    assert evidence["test"]["tested"] == verdict.tested
    assert stored["confidence_score"] == pytest.approx(verdict.confidence, abs=1e-4)
    assert stored["severity"] == verdict.severity
    value = stored["estimated_value"]
    if verdict.value is None:
        assert value["mid"] is None
        assert value["reason"]
    else:
        assert (value["low"], value["mid"], value["high"]) == pytest.approx(verdict.value, abs=0.01)
        assert value["currency"] == "USD"
    window = evidence["windows"]["cur"]
    assert date.fromisoformat(window["last"]) == date.fromisoformat(stored["as_of"])
    assert incident.first_day <= date.fromisoformat(window["last"]) <= incident.last_day


def test_beyond_the_incidents_there_is_no_more_than_the_false_discovery_rate_allows(
    sample_run: SampleRun, found: Any, recomputed: Recomputation
):
    """Of R findings at a false discovery rate of q no more than q x R may be expected to be false: that many are
    allowed, rounded down.

    A finding counts as true where it was disclosed, or where it speaks of a level and days that it did not read, and
    that no incident touches, show that level by a test of their own. What speaks of wholly real figures, where nobody
    knows the truth, counts apart.
    """
    disclosed = {(each.detector, each.entity) for each in incidents()}
    of_the_web = {each.id for each in catalogue() if set(sources_of(each)) <= set(RAW)}
    beyond = {key: each for key, each in found.items() if key not in disclosed and key[0] in of_the_web}
    in_real_figures = {key for key, each in beyond.items() if each["entity_type"] in REAL}
    unconfirmed = [
        key
        for key, each in beyond.items()
        if key not in in_real_figures and not (each["direction"] == "level" and recomputed.confirms(*key))
    ]
    allowed = math.floor(FALSE_DISCOVERY_RATE * (len(found) - len(in_real_figures)))
    assert len(unconfirmed) <= allowed, unconfirmed


# --- documents and rows ---------------------------------------------------------------------------------------------


def test_opportunities_say_what_the_contract_demands(found: Any):
    for each in found.values():
        assert set(CONTRACT) <= set(each)
        assert each["direction"] in ("down", "up", "level")
        assert 0 <= each["confidence_score"] <= 1
        assert each["severity"] in ("low", "medium", "high", "critical")
        assert each["status"] == "new"
        assert each["recommendation"]
        assert each["detected_at"] <= each["updated_at"]
        value = each["estimated_value"]
        if value["reason"] is None:
            assert 0 <= value["low"] <= value["mid"] <= value["high"]
            assert value["currency"]
        else:
            assert (value["low"], value["mid"], value["high"]) == (None, None, None)


def test_rows_of_opportunities_equal_the_documents(cloud: LocalCloud, clients: Clients, found: Any):
    _rows_equal_documents(cloud, clients)


def _rows_equal_documents(cloud: LocalCloud, clients: Clients) -> None:
    cloud.drain(TIMEOUT_SECONDS)
    stored = opportunities(clients)
    rows = _rows(
        clients, f"SELECT * EXCEPT (evidence), TO_JSON_STRING(evidence) AS evidence FROM `{DATASET}.opportunities`"
    )
    assert len(rows) == len(stored) > 0
    for row in rows:
        document = stored[row["opportunity_id"]]
        assert {name: _plain(name, row[name]) for name in document} == {
            name: _plain(name, value) for name, value in document.items()
        }


def _plain(name: str, value: Any) -> Any:
    """A value of either store: times to the microsecond, days as text, JSON read."""
    if isinstance(value, datetime):
        return value.timestamp()
    if isinstance(value, date):
        return value.isoformat()
    if name == "evidence":
        return _numbers(json.loads(value) if isinstance(value, str) else value)
    return value


def _numbers(value: Any) -> Any:
    """JSON as BigQuery may write it: 28.0 is 28."""
    if isinstance(value, dict):
        return {key: _numbers(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [_numbers(inner) for inner in value]
    return float(value) if isinstance(value, int | float) and not isinstance(value, bool) else value


def _rows(clients: Clients, sql: str) -> list[Values]:
    return clients.warehouse.query(sql)


# --- people and further runs ----------------------------------------------------------------------------------------


def titles(page: Page) -> Any:
    return page.locator(".row .title")


def an_opportunity_of_a_page(found: Any) -> Values:
    """One of the disclosed incidents of pages that leads its own opportunity."""
    disclosed = {(each.detector, each.entity) for each in incidents() if each.entity_type == "page"}
    each: Values = next(each for key, each in sorted(found.items()) if key in disclosed)
    return each


def run_detectors(cloud: LocalCloud, finished: Finished, as_of: str) -> None:
    """Run the catalogue once more, as an operator does, until its opportunities are written."""
    run_id = post(cloud, "run_detectors", {"tenant_id": TENANT, "as_of": as_of})["run_id"]
    finished(f"{run_id}-opportunities")


def post(cloud: LocalCloud, function: str, body: Values) -> Values:
    answer = httpx.post(cloud.url(function), json=body, headers=cloud.auth(), timeout=TIMEOUT_SECONDS)
    assert answer.status_code in (200, 202), answer.text
    said: Values = answer.json()
    return said


def test_page_shows_the_opportunities_and_what_a_run_writes_appears_by_itself(
    cloud: LocalCloud, clients: Clients, found: Any, visit: Visit, finished: Finished
):
    page = visit()
    expect(titles(page)).to_have_count(len(found))
    shown = sorted(titles(page).all_inner_texts())
    assert shown == sorted(each["title"] for each in found.values())
    for each in found.values():
        expect(page.locator("main")).to_contain_text(each["entity_id"])

    lost = an_opportunity_of_a_page(found)
    clients.documents.delete(f"tenants/{TENANT}/opportunities/{lost['opportunity_id']}")
    expect(titles(page)).to_have_count(len(found) - 1)
    run_detectors(cloud, finished, lost["as_of"])
    expect(titles(page)).to_have_count(len(found))
    alike = [each for each in found.values() if lost["title"] in each["title"]]
    expect(titles(page).filter(has_text=lost["title"])).to_have_count(len(alike))
    again = opportunities(clients)[lost["opportunity_id"]]
    assert again["evidence"] == lost["evidence"]


def test_page_of_an_opportunity_shows_its_evidence_and_the_days_behind_it(found: Any, visit: Visit):
    each = an_opportunity_of_a_page(found)
    page = visit(f"opportunities/{each['opportunity_id']}")
    expect(page.get_by_role("heading", level=1)).to_have_text(each["title"])
    expect(page.locator("main")).to_contain_text(each["recommendation"])
    expect(page.locator("main")).to_contain_text(f"{int(each['evidence']['numbers']['base_sessions']):,}")
    expect(page.locator(".uplot canvas").first).to_be_visible()


def test_decision_of_a_person_is_stored_and_survives_the_next_run(
    cloud: LocalCloud, clients: Clients, found: Any, visit: Visit, finished: Finished
):
    each = found["funnel_step_drop", "view_item"]
    page = visit(f"opportunities/{each['opportunity_id']}")
    page.get_by_label("Status").select_option("dismissed")
    page.get_by_label("Note").fill("The new product pages load later")
    page.get_by_role("button", name="Save").click()
    watching = visit()
    expect(titles(watching)).to_have_count(len(found) - 1)
    decided = opportunities(clients)[each["opportunity_id"]]
    wanted = ("dismissed", "The new product pages load later", "ann@shop.test")
    assert (decided["status"], decided["note"], decided["decided_by"]) == wanted

    run_detectors(cloud, finished, each["as_of"])
    assert opportunities(clients)[each["opportunity_id"]] == decided
    watching.reload()
    expect(titles(watching)).to_have_count(len(found) - 1)


def test_second_sync_etl_and_detector_run_of_the_day_change_no_opportunity(
    cloud: LocalCloud, clients: Clients, sample_run: SampleRun, found: Any, finished: Finished
):
    before = opportunities(clients)
    # What the data tell of themselves counts loads, and this is one more.
    of_the_shop = (
        f"SELECT COUNT(*) AS n, MAX(updated_at) AS last FROM `{DATASET}.daily_entity_metrics` "
        "WHERE entity_type NOT IN ('source_table', 'table_column', 'arrival')"
    )
    metrics = _rows(clients, of_the_shop)
    run_id = post(cloud, "sync_source", {"tenant_id": TENANT, "source": "ga4"})["run_id"]
    finished(f"detectors-etl-{run_id}-opportunities")
    cloud.drain(TIMEOUT_SECONDS)
    synced = clients.progress.get(run_id)
    assert synced is not None
    assert synced.done > 0, "the restated days are pulled again"
    ledger = [values for _, values in clients.ops.find("arrivals", where=[("run_id", "==", run_id)])]
    assert sum(sum(Arrivals.model_validate(each).days_unchanged().values()) for each in ledger) == synced.done
    assert sum(sum(Arrivals.model_validate(each).days().values()) for each in ledger) == 0, "nothing is written again"
    etl = clients.progress.get(f"etl-{run_id}")
    assert etl is not None
    assert etl.counts["days"] > 0
    assert etl.counts["leaks"] == 0
    account = clients.ops.get(f"detector_runs/detectors-etl-{run_id}")
    assert account is not None
    assert account["findings"] == len(before) + len(parts(found))
    after = opportunities(clients)
    assert after.keys() == before.keys()
    changed = {
        key: {name: (before[key].get(name), value) for name, value in each.items() if before[key].get(name) != value}
        for key, each in after.items()
    }
    assert {key: each for key, each in changed.items() if each} == {}
    assert metrics == _rows(clients, of_the_shop)
    assert clients.documents.count(f"tenants/{TENANT}/ga_page_performance") == len(
        Sample.load().report("ga_page_performance")
    )
    assert letters(clients) == []


def test_rows_equal_documents_after_a_delete_a_decision_and_further_runs(cloud: LocalCloud, clients: Clients):
    _rows_equal_documents(cloud, clients)


def test_current_tables_equal_the_views_once_merged(cloud: LocalCloud, clients: Clients, sample_run: SampleRun):
    said = post(cloud, "merge_changes", {"tenant_id": TENANT, "force": True})
    tables = {record.table.table for record in streamed_records() if record.table}
    assert {each["table"].partition(".")[2] for each in said["tables"]} == tables
    assert all(each["status"] in ("merged", "empty") for each in said["tables"])
    # Nobody has completed an opportunity yet: there is no hit rate.
    for table in sorted(tables - {"detector_hit_rates"}):
        columns = ", ".join(_comparable(clients, table))
        live = f"SELECT {columns} FROM `{DATASET}.{table}`"
        base = f"SELECT {columns} FROM `{DATASET}.{table}_base` WHERE NOT deleted AND refused_reason IS NULL"
        assert _count(clients, base) == _count(clients, live) > 0, table
        assert _count(clients, f"{live} EXCEPT DISTINCT {base}") == 0, table


def _comparable(clients: Clients, table: str) -> list[str]:
    """Every column of a view; those that SQL does not compare, as text."""
    [row] = _rows(clients, f"SELECT * FROM `{DATASET}.{table}` LIMIT 1")
    return [f"TO_JSON_STRING({name})" if isinstance(value, dict) else name for name, value in row.items()]


def _count(clients: Clients, sql: str) -> int:
    return int(_rows(clients, f"SELECT COUNT(*) AS n FROM ({sql})")[0]["n"])
