"""How sources stand: of the documents that syncs, checks and the ETL leave in the database of Scout's own state."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from shared.errors import CredentialsRefused, Unavailable
from shared.ops.progress import ProgressBook
from shared.ops.records import Arrivals
from shared.sources.catalogue import SOURCES
from shared.sources.standing import Standing, standings
from shared.sources.states import SourceStates
from shared.tenants.records import Tenant
from tests.fakes import FakeDocuments

NOW = datetime(2026, 3, 2, 6, tzinfo=UTC)


class World:
    """A tenant with a source that needs credentials, one that needs none, and one that is switched off."""

    def __init__(self, **stripe: Any) -> None:
        self.ops = FakeDocuments()
        sources: Any = {"ga4": {"property_id": "properties/1"}, "stripe": stripe, "activecampaign": {"enabled": False}}
        self.tenant = Tenant(tenant_id="demo", sources=sources, created_at=NOW, updated_at=NOW)
        self.states = SourceStates(self.ops, lambda: NOW)
        self.seconds = 0
        self.progress = ProgressBook(self.ops, lambda: NOW + timedelta(seconds=self.seconds))

    def arrive(self, name: str = "stripe_charges", run_id: str = "run-1", hour: int = 5, **changes: Any) -> None:
        entry = Arrivals(
            run_id=run_id,
            tenant_id="demo",
            source="stripe",
            collection_name=name,
            finished_at=NOW.replace(hour=hour),
            **{"pages": {"0": {"2026-03-01": 9}}, "complete": True, **changes},
        )
        self.ops.put(f"arrivals/{run_id}:{name}", entry.document())

    def of(self, name: str = "stripe", now: datetime = NOW) -> Standing:
        return next(each for each in standings(self.ops, self.tenant, now) if each.name == name)

    @property
    def said(self) -> list[str]:
        return [trouble.what for trouble in self.of().troubles]


def test_sources_that_the_tenant_has_are_told_in_the_catalogues_order_and_no_others():
    found = standings(World().ops, World().tenant, NOW)
    assert [(each.name, each.title, each.state) for each in found] == [
        ("ga4", "Google Analytics 4", "new"),
        ("stripe", "Stripe", "new"),
    ]
    assert all(each.troubles == () for each in found), "what was never asked is not in trouble"


def test_source_that_answers_tells_what_its_credentials_open_and_when_it_was_synced():
    world = World()
    world.states.answered("demo", "stripe", account="Shop Ltd", synced=True)
    found = world.of()
    assert (found.state, found.account, found.synced_at, found.since) == ("connected", "Shop Ltd", NOW, NOW)
    assert found.troubles == ()


@pytest.mark.parametrize(("source", "do"), [("stripe", "secret `scout-demo-stripe`"), ("ga4", "Let the account")])
def test_refused_credentials_are_told_with_the_place_where_new_ones_go(source: str, do: str):
    world = World()
    world.states.failed("demo", source, CredentialsRefused("Stripe refused the credentials", expected="a key"))
    found = world.of(source)
    [trouble] = found.troubles
    assert (found.state, trouble.what) == ("refused", "Stripe refused the credentials; expected a key")
    assert do in trouble.do


def test_source_that_does_not_answer_is_failing_and_is_due_again():
    world = World()
    world.states.failed("demo", "stripe", Unavailable("Stripe is not available"))
    [trouble] = world.of().troubles
    assert (world.of().state, trouble.what) == ("failing", "Stripe is not available")
    assert "due again" in trouble.do


def test_source_whose_run_is_tried_again_by_itself_needs_nobody_while_it_is():
    world = World()
    world.states.failed("demo", "stripe", Unavailable("Stripe is not available"), "sync-stripe-demo-1", again=True)
    for minutes, said in {19: "tried again by itself", 21: "press Sync"}.items():
        [trouble] = world.of(now=NOW + timedelta(minutes=minutes)).troubles
        assert said in trouble.do
    world.seconds = 21 * 60
    with world.progress.track("sync-stripe-demo-1", "sync", "demo"):
        [trouble] = world.of(now=NOW + timedelta(minutes=22)).troubles
        assert "tried again by itself" in trouble.do, "a later slice of it runs"


def test_settings_that_are_missing_are_named():
    world = World()
    world.tenant = world.tenant.model_copy(update={"sources": {"ga4": world.tenant.sources["stripe"]}})
    [found] = standings(world.ops, world.tenant, NOW)
    assert found.state == "incomplete"
    assert found.troubles[0].what == "its settings are not complete: property_id"
    assert "sources.ga4.property_id" in found.troubles[0].do


# --- the ledger ------------------------------------------------------------------------------------------------------


def test_ledger_is_that_of_the_newest_sync_by_collection():
    world = World()
    world.arrive(run_id="old", hour=3)
    world.arrive("stripe_refunds", "old", hour=3)
    world.arrive("stripe_refunds", "new", hour=4, unchanged={"0": {"2026-02-28": 4}}, reported=13, arrived=9, lost=0)
    world.arrive("stripe_customers", "new", hour=5)
    found = world.of()
    assert (found.run_id, found.counted_at) == ("new", NOW.replace(hour=5))
    assert [each.collection for each in found.ledger] == ["stripe_customers", "stripe_refunds"]
    refunds = found.ledger[1]
    assert (refunds.reported, refunds.written, refunds.unchanged, refunds.arrived) == (13, 9, 4, 9)
    assert (refunds.lost, refunds.refused, refunds.wrong, found.lost) == (0, 0, False, 0)
    assert not found.counted, "of customers nobody has looked yet"


def test_of_what_the_etl_has_not_looked_at_nothing_is_claimed():
    world = World()
    world.arrive(reported=9)
    [entry] = world.of().ledger
    assert (entry.arrived, entry.refused, entry.missing, entry.lost) == (None, None, None, 0)
    assert world.said == []


def test_two_rows_instead_of_thousands_are_a_trouble_before_the_etl_has_looked():
    world = World()
    world.arrive(pages={"0": {"2026-03-01": 2}}, reported=4_210)
    [entry] = world.of().ledger
    assert (entry.short, entry.lost, entry.wrong) == (4_208, 4_208, True)
    assert world.said == ["stripe_charges: 2 of 4,210 rows that the source reported came"]


def test_pages_that_are_still_to_come_are_not_lost():
    world = World()
    world.arrive(reported=4_210, complete=False)
    assert (world.of().lost, world.said) == (0, [])


def test_documents_that_did_not_become_rows_are_told_with_the_way_to_find_them():
    world = World()
    world.arrive(arrived=6, lost=2)
    [entry] = world.of().ledger
    assert (entry.missing, entry.refused, entry.lost) == (2, 1, 2)
    [missing, refused] = world.of().troubles
    assert missing.what == "stripe_charges: 2 of 9 documents did not become rows"
    assert "scout verify tenants/demo/stripe_charges" in missing.do
    assert refused.what == "stripe_charges: 1 of 9 documents fit no row"
    assert "InvalidDocument" in refused.do


def test_rows_that_were_not_given_and_rows_that_were_lost_on_the_way_are_told_apart():
    world = World()
    world.arrive(reported=12, arrived=8, lost=4)
    [entry] = world.of().ledger
    assert (entry.short, entry.missing, entry.refused, entry.lost) == (3, 1, 0, 4)


def test_collection_that_the_source_refused_is_told_once():
    world = World()
    world.arrive(failed="Stripe refused the request")
    assert world.said == ["stripe_charges: Stripe refused the request"]
    world.states.failed("demo", "stripe", Unavailable("stripe_charges: Stripe refused the request"), "run-1")
    assert world.said == ["stripe_charges: Stripe refused the request"]


def test_documents_that_firestore_does_not_take_are_named_once():
    world = World()
    told = {"unwritten": {"slice-0": {"2026-03-01": 1}}, "unwritten_documents": ["ch_7: Firestore refused the values"]}
    world.arrive(reported=10, arrived=9, lost=1, **told)
    [entry] = world.of().ledger
    assert (entry.unwritten, entry.lost, entry.missing, entry.wrong) == (1, 1, 0, True)
    [trouble] = world.of().troubles
    assert "1 documents that Firestore does not take: ch_7: Firestore refused the values" in trouble.what
    world.arrive(reported=None, arrived=9, lost=0, **told)
    assert (world.of().lost, len(world.of().troubles)) == (1, 1)


# --- what runs -------------------------------------------------------------------------------------------------------


def test_running_sync_and_check_are_those_of_the_source():
    world = World()
    world.progress.request("check-stripe-demo-1", "check", "demo")
    with world.progress.track("sync-stripe-demo-1", "sync", "demo") as run:
        world.seconds += 1  # it is written once a second at most
        run.step("stripe_charges", done=7)
        found = world.of()
        assert found.sync is not None
        assert found.check is not None
        assert (found.sync.status, found.sync.step, found.sync.done) == ("running", "stripe_charges", 7)
        assert (found.check.status, found.check.run_id) == ("requested", "check-stripe-demo-1")
        assert (world.of("ga4").sync, world.of("ga4").check) == (None, None)
    assert world.of().sync is None, "it has ended"


def test_run_that_died_holds_no_button_back():
    world = World()
    world.progress.request("sync-stripe-demo-1", "sync", "demo")
    assert world.of(now=NOW + timedelta(minutes=19)).sync is not None
    assert world.of(now=NOW + timedelta(minutes=21)).sync is None


def test_ledger_of_every_source_fits_what_is_read():
    from shared.schema.registry import streamed_records
    from shared.sources.records import SourceRow
    from shared.sources.standing import COLLECTIONS

    sizes = dict.fromkeys(SOURCES, 0)
    for record in streamed_records():
        if issubclass(record, SourceRow):
            sizes[str(record.model_fields["source"].default)] += 1
    assert 0 < min(sizes.values()) <= max(sizes.values()) <= COLLECTIONS


def test_rows_that_are_in_no_metrics_are_told():
    world = World()
    world.arrive("stripe_charges", arrived=9, lost=5, unaggregated=5)
    assert world.said == ["stripe_charges: 5 rows are in no metrics"]
    assert (world.of().lost, world.of().ledger[0].missing, world.of().ledger[0].refused) == (5, 0, 0)
