"""scout sources: what it tells, and how it ends."""

from collections.abc import Callable
from contextlib import suppress
from typing import Any

import orjson
import pytest
from click.testing import Result
from typer.testing import CliRunner

from infra.cli.sources import app
from infra.cli.terminal import AGAIN_LATER, REFUSED
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.schema.message import Message
from shared.sources.messages import SourceSynced, SyncRequested
from shared.sources.reports import REPORTS
from tests.fakes import FakePublisher, fake_clients
from tests.unit.sources.test_sync import ROWS, World


class Deployed(FakePublisher):
    """Pub/Sub with a function behind each topic: a sync that is asked for is made, and then `after` looks."""

    def __init__(self, world: World) -> None:
        super().__init__()
        self.world = world
        self.after: Callable[[dict[str, Any]], dict[str, Any]] = lambda entry: {"arrived": ROWS, "lost": 0}

    def publish(self, message: Message) -> str:
        if isinstance(message, SyncRequested):
            # What it raises is answered to Pub/Sub: who asked does not hear of it.
            with suppress(Rejected, Unavailable):
                self.world.sync.run(message)
        elif isinstance(message, SourceSynced):
            for path, entry in list(self.world.ops.find("arrivals", where=[("run_id", "==", message.run_id)])):
                self.world.ops.put(path, {**entry, **self.after(entry)})
        return super().publish(message)


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World()
    made.sync._publisher = made.deployed = Deployed(made)  # type: ignore[attr-defined]
    clients = fake_clients(documents=made.documents, ops=made.ops, sync=made.sync)
    monkeypatch.setattr("shared.runtime.clients.connect", lambda: clients)
    monkeypatch.delenv("FIRESTORE_EMULATOR_HOST", raising=False)
    return made


def sources(*arguments: str) -> Result:
    return CliRunner().invoke(app, list(arguments))


def test_sync_waits_until_what_it_brought_is_counted_and_tells_the_ledger(world: World):
    ended = sources("sync", "demo", "ga4", "--json")
    told = orjson.loads(ended.stdout)
    assert (ended.exit_code, told["status"], told["counted"], told["lost"]) == (0, "done", True, 0)
    assert [entry["collection"] for entry in told["ledger"]] == sorted(each.collection.name for each in REPORTS)
    assert {(entry["reported"], entry["written"], entry["arrived"]) for entry in told["ledger"]} == {(ROWS, ROWS, ROWS)}


def test_sync_pulls_since_the_day_that_is_given(world: World):
    assert sources("sync", "demo", "ga4", "--since", "2026-01-01").exit_code == 0
    assert str(world.source.since) == "2026-01-01"


def test_sync_that_lost_rows_on_the_way_fails_and_says_how_to_find_them(world: World):
    world.deployed.after = lambda entry: {"arrived": ROWS - 2, "lost": 2}  # type: ignore[attr-defined]
    ended = sources("sync", "demo", "ga4")
    assert ended.exit_code == REFUSED
    assert f"2 of {ROWS} documents did not become rows" in ended.output
    assert "scout verify tenants/demo/ga_" in ended.output


def test_sync_that_the_source_cut_short_fails(world: World):
    world.source.reported = 4_210
    ended = sources("sync", "demo", "ga4")
    assert (ended.exit_code, "of 4210 rows that the source reported came" in ended.output) == (REFUSED, True)


def test_sync_with_refused_credentials_fails_and_says_where_new_ones_go(world: World):
    world.source.broken_everywhere, world.source.error = True, CredentialsRefused("GA4 refused the credentials")
    ended = sources("sync", "demo", "ga4")
    assert ended.exit_code == REFUSED
    assert "ga4: GA4 refused the credentials" in ended.output
    assert "Let the account" in ended.output


def test_sync_whose_source_is_away_is_to_be_looked_at_later(world: World):
    world.source.broken_everywhere = True
    ended = sources("sync", "demo", "ga4")
    assert (ended.exit_code, "scout sources list demo" in ended.output) == (AGAIN_LATER, True)


def test_sync_that_nobody_has_counted_yet_is_no_success(world: World):
    world.deployed.after = lambda entry: {}  # type: ignore[attr-defined]
    assert sources("sync", "demo", "ga4", "--wait", "0").exit_code == AGAIN_LATER


def test_list_tells_state_account_and_what_was_lost(world: World):
    assert "new" in sources("list", "demo").stdout
    sources("check", "demo", "ga4")
    world.deployed.after = lambda entry: {"arrived": ROWS - 1, "lost": 1}  # type: ignore[attr-defined]
    sources("sync", "demo", "ga4")
    ended = sources("list", "demo", "--json")
    [ga4] = orjson.loads(ended.stdout)
    assert (ended.exit_code, ga4["state"], ga4["account"], ga4["lost"]) == (0, "connected", "Played", len(REPORTS))
    assert "did not become rows" in sources("list", "demo").stdout


def test_check_says_what_the_credentials_open(world: World):
    ended = sources("check", "demo", "ga4", "--json")
    assert orjson.loads(ended.stdout) == {"source": "ga4", "state": "connected", "account": "Played"}


@pytest.mark.parametrize(
    ("error", "code"),
    [(CredentialsRefused("GA4 refused the credentials"), REFUSED), (Unavailable("away"), AGAIN_LATER)],
)
def test_check_that_fails_ends_with_what_the_source_said(world: World, error: Any, code: int):
    world.source.broken, world.source.error = ("any", ""), error
    ended = sources("check", "demo", "ga4")
    assert (ended.exit_code, error.message in ended.output) == (code, True)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("list", "nobody"), "known: bare, demo"),
        (("check", "demo", "nothing"), "known: ga4, google_ads"),
        (("check", "demo", "stripe"), "the tenant has no stripe source (source: expected a source that"),
        (("sync", "demo", "stripe"), "the tenant has no stripe source"),
        (("sync", "demo", "ga4", "--since", "2999-01-01"), "since: expected a day from"),
    ],
)
def test_what_cannot_be_done_is_said_with_what_was_expected(world: World, arguments: tuple[str, ...], said: str):
    ended = sources(*arguments)
    assert (ended.exit_code, said in ended.output) == (REFUSED, True), ended.output
