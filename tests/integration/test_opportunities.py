"""A finished run becomes opportunities, through the real functions on the emulators; browsers hear of it."""

import contextlib
import queue
import threading
import uuid
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import orjson
import pytest

from infra.local.cloud import LocalCloud
from shared.analytics.records import DailyEntityMetrics
from shared.detectors.messages import DetectorRunFinished
from shared.detectors.records import Finding
from shared.opportunities import lifecycle
from shared.ops.records import StageCount
from shared.runtime.clients import Clients
from shared.schema.bigquery import plain_table
from shared.settings import Settings
from shared.tenants.records import Tenant
from tests.unit.opportunities.samples import finding, run

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("write_opportunities", "dashboard", "invalidate_cache")
WAIT_SECONDS = 30


@pytest.fixture(scope="module")
def cloud(tmp_path_factory: pytest.TempPathFactory) -> Iterator[LocalCloud]:
    folder = tmp_path_factory.mktemp("functions")
    for name in FUNCTIONS:
        (folder / name).symlink_to(ROOT / "functions" / name)
    with LocalCloud(tmp_path_factory.mktemp("cloud"), folder) as cloud:
        yield cloud


@pytest.fixture(scope="module")
def clients(cloud: LocalCloud) -> Iterator[Clients]:
    with pytest.MonkeyPatch.context() as environment:
        for name, value in cloud.env.items():
            environment.setenv(name, value)
        yield Clients(Settings())  # type: ignore[call-arg]


@pytest.fixture
def tenant(clients: Clients) -> str:
    """A tenant of its own for each test, with the tables that these functions touch and no others."""
    tenant_id = f"t{uuid.uuid4().hex[:12]}"
    dataset = f"aso_tenant_{tenant_id}"
    clients.warehouse.ensure_dataset(dataset)
    for record in (Finding, StageCount, DailyEntityMetrics):
        clients.warehouse.ensure_table(dataset, plain_table(record))
    now = datetime.now(UTC)
    clients.documents.put(
        f"tenants/{tenant_id}", Tenant(tenant_id=tenant_id, created_at=now, updated_at=now).document()
    )
    return tenant_id


def finish(clients: Clients, tenant_id: str, day: int, *findings: Finding) -> DetectorRunFinished:
    """Leave behind what a detector run leaves."""
    run_id = f"{tenant_id}-{day}"
    rows = [{**found.model_dump(mode="json"), "tenant_id": tenant_id, "run_id": run_id} for found in findings]
    if rows:
        clients.warehouse.load(f"aso_tenant_{tenant_id}.detector_findings", rows)
    account = run(day, len(rows), run_id=run_id, tenant_id=tenant_id)
    clients.ops.put(f"detector_runs/{run_id}", account.document())
    return DetectorRunFinished(tenant_id=tenant_id, run_id=run_id)


def write(cloud: LocalCloud, message: DetectorRunFinished) -> dict[str, Any]:
    response = httpx.post(
        cloud.url("write_opportunities"), json=message.model_dump(), headers=cloud.auth(), timeout=WAIT_SECONDS
    )
    assert response.status_code == 200, response.text
    answer: dict[str, Any] = response.json()
    return answer


def stored(clients: Clients, tenant_id: str) -> dict[str, dict[str, Any]]:
    return {values["entity_id"]: values for _, values in clients.documents.find(f"tenants/{tenant_id}/opportunities")}


def test_findings_in_bigquery_become_documents(cloud: LocalCloud, clients: Clients, tenant: str):
    found = [finding(entity_id=f"/{number}", evidence={"q_value": 0.01, "n": [1, None]}) for number in range(20)]
    message = finish(clients, tenant, 0, *found)
    assert write(cloud, message)["created"] == 20
    documents = stored(clients, tenant)
    assert len(documents) == 20
    one = documents["/7"]
    assert one["opportunity_id"] == lifecycle.identity(tenant, found[7])
    assert (one["evidence"], one["estimated_value"]["mid"], one["status"]) == (found[7].evidence, 100.0, "new")
    counts = clients.warehouse.query(f"SELECT rows_in, rows_out FROM `aso_tenant_{tenant}.stage_counts`")
    assert counts == [{"rows_in": 20, "rows_out": 20}]

    before = {path: values["updated_at"] for path, values in documents.items()}
    assert write(cloud, message)["unchanged"] == 20
    assert {path: values["updated_at"] for path, values in stored(clients, tenant).items()} == before


@pytest.mark.parametrize(
    "decision",
    [{"status": "dismissed"}, {"status": "snoozed", "snoozed_until": "2999-01-01"}, {"status": "completed"}],
    ids=lambda decision: decision["status"],
)
def test_a_persons_decision_and_a_run_at_once_both_stay(
    cloud: LocalCloud, clients: Clients, tenant: str, decision: dict[str, str]
):
    write(cloud, finish(clients, tenant, 0, *(finding(entity_id=f"/{number}", change=40.0) for number in range(12))))
    message = finish(clients, tenant, 1, *(finding(1, entity_id=f"/{number}", change=50.0) for number in range(12)))
    ids = [values["opportunity_id"] for values in stored(clients, tenant).values()]

    def decide() -> None:
        with httpx.Client(headers=cloud.auth("ann@demo.test", tenant), timeout=WAIT_SECONDS) as person:
            for opportunity_id in ids:
                url = f"{cloud.url('dashboard').rstrip('/')}/t/{tenant}/opportunities/{opportunity_id}"
                while person.post(url, json=decision).status_code == 503:
                    pass

    person = threading.Thread(target=decide)
    person.start()
    while True:
        response = httpx.post(
            cloud.url("write_opportunities"), json=message.model_dump(), headers=cloud.auth(), timeout=60
        )
        if response.status_code != 503:
            break
    person.join(60)
    assert response.status_code == 200
    after = list(stored(clients, tenant).values())
    assert len(after) == 12
    for values in after:
        assert decision.items() <= values.items()
        assert (values["as_of"], values["change"]) == ("2026-03-03", 50.0)
        assert [(entry["changed_by"], entry["to_status"]) for entry in values["history"]] == [
            ("person", decision["status"])
        ]
        assert values["decided_change"] in ({40.0, 50.0} if decision["status"] == "dismissed" else {None})
        assert (values["completed_at"] is not None) == (decision["status"] == "completed")


