"""Two rows instead of thousands: wherever the rest is lost, a finding says so, and the source's lamp is red.

Everything is real but Firestore and its triggers: ActiveCampaign is played over HTTP; the sync, the ETL, the detector
and the writer of opportunities are those of the functions; BigQuery is the emulator.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from functions.write_opportunities.main import handle as write_opportunities
from infra.local.vendors.activecampaign import ACCOUNT, TOKEN, Account
from shared.adapters.activecampaign import ActiveCampaignSource
from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import Group
from shared.analytics.entities.data import DATA
from shared.analytics.etl import Etl
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled
from shared.detectors.messages import DetectorRunFinished
from shared.sources.activecampaign import BLOCKS, KINDS
from shared.sources.messages import SyncRequested
from shared.sources.standing import standings
from shared.tenants.provision import provision_tenant
from shared.tenants.records import SourceSettings
from tests.fakes import FakeSecrets, pushed
from tests.support.bigquery import bigquery_emulator
from tests.support.detectors import Bench, connect
from tests.support.vendors import vendors

TENANT = "leaky"
MANY, FEW = 2_000, 2
TOLD = [Group("data", tuple(one for one in DATA if one.entity_type in ("source_table", "arrival")), last=True)]
ONE = compiled(tuple(one for one in catalogue() if one.id == "dq_rows_lost"))


def contact(number: int) -> dict[str, str]:
    made = (date.today() - timedelta(days=1)).isoformat()
    return {"id": str(number), "email": f"reader-{number}@example.com", "cdate": f"{made}T08:00:00-06:00"}


def account(contacts: int) -> Account:
    """An account of so many contacts, all of one day, and of nothing else."""
    empty: dict[str, list[Any]] = {kind.path: [] for kind in KINDS if kind is not BLOCKS}
    those = {"contacts": list(map(contact, range(1, contacts + 1))), "contactLists": [], "campaignLists": []}
    return Account({**empty, **those, "links": []})


@dataclass(frozen=True)
class Seen:
    """What people see of the contacts: a finding, the opportunity about it, what the source's lamp is red for."""

    missing: float | None
    opportunity: dict[str, Any]
    troubles: list[str]


