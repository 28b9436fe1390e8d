"""Whether completed opportunities paid: the statement on the BigQuery emulator, and the way through the functions."""

import math
import random
import re
import statistics
import uuid
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest

from infra.local.cloud import LocalCloud
from shared.opportunities import lifecycle
from shared.opportunities.outcomes import Due, due, measure
from shared.opportunities.records import Opportunity
from shared.runtime.clients import Clients
from shared.settings import Settings
from shared.tenants.provision import provision_tenant
from tests.unit.opportunities.samples import FIRST_DAY, finding, run

ROOT = Path(__file__).resolve().parents[2]
FUNCTIONS = ("write_opportunities", "stream_document")
COMPLETED = datetime(2026, 4, 6, 9, tzinfo=UTC)
BEFORE, AFTER, LAST = date(2026, 3, 9), date(2026, 4, 9), date(2026, 5, 6)
DAYS = [date(2026, 3, 2) + timedelta(days=ago) for ago in range(75)]
DOCUMENTED = re.findall(r"```sql\n(.*?)```", (ROOT / "docs" / "architecture.md").read_text(), re.DOTALL)


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
    tenant_id = f"t{uuid.uuid4().hex[:12]}"
    provision_tenant(clients.documents, clients.warehouse, tenant_id)
    return tenant_id


def figures(
    tenant_id: str, entity_id: str, sessions: float, lift: float, rate: float = 0.03, entity_type: str = "page"
) -> list[dict[str, Any]]:
    """75 days of an entity that does `lift` times as much from the day after the completion on."""
    chance = random.Random(entity_id)
    rows = []
    for day in DAYS:
        level = sessions * (lift if day > COMPLETED.date() else 1.0)
        count = max(0, round(level * chance.uniform(0.9, 1.1)))
        rows.append({
            "tenant_id": tenant_id, "date": day.isoformat(), "entity_type": entity_type, "entity_id": entity_id,
            "sessions": count, "conversions": round(count * rate), "revenue": 10.0 * count,
        })  # fmt: skip
    return rows


def total(rows: list[dict[str, Any]], name: str, first: date) -> float:
    days = {(first + timedelta(days=number)).isoformat() for number in range(28)}
    return float(sum(row[name] for row in rows if row["date"] in days))


def completed(tenant_id: str, entity_id: str, cause: str, at: datetime = COMPLETED, **changes: Any) -> dict[str, Any]:
    """A completed opportunity as it is stored."""
    found = finding(0, entity_id, cause=cause, change=1.0, tenant_id=tenant_id, **changes)
    made = lifecycle.found(None, found, run(tenant_id=tenant_id), COMPLETED) or {}
    return {**made, **lifecycle.moved(made, "completed", at, "person")}


def load(clients: Clients, tenant_id: str, *entities: list[dict[str, Any]]) -> None:
    clients.warehouse.load(f"aso_tenant_{tenant_id}.daily_entity_metrics", [row for rows in entities for row in rows])


def test_statement_says_what_python_says(clients: Clients, tenant: str):
    peers = {f"/{number}": figures(tenant, f"/{number}", 400 + 60 * number, 0.9 + 0.02 * number) for number in range(9)}
    own = figures(tenant, "/own", 600, 1.6)
    touched, huge, tiny = (
        figures(tenant, "/touched", 600, 5.0), figures(tenant, "/huge", 30_000, 5.0), figures(tenant, "/tiny", 20, 5.0)
    )  # fmt: skip
    begun = [row for row in figures(tenant, "/begun", 600, 1.0) if row["date"] >= AFTER.isoformat()]
    other = figures(tenant, "mobile", 600, 9.0, entity_type="device")
    load(clients, tenant, *peers.values(), own, touched, huge, tiny, begun, other)
    stored = {
        "a": completed(tenant, "/own", "sessions"),
        "b": completed(tenant, "/own", "conversions"),
        "c": completed(tenant, "/own", "revenue"),
        "d": completed(tenant, "/nowhere", "revenue"),
        "e": completed(tenant, "/touched", "sessions", COMPLETED + timedelta(days=20)),
        "f": completed(tenant, "mobile", "sessions", entity_type="device"),
    }
    ready = due(stored, LAST)
    assert [one.opportunity_id for one in ready] == ["a", "b", "c", "d", "f"]
    found = measure(clients.warehouse, tenant, ready, stored, LAST, COMPLETED)

    def log(rows: list[dict[str, Any]], name: str, plus: float) -> float:
        return math.log((total(rows, name, AFTER) + plus) / (total(rows, name, BEFORE) + plus))

    for key, name, plus in (("a", "sessions", 0.5), ("c", "revenue", 0.0)):
        logs = [log(rows, name, plus) for rows in peers.values()]
        outcome = found[key]
        assert (outcome.verdict, outcome.compared_with, outcome.peers) == ("paid", "peers", 9)
        assert outcome.before == total(own, name, BEFORE)
        assert outcome.after == total(own, name, AFTER)
        assert outcome.peers_change == pytest.approx(math.expm1(statistics.mean(logs)))
        assert outcome.effect == pytest.approx(math.expm1(log(own, name, plus) - statistics.mean(logs)))
        margin = math.log1p(outcome.effect_high) - math.log1p(outcome.effect)
        assert margin == pytest.approx(1.8595 * statistics.stdev(logs) * math.sqrt(1 + 1 / 9), rel=1e-4)
    assert found["a"].gained_value is None
    assert found["c"].gained_value is not None
    assert found["b"].before == pytest.approx(total(own, "conversions", BEFORE) / total(own, "sessions", BEFORE))
    assert found["b"].verdict == "did_not_pay"
    assert (found["d"].verdict, found["d"].reason) == (None, "It has no figures in one of the two windows.")
    assert (found["f"].verdict, found["f"].reason) == (None, "No peers: cannot say.")


