"""The function over fakes: who may ask for what, and what a repeat does."""

import base64
from datetime import UTC, date, datetime, timedelta

import pytest

from functions.run_detectors.main import handle
from shared.analytics.messages import EtlFinished
from shared.analytics.records import RETENTION_DAYS
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import statements_of
from shared.detectors.judgement import Judged
from shared.detectors.messages import DetectorRunFinished, DetectorsRequested
from shared.detectors.muting import Mutes
from shared.errors import Unavailable
from tests.fakes import FakeDocuments, FakePublisher, ScriptedWarehouse, fake_clients, posted, pushed

NOW = datetime.now(UTC)
TODAY = NOW.date()


@pytest.fixture
def clients():
    clients = fake_clients(
        "acme",
        "other",
        ops=FakeDocuments(),
        publisher=FakePublisher(),
        warehouse=ScriptedWarehouse(),
    )
    clients.documents.documents["tenants/acme"] |= {
        "created_at": NOW,
        "updated_at": NOW,
        "sources": {"ga4": {"settling_days": 3}},
    }
    return clients


def _runs(clients):
    return {path: run for path, run in clients.ops.documents.items() if path.startswith("detector_runs/")}


def test_a_person_is_answered_at_once_and_the_run_is_published(clients):
    answer = handle(posted({"tenant_id": "acme", "as_of": "2026-10-18"}), clients)
    assert answer.status_code == 202
    run_id = answer.get_json()["run_id"]
    expected = DetectorsRequested(tenant_id="acme", as_of=date(2026, 10, 18), run_id=run_id)
    assert clients.publisher.messages == [expected]
    assert clients.ops.documents[f"progress/{run_id}"]["status"] == "requested"


def test_a_list_of_tenants_is_a_message_each(clients):
    answer = handle(posted({"tenant_ids": ["acme", "nobody", "other", "acme"]}, "operator"), clients)
    assert answer.status_code == 202
    assert [message.tenant_id for message in clients.publisher.messages] == ["acme", "other"]
    assert answer.get_json()["run_ids"] == [message.run_id for message in clients.publisher.messages]


def test_a_person_cannot_ask_for_others(clients):
    assert handle(posted({"tenant_ids": ["acme", "other"]}, "acme"), clients).status_code == 403
    assert clients.publisher.messages == []