class Shop:
    """A tenant whose ActiveCampaign is played; `now` is later by as much as the ETL waits for what is on its way."""

    def __init__(self, warehouse: BigQueryWarehouse, address: str) -> None:
        self.now = datetime.now(UTC)
        self.bench = Bench(warehouse, TENANT)
        self.bench.judge_by(ONE)
        self.clients = self.bench.clients
        settings = {"activecampaign": SourceSettings(account_id=ACCOUNT)}
        provision_tenant(self.bench.documents, warehouse, TENANT, sources=settings)
        source = ActiveCampaignSource(f"{address}/{{account}}", per_second=10_000)
        self.clients.__dict__ |= {
            "sources": {"activecampaign": lambda _: source},
            "secrets": FakeSecrets(**{f"{TENANT}_activecampaign": TOKEN}),
        }
        self._told: dict[str, Any] = {}

    def sync(self, run_id: str) -> None:
        """Pull the source into the documents."""
        self.clients.sync.run(SyncRequested(tenant_id=TENANT, source="activecampaign", run_id=run_id))

    def changed(self) -> dict[str, dict[str, Any]]:
        """Contacts that were written since somebody asked, by path: what events tell of."""
        found = {path: doc for path, doc in self.bench.documents.documents.items() if "/ac_contacts/" in path}
        changed = {path: doc for path, doc in found.items() if self._told.get(path) != doc["sync_run_id"]}
        self._told |= {path: doc["sync_run_id"] for path, doc in changed.items()}
        return changed

    def stream(self, changed: dict[str, dict[str, Any]]) -> None:
        """Carry these into the log."""
        rows = [
            {
                "timestamp": self.now,
                "event_id": f"{path}-{fields['sync_run_id']}",
                "document_name": f"projects/p/databases/(default)/documents/{path}",
                "operation": "CREATE",
                "version": self.now,
                "deleted": False,
                "appended_at": self.now,
                **fields,
            }
            for path, fields in changed.items()
        ]
        if rows:
            self.bench.warehouse.load(f"aso_tenant_{TENANT}.ac_contacts_raw_changelog", rows)

    def look(self, sync_run_id: str | None = None) -> Seen:
        """Aggregate, judge, write opportunities."""
        self.now += timedelta(minutes=20)
        part = self.clients
        etl = Etl(
            part.warehouse, part.ops, part.progress, part.leases, part.publisher, part.tenants.get, groups=TOLD,
            now=lambda: self.now,
        )  # fmt: skip
        etl.run(TENANT, f"etl-{self.now:%H%M}", sync_run_id=sync_run_id)
        run, findings = self.bench.run(self.now.date() - timedelta(days=1))
        assert run.ran == ["dq_rows_lost"]
        finished = DetectorRunFinished(tenant_id=TENANT, run_id=run.run_id)
        answer = write_opportunities(pushed(finished.model_dump(mode="json")), part)
        assert answer.status_code == 204, answer.get_data()
        written = [doc for path, doc in self.bench.documents.documents.items() if "/opportunities/" in path]
        [opportunity] = [each for each in written if each["entity_id"] == "ac_contacts"]
        [standing] = standings(part.ops, part.tenants.get(TENANT), self.now)
        missing = [each["change"] for each in findings if each["entity_id"] == "ac_contacts"]
        return Seen(*missing or [None], dict(opportunity), [trouble.what for trouble in standing.troubles])


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, Seen]]:
    """What is seen after each step of a story; a tenant of its own for each would cost the emulator minutes."""
    played, told = account(FEW), {}
    played.totals["contacts"] = str(MANY)
    with (
        bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as settings,
        vendors(date.today(), played) as server,
    ):
        shop = Shop(connect(settings), server.address)

        shop.sync("sync-1")
        shop.stream(shop.changed())
        told["the source gives two"] = shop.look("sync-1")

        played.objects["contacts"] += map(contact, range(FEW + 1, MANY + 1))
        shop.sync("sync-2")
        lost = shop.changed()
        told["the stream loses all but two"] = shop.look("sync-2")

        played.objects["contacts"][9]["udate"] = f"{date.today()}T01:00:00-06:00"
        shop.sync("sync-3")
        found = shop.changed()
        shop.stream(found)
        told["a sync finds all but one as they were"] = shop.look("sync-3")

        shop.stream({path: fields for path, fields in lost.items() if path not in found})
        shop.sync("sync-4")
        told["the lost ones are brought"] = shop.look("sync-4")
        yield told


def test_a_source_that_reports_thousands_and_gives_two_is_told(seen: dict[str, Seen]):
    found = seen["the source gives two"]
    assert found.missing == MANY - FEW
    assert (found.opportunity["detector_id"], found.opportunity["opportunity_type"]) == ("dq_rows_lost", "data_quality")
    assert (found.opportunity["status"], found.opportunity["severity"]) == ("new", "critical")
    assert found.troubles == ["ac_contacts: 2 of 2000 rows that the source reported came"]


def test_a_stream_that_loses_all_but_two_is_told(seen: dict[str, Seen]):
    found = seen["the stream loses all but two"]
    assert found.missing == MANY - FEW
    assert (found.opportunity["status"], found.opportunity["severity"]) == ("new", "critical")
    assert found.troubles == ["ac_contacts: 1,998 of 1,998 documents did not become rows"]


def test_a_sync_that_finds_the_lost_ones_written_does_not_hide_them(seen: dict[str, Seen]):
    found = seen["a sync finds all but one as they were"]
    assert found.missing == MANY - FEW - 1
    assert found.opportunity["severity"] == "critical"
    assert found.troubles == ["ac_contacts: 1,997 of 1,997 documents did not become rows"]


def test_it_is_over_once_they_are_rows(seen: dict[str, Seen]):
    found = seen["the lost ones are brought"]
    assert (found.missing, found.troubles) == (None, [])