def test_a_decision_that_a_browser_writes_by_itself_during_a_run_stays(
    cloud: LocalCloud, clients: Clients, tenant: str
):
    numbers = range(12)
    write(cloud, finish(clients, tenant, 0, *(finding(entity_id=f"/{number}", change=40.0) for number in numbers)))
    message = finish(clients, tenant, 1, *(finding(1, entity_id=f"/{number}", change=59.0) for number in numbers))
    ids = [values["opportunity_id"] for values in stored(clients, tenant).values()]

    def dismiss() -> None:
        for opportunity_id in ids:
            path = f"tenants/{tenant}/opportunities/{opportunity_id}"
            clients.documents.client.document(path).update({"status": "dismissed", "note": "ours"})

    person = threading.Thread(target=dismiss)
    person.start()
    while (
        httpx.post(
            cloud.url("write_opportunities"), json=message.model_dump(), headers=cloud.auth(), timeout=60
        ).status_code
        == 503
    ):
        pass
    person.join(60)
    write(cloud, finish(clients, tenant, 2, *(finding(2, entity_id=f"/{number}", change=59.0) for number in numbers)))
    for values in stored(clients, tenant).values():
        assert (values["status"], values["note"], values["as_of"]) == ("dismissed", "ours", "2026-03-04")
        # As it was when the status was written: before the run, or by it.
        assert values["decided_change"] in (40.0, 59.0)
        assert [entry["to_status"] for entry in values["history"]] == ["dismissed"]


def test_message_on_the_topic_is_enough(cloud: LocalCloud, clients: Clients, tenant: str):
    message = finish(clients, tenant, 0, finding())
    clients.publisher.publish(message)
    cloud.drain()
    assert list(stored(clients, tenant)) == ["/pricing"]


class Browser:
    """Reads server-sent events as a browser does."""

    def __init__(self, url: str, headers: dict[str, str]) -> None:
        self.events: queue.Queue[tuple[str, Any]] = queue.Queue()
        self._client = httpx.Client(headers=headers, timeout=WAIT_SECONDS)
        self._url = url
        threading.Thread(target=self._read, daemon=True).start()

    def next(self, name: str) -> Any:
        while True:
            event, data = self.events.get(timeout=WAIT_SECONDS)
            if event == name:
                return data

    def close(self) -> None:
        self._client.close()

    def _read(self) -> None:
        with contextlib.suppress(httpx.HTTPError, RuntimeError), self._client.stream("GET", self._url) as response:
            name = ""
            for line in response.iter_lines():
                if line.startswith("event: "):
                    name = line.removeprefix("event: ")
                elif line.startswith("data: "):
                    self.events.put((name, orjson.loads(line.removeprefix("data: "))))


def test_browsers_hear_of_a_run_while_others_are_answered(cloud: LocalCloud, clients: Clients, tenant: str):
    url = f"{cloud.url('dashboard').rstrip('/')}/t/{tenant}"
    headers = cloud.auth("ann@demo.test", tenant)
    browsers = [Browser(f"{url}/events", headers) for _ in range(12)]
    assert [browser.next("snapshot") for browser in browsers] == [[]] * 12
    assert httpx.get(f"{url}/", headers=headers, timeout=WAIT_SECONDS).status_code == 200
    write(cloud, finish(clients, tenant, 0, finding()))
    assert {browser.next("change")["entity_id"] for browser in browsers} == {"/pricing"}
    late = Browser(f"{url}/events", headers)
    assert [card["entity_id"] for card in late.next("snapshot")] == ["/pricing"]
    for browser in (*browsers, late):
        browser.close()


@pytest.mark.parametrize(
    ("headers", "status"), [({}, 401), ({"Authorization": "Bearer x.y.z"}, 401), ("of another tenant", 403)]
)
def test_live_events_need_the_tenants_token(cloud: LocalCloud, tenant: str, headers: Any, status: int):
    sent = cloud.auth("eve@other.test", "other") if isinstance(headers, str) else headers
    response = httpx.get(f"{cloud.url('dashboard').rstrip('/')}/t/{tenant}/events", headers=sent)
    assert response.status_code == status
    assert response.json()["status"] == status


def test_series_of_the_plot_comes_from_daily_metrics(cloud: LocalCloud, clients: Clients, tenant: str):
    rows = [
        {
            "tenant_id": tenant,
            "date": f"2026-03-0{day}",
            "entity_type": "page",
            "entity_id": "/pricing",
            "sessions": day,
        }
        for day in (1, 2)
    ]
    clients.warehouse.load(f"aso_tenant_{tenant}.daily_entity_metrics", rows)
    found = finding()
    write(cloud, finish(clients, tenant, 0, found))
    path = f"/t/{tenant}/opportunities/{lifecycle.identity(tenant, found)}/series"
    answer = httpx.get(
        cloud.url("dashboard").rstrip("/") + path, headers=cloud.auth("a@demo.test", tenant), timeout=WAIT_SECONDS
    )
    assert answer.status_code == 200, answer.text
    assert answer.json()["plots"][0]["values"][-3:] == [None, 1, 2]
