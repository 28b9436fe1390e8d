"""Syncs of ActiveCampaign from the local server: long ones, two of one day, and what is deleted at the vendor."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from typing import Any

import pytest

from infra.local.vendors.activecampaign import ACCOUNT, TOKEN, Account
from shared.adapters.activecampaign import ActiveCampaignSource
from shared.errors import Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import Arrivals
from shared.sources.messages import SourceSynced, SyncRequested
from shared.sources.sync import Sync
from shared.tenants.records import Tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher, FakeSecrets
from tests.integration.test_activecampaign import contact, opened, small
from tests.support.vendors import Vendors, vendors

TODAY = datetime.now(UTC).date()
YESTERDAY = TODAY - timedelta(days=1)
CONTACTS = 230
Rows = dict[str, dict[str, Any]]


class World:
    """One tenant, its stores in memory, its account at the vendor; `seconds` pass whenever the clock is read."""

    def __init__(self, account: Account, running: Vendors) -> None:
        self.account, self.vendor = account, running
        self.documents, self.ops, self.publisher = FakeDocuments(), FakeDocuments(), FakePublisher()
        now = datetime.fromisoformat("2026-01-01T00:00:00Z")
        sources: Any = {"activecampaign": {"account_id": ACCOUNT}}
        tenant = Tenant(tenant_id="demo", sources=sources, created_at=now, updated_at=now)
        self.documents.documents["tenants/demo"] = tenant.document()
        self.today, self.seconds, self.passed = TODAY, 0.0, 0.0
        source = ActiveCampaignSource(f"{running.address}/{{account}}", 1, per_second=1000, today=lambda: self.today)
        secrets = FakeSecrets(demo_activecampaign=TOKEN)
        self.sync = Sync(
            {"activecampaign": lambda tenant_id: source}, self.documents, self.ops, ProgressBook(self.ops),
            Leases(self.ops), self.publisher, Tenants(self.documents), secrets, clock=self.clock,
        )  # fmt: skip

    def clock(self) -> float:
        self.passed += self.seconds
        return self.passed

    def run(self, run_id: str = "run-1", since: date | None = None) -> int:
        """A sync with all its slices; their number."""
        self.publisher.messages.clear()
        self.sync.run(SyncRequested(tenant_id="demo", source="activecampaign", since=since, run_id=run_id))
        slices = 1
        while isinstance(following := self.publisher.messages[-1], SyncRequested):
            self.sync.run(following)
            slices += 1
        assert self.publisher.messages[-1] == SourceSynced(tenant_id="demo", source="activecampaign", run_id=run_id)
        return slices

    def stored(self, collection: str) -> Rows:
        prefix = f"tenants/demo/{collection}/"
        found = self.documents.documents.items()
        return {path.removeprefix(prefix): dict(fields) for path, fields in found if path.startswith(prefix)}

    def ids(self) -> set[int]:
        return set(map(int, self.stored("ac_contacts")))

    def ledger(self, collection: str, run_id: str = "run-1") -> Arrivals:
        return Arrivals.model_validate(self.ops.documents[f"arrivals/{run_id}:{collection}"])


@pytest.fixture
def world() -> Iterator[World]:
    account = small(CONTACTS)
    with vendors(TODAY, account) as running:
        running.control("activecampaign", retry_after_seconds=0)
        yield World(account, running)


# Long ones


def test_openers_without_end_are_handed_over_within_a_campaign_and_all_arrive_once(world: World):
    recent = {"sdate": f"{YESTERDAY}T10:00:00-06:00"}
    world.account.objects |= {name: [] for name in ("contacts", "contactAutomations")}
    world.account.objects["campaigns"] = [opened(1, 130) | recent, opened(2, 60) | recent]
    world.vendor.control("activecampaign", page_size=1)
    world.seconds = 300
    assert world.run() > 4
    found = world.stored("ac_opens")
    assert {name: fields["campaign_id"] for name, fields in found.items()} == {
        "1-0": "1", "1-50": "1", "1-100": "1", "2-0": "2", "2-50": "2",
    }  # fmt: skip
    for campaign, openers in (("1", 130), ("2", 60)):
        told = [one for fields in found.values() if fields["campaign_id"] == campaign for one in fields["contact_ids"]]
        assert sorted(map(int, told)) == list(range(1, openers + 1))
    ledger = world.ledger("ac_opens")
    assert (sum(ledger.days().values()), ledger.reported, ledger.complete) == (5, 5, True)
    written = len(world.documents.writes)
    world.run("run-2")
    assert len(world.documents.writes) == written


# Pictures of a day


def standing(sent: int, name: str) -> dict[str, list[dict[str, Any]]]:
    """An automation, its mail and a list, as they stand."""
    mail = opened(11, 0) | {"seriesid": "1", "automation": "1", "send_amt": str(sent)}
    return {
        "campaigns": [mail],
        "automations": [{"id": "1", "name": name, "status": "1"}],
        "lists": [{"id": "7", "name": name}],
    }


def test_what_stands_after_a_day_is_what_the_first_sync_found(world: World):
    world.account.objects |= {name: [] for name in ("contacts", "contactAutomations")}
    world.account.objects |= standing(100, "Before")
    world.run()
    pictures = ("ac_automation_mails", "ac_automations", "ac_lists")
    first = {name: world.stored(name) for name in pictures}
    assert [len(rows) for rows in first.values()] == [1, 1, 1]
    # In the evening there is more of the day that has begun.
    world.account.objects |= standing(140, "After")
    world.account.objects["lists"].append({"id": "8", "name": "New"})
    world.run("run-2")
    assert world.stored("ac_automation_mails") == first["ac_automation_mails"]
    assert world.stored("ac_automations") == first["ac_automations"]
    lists = world.stored("ac_lists")
    assert lists.pop(f"{YESTERDAY}-8")["name"] == "New"
    assert lists == first["ac_lists"]
    ledger = world.ledger("ac_automation_mails", "run-2")
    assert (ledger.days(), ledger.days_unchanged()) == ({}, {YESTERDAY.isoformat(): 1})
    world.today = TODAY + timedelta(days=1)
    world.run("run-3")
    mails = world.stored("ac_automation_mails")
    assert {name: fields["send_amt"] for name, fields in mails.items()} == {
        f"{YESTERDAY}-11": 100, f"{TODAY}-11": 140,
    }  # fmt: skip


# What is deleted at the vendor


def delete(account: Account, *numbers: int) -> None:
    account.objects["contacts"] = [row for row in account.objects["contacts"] if int(row["id"]) not in numbers]


def test_contacts_that_are_deleted_at_the_vendor_are_removed_with_the_next_sync(world: World):
    world.run()
    assert world.ids() == set(range(1, CONTACTS + 1))
    delete(world.account, 3, 99, 100, 230)
    world.account.objects["contacts"].append(contact(231))
    world.run("run-2")
    assert world.ids() == set(range(1, 232)) - {3, 99, 100, 230}
    assert world.ledger("ac_contacts", "run-2").complete
    asked = len(world.vendor.served("activecampaign"))
    world.run("run-3")
    # Where nothing is too many, nobody is asked about.
    served = [one["path"] for one in world.vendor.served("activecampaign")[asked:]]
    assert not [path for path in served if "ids" in path]


def test_removing_goes_on_in_the_next_slice_also_where_that_failed_at_first(world: World):
    world.run()
    delete(world.account, *range(5, 200, 7))
    world.seconds = 300
    world.sync.run(SyncRequested(tenant_id="demo", source="activecampaign", run_id="run-2"))
    failed = 0
    while isinstance(following := world.publisher.messages[-1], SyncRequested):
        if not failed and following.position.startswith("gone/") and not following.position.endswith("/"):
            assert CONTACTS - 28 < len(world.ids()) < CONTACTS
            world.vendor.control("activecampaign", fail_next=[503] * 5)
            with pytest.raises(Unavailable):
                world.sync.run(following)
            failed += 1
        world.sync.run(following)
    assert failed
    assert world.ids() == set(range(1, CONTACTS + 1)) - set(range(5, 200, 7))


def short_list(world: World) -> None:
    delete(world.account, *range(3, CONTACTS + 1))
    world.account.totals["contacts"] = str(CONTACTS)


def refused_list(world: World) -> None:
    delete(world.account, 3)
    world.vendor.control("activecampaign", fail_next=[500] * 5)


def said_to_be_few(world: World) -> None:
    """The list and its total are wrong, each contact is there when asked for."""
    find, those = world.account._find, {row["id"]: row for row in world.account.objects["contacts"]}
    world.account._find = lambda name, one: those.get(one) or find(name, one)  # type: ignore[method-assign]
    delete(world.account, *range(3, CONTACTS + 1))


def heedless(world: World) -> None:
    """It gives others than it was asked for."""
    delete(world.account, 3)
    world.account.filters = False


@pytest.mark.parametrize("wrong", [short_list, refused_list, said_to_be_few, heedless], ids=lambda one: one.__name__)
def test_a_list_that_is_short_or_wrong_removes_nothing(world: World, wrong: Callable[[World], None]):
    world.run()
    before = world.ids()
    wrong(world)
    try:
        world.run("run-2")
    except Unavailable:
        assert wrong is refused_list
    assert world.ids() == before


def test_a_contact_that_a_list_leaves_out_stays_though_another_is_gone(world: World):
    world.run()
    find, left_out = world.account._find, world.account.objects["contacts"][19]
    world.account._find = lambda name, one: left_out if one == "20" else find(name, one)  # type: ignore[method-assign]
    delete(world.account, 3, 20)
    world.run("run-2")
    assert world.ids() == set(range(1, CONTACTS + 1)) - {3}


def test_a_contact_of_another_account_is_not_asked_about(world: World):
    world.run()
    world.documents.documents["tenants/demo/ac_contacts/9"]["account_id"] = "another"
    delete(world.account, 9, 10)
    world.run("run-2")
    assert world.ids() == set(range(1, CONTACTS + 1)) - {10}