def test_few_peers_are_replaced_by_all_others_summed(clients: Clients, tenant: str):
    load(
        clients,
        tenant,
        *(figures(tenant, name, size, lift, entity_type="device") for name, size, lift in (
            ("mobile", 500, 1.8), ("desktop", 900, 1.0), ("tablet", 50, 1.0),
        )),
    )  # fmt: skip
    stored = {"a": completed(tenant, "mobile", "sessions", entity_type="device")}
    outcome = measure(clients.warehouse, tenant, due(stored, LAST), stored, LAST, COMPLETED)["a"]
    assert (outcome.verdict, outcome.compared_with, outcome.peers) == ("paid", "site", 1)
    assert outcome.effect == pytest.approx(0.8, abs=0.1)


def test_day_that_is_not_measured_counts_for_neither_side(clients: Clients, tenant: str):
    own = figures(tenant, "/own", 600, 1.0)
    for row in own[10:13]:
        row["conversions"] = None
    load(clients, tenant, own, *(figures(tenant, f"/{number}", 600, 1.0) for number in range(6)))
    stored = {"a": completed(tenant, "/own", "conversions")}
    outcome = measure(clients.warehouse, tenant, due(stored, LAST), stored, LAST, COMPLETED)["a"]
    assert outcome.before == pytest.approx(0.03, rel=0.02)


def test_completion_is_measured_once_it_is_due_and_told_to_everybody(cloud: LocalCloud, clients: Clients, tenant: str):
    load(
        clients, tenant, figures(tenant, "/own", 600, 1.6),
        *(figures(tenant, f"/{number}", 600, 0.98 + 0.01 * number) for number in range(7)),
    )  # fmt: skip
    one = completed(tenant, "/own", "revenue")
    path = f"tenants/{tenant}/opportunities/{one['opportunity_id']}"
    clients.documents.put(path, one)

    def write(as_of: date) -> dict[str, Any]:
        run_id = f"{tenant}-{as_of}"
        found = run((as_of - FIRST_DAY).days, 0, run_id=run_id, tenant_id=tenant, ran=["page_traffic_drop"])
        clients.ops.put(f"detector_runs/{run_id}", found.document())
        message = {"tenant_id": tenant, "run_id": run_id}
        response = httpx.post(cloud.url("write_opportunities"), json=message, headers=cloud.auth(), timeout=60)
        assert response.status_code == 200, response.text
        answer: dict[str, Any] = response.json()
        return answer

    assert write(LAST - timedelta(days=1))["measured"] == 0
    assert write(LAST)["measured"] == 1
    stored = clients.documents.get(path)
    assert stored is not None
    assert (stored["status"], stored["outcome"]["verdict"], stored["outcome"]["before_first"]) == (
        "completed",
        "paid",
        BEFORE.isoformat(),
    )
    assert stored["outcome"]["gained_value"] > 0
    Opportunity.model_validate(stored)
    rate_path = f"tenants/{tenant}/detector_hit_rates/{one['detector_id']}"
    rate = clients.documents.get(rate_path)
    assert rate is not None
    assert (rate["completed"], rate["measured"], rate["paid"], rate["hit_rate"]) == (1, 1, 1, 1.0)

    # Again, and later: nothing changes.
    assert write(LAST)["measured"] == write(LAST + timedelta(days=1))["measured"] == 0
    assert clients.documents.get(path) == stored
    assert clients.documents.get(rate_path) == rate

    cloud.drain()
    changes, rates = (sql.replace("aso_tenant_x", f"aso_tenant_{tenant}") for sql in DOCUMENTED)
    [row] = clients.warehouse.query(rates)
    assert row == {name: rate[name] for name in row}
    versions = clients.warehouse.query(changes.replace("the opportunity", one["opportunity_id"]))
    assert [version["status"] for version in versions][-1] == "completed"
    assert len(versions) >= 2
    # Nested values as they are in the document, from the log's tail and once they are merged.
    view = f"SELECT opportunity_id, history, outcome, snoozed_until FROM `aso_tenant_{tenant}.opportunities`"
    other = {**completed(tenant, "/other", "revenue"), "opportunity_id": "other"}
    clients.documents.put(
        f"tenants/{tenant}/opportunities/other", {**other, "history": [], "snoozed_until": "2026-07-01"}
    )
    cloud.drain()
    for _ in range(2):
        rows = {row["opportunity_id"]: row for row in clients.warehouse.query(view)}
        mine = rows[one["opportunity_id"]]
        assert mine["history"] == stored["history"]
        assert {name: str(value) for name, value in mine["outcome"].items()} == {
            name: str(value) for name, value in stored["outcome"].items()
        }
        assert (rows["other"]["history"], rows["other"]["outcome"]) == ([], None)
        assert rows["other"]["snoozed_until"] == date(2026, 7, 1)
        assert clients.merger.merge(Opportunity, {"tenant_id": tenant}, force=True).status in ("merged", "empty")


def test_what_is_read_of_a_completed_opportunity_is_what_is_stored(tenant: str):
    assert Due.model_validate(completed(tenant, "/own", "sessions")).windows == (
        BEFORE, COMPLETED.date() - timedelta(days=1), AFTER, LAST,
    )  # fmt: skip