def test_no_data_is_said_of_every_detector(clients):
    handle(pushed({"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}), clients)
    run = clients.ops.documents["detector_runs/r1"]
    assert run["ran"] == []
    assert set(run["muted"]) == {detector.id for detector in catalogue()}
    assert clients.ops.documents["progress/r1"]["status"] == "done"
    assert clients.publisher.messages == [DetectorRunFinished(tenant_id="acme", run_id="r1")]


def test_delivered_twice_is_one_run(clients):
    message = {"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}
    handle(pushed(message), clients)
    first = _runs(clients)
    handle(pushed(message), clients)
    for run in (*first.values(), *_runs(clients).values()):
        run.pop("finished_at")
    assert _runs(clients) == first
    assert len(clients.publisher.messages) == 2


def test_the_run_after_an_etl_takes_its_name_and_judges_the_last_settled_day(clients):
    data = base64.b64encode(EtlFinished(tenant_id="acme", run_id="etl-7").model_dump_json().encode()).decode()
    envelope = {"message": {"data": data, "messageId": "1"}, "subscription": "projects/p/subscriptions/x--etl-finished"}
    assert handle(posted(envelope), clients).status_code == 204
    assert clients.ops.documents["detector_runs/detectors-etl-7"]["as_of"] == (TODAY - timedelta(days=4)).isoformat()


def test_a_detector_that_the_tenant_switched_off_is_muted(clients):
    clients.documents.documents["tenants/acme"]["detectors"] = {"page_cvr_drop": {"enabled": False}}
    handle(pushed({"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}), clients)
    assert clients.ops.documents["detector_runs/r1"]["muted"]["page_cvr_drop"].startswith("switched off")


@pytest.mark.parametrize(
    ("body", "token", "status"),
    [
        ({"tenant_id": "acme"}, None, 401),
        ({"tenant_id": "other"}, "acme", 403),
        ({"tenant_id": "nobody"}, "operator", 404),
        ({}, "operator", 422),
        ({"tenant_id": "acme", "as_of": (TODAY + timedelta(days=1)).isoformat()}, "operator", 422),
        ({"tenant_id": "acme", "as_of": (TODAY - timedelta(days=RETENTION_DAYS + 1)).isoformat()}, "operator", 422),
        ({"tenant_id": "acme", "as_of": "0001-01-01"}, "operator", 422),
        ({"tenant_id": "acme", "as_of": "yesterday"}, "operator", 422),
        ({"tenant_id": "acme", "asof": "2026-10-18"}, "operator", 422),
        ({"tenant_id": 7}, "operator", 422),
        ({"explain": "nobody"}, "operator", 404),
        (b"{", "operator", 422),
        (b" " * ((1 << 21) + 1), "operator", 413),
    ],
)
def test_refuses_and_writes_nothing(clients, body, token, status):
    answer = handle(posted(body, token), clients)
    assert answer.status_code == status
    assert answer.content_type == "application/problem+json"
    assert clients.publisher.messages == []
    assert clients.ops.documents == {}


def test_the_first_day_that_is_kept_and_today_may_be_judged(clients):
    for day in (TODAY - timedelta(days=RETENTION_DAYS), TODAY):
        assert handle(posted({"tenant_id": "acme", "as_of": day.isoformat()}), clients).status_code == 202


@pytest.mark.parametrize("days", [-1, RETENTION_DAYS + 1])
def test_a_message_about_a_day_without_data_is_set_aside(clients, days):
    day = (TODAY - timedelta(days=days)).isoformat()
    assert handle(pushed({"tenant_id": "acme", "as_of": day, "run_id": "r1"}), clients).status_code == 204
    [letter] = [kept for path, kept in clients.ops.documents.items() if path.startswith("dead_letters/")]
    assert letter["reason"] == "BadRequest"
    assert letter["fields"]["errors"][0]["field"] == "as_of"
    assert _runs(clients) == {}


def test_the_unreadable_is_set_aside(clients):
    assert handle(pushed(b"not json"), clients).status_code == 204
    assert [path for path in clients.ops.documents if path.startswith("dead_letters/")]


def test_explains_a_detector_to_whoever_asks(clients):
    answer = handle(posted({"explain": "page_cvr_drop"}, "acme"), clients)
    assert answer.status_code == 200
    assert "aso_tenant_acme.daily_entity_metrics" in answer.get_json()["statements"]["days"]


def test_explains_with_the_thresholds_of_the_tenant(clients):
    wanted = {"thresholds": {"min_sessions": 900}}
    clients.documents.documents["tenants/acme"]["detectors"] = {"page_cvr_drop": wanted}
    told = handle(posted({"explain": "page_cvr_drop", "tenant_id": "acme"}, "acme"), clients).get_json()
    assert told["thresholds"]["min_sessions"] == 900
    assert told["override_refused"] is None


@pytest.mark.parametrize(
    ("override", "reason"),
    [
        (
            {"thresholds": {"min_session": 9}},
            "thresholds.min_session: it has no such threshold; it has large_conversions",
        ),
        ({"thresholds": {"min_sessions": "many"}}, "thresholds.min_sessions: Input should be a valid number"),
        ({"thresholds": {"min_sessions": 1e300}}, "thresholds.min_sessions: a number of at most 1,000,000,000"),
        ({"thresholds": {"min_sessions": float("nan")}}, "thresholds.min_sessions: Input should be a finite number"),
        ({"thresholds": {"min_sessions": -1}}, "thresholds.min_sessions: a number of at least 0"),
        ({"enable": False}, "enable: Extra inputs are not permitted"),
        (7, "the detector: Input should be a valid dictionary"),
    ],
)
def test_a_wrong_override_mutes_its_detector_and_says_why(clients, override, reason):
    clients.documents.documents["tenants/acme"]["detectors"] = {"page_cvr_drop": override}
    handle(pushed({"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}), clients)
    assert reason in clients.ops.documents["detector_runs/r1"]["muted"]["page_cvr_drop"]


def test_a_statement_that_fails_silences_only_what_stands_on_it_and_is_tried_again(clients):
    class Failing(ScriptedWarehouse):
        def columns(self, sql, into, **parameters):
            if "scan_year" in into:
                raise Unavailable("BigQuery is not available")
            return super().columns(sql, into, **parameters)

    clients.warehouse = Failing()
    answer = handle(pushed({"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}), clients)
    assert answer.status_code == 503
    muted = clients.ops.documents["detector_runs/r1"]["muted"]
    failed = {name for name, reason in muted.items() if reason.startswith("its statement failed: Unavailable")}
    assert failed == {one.id for one in catalogue() if "year" in statements_of(one)}
    assert "channel_revenue_drop" in failed
    assert "page_cvr_drop" not in failed
    assert clients.publisher.messages == [DetectorRunFinished(tenant_id="acme", run_id="r1")]


def test_a_declaration_that_fails_on_a_tenants_data_takes_no_other_with_it(clients, mocker):
    def judged(run, detector, table):
        if detector.id == "page_cvr_drop":
            raise ZeroDivisionError
        return Judged(tested=1)

    mocker.patch("shared.detectors.service.judge", judged)
    mocker.patch.object(Mutes, "silences", return_value=False)
    assert handle(pushed({"tenant_id": "acme", "as_of": "2026-10-18", "run_id": "r1"}), clients).status_code == 204
    run = clients.ops.documents["detector_runs/r1"]
    assert run["muted"] == {"page_cvr_drop": "it failed: ZeroDivisionError"}
    assert len(run["ran"]) == len(catalogue()) - 1
    assert clients.publisher.messages == [DetectorRunFinished(tenant_id="acme", run_id="r1")]


def test_no_day_is_judged_that_one_of_the_sources_still_restates(clients):
    sources = {
        "ga4": {"settling_days": 1},
        "google_ads": {"settling_days": 5},
        "old": {"settling_days": 9, "enabled": False},
    }
    clients.documents.documents["tenants/acme"]["sources"] = sources
    handle(pushed({"tenant_id": "acme", "run_id": "r1"}), clients)
    assert clients.ops.documents["detector_runs/r1"]["as_of"] == (TODAY - timedelta(days=6)).isoformat()
