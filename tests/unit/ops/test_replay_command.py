"""scout replay: what it shows, asks, does, and how it ends."""

import pytest
import typer
from click.testing import Result
from typer.testing import CliRunner

from infra.cli.replay import replay
from infra.cli.terminal import AGAIN_LATER, REFUSED
from shared.errors import NotNow, Rejected
from tests.support.letters import World
from tests.support.streaming import lost


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    made = World(monkeypatch)
    monkeypatch.setattr("shared.runtime.clients.connect", lambda: made.clients)
    return made


def scout(*arguments: str) -> Result:
    app = typer.Typer()
    app.command()(replay)
    result: Result = CliRunner().invoke(app, arguments)
    assert result.exception is None or isinstance(result.exception, SystemExit), result.exception
    return result


def test_a_dry_run_says_what_waits_by_reason_and_does_nothing(world: World):
    world.deliver("a", "b")
    result = scout("--dry-run", "--json")
    assert result.exit_code == 0
    assert '"TenantNotProvisioned": 2' in result.stdout
    assert world.clients.dead_letters.count() == 2


def test_it_replays_what_is_selected_and_says_what_is_left(world: World):
    world.deliver("a", "b")
    world.deliver("c", tenant="other")
    world.mend()
    result = scout("--tenant", "demo", "--reason", "TenantNotProvisioned", "--yes", "--json")
    assert result.exit_code == 0
    assert '"replayed": 2' in result.stdout
    assert '"left": 0' in result.stdout
    assert world.clients.dead_letters.count() == 1


def test_it_does_nothing_without_a_yes(world: World):
    world.deliver("a")
    world.mend()
    result = scout()
    assert result.exit_code == REFUSED
    assert "--yes" in result.output
    assert world.clients.dead_letters.count() == 1


def test_what_is_rejected_again_ends_it_with_a_code_and_the_reason(world: World):
    world.deliver("a")
    world.sink.answer = lambda rows: Rejected("still no good")
    result = scout("--yes", "--json")
    assert result.exit_code == REFUSED
    assert '"Rejected": 1' in result.stdout
    assert '"left": 1' in result.stdout


def test_what_is_down_ends_it_with_the_code_for_later(world: World):
    world.deliver("a")
    world.sink.answer = lost
    result = scout("--yes", "--json")
    assert result.exit_code == AGAIN_LATER
    assert '"stopped": "the connection to BigQuery was lost"' in result.stdout
    world.mend()
    assert scout("--yes").exit_code == 0
    assert world.clients.dead_letters.count() == 0


def test_one_that_cannot_be_had_now_is_for_later(world: World):
    world.deliver("a", "b")
    behind = NotNow("the table lacks columns of the rows")
    world.sink.answer = lambda rows: behind
    result = scout("--yes", "--json")
    assert result.exit_code == AGAIN_LATER
    assert '"later": 2' in result.stdout
    assert '"left": 2' in result.stdout


def test_nothing_that_waits_is_nothing_to_do(world: World):
    result = scout()
    assert (result.exit_code, result.stdout.strip()) == (0, "nothing waits")


@pytest.mark.parametrize(
    ("arguments", "named"),
    [(("--tenant", "No Tenant"), "tenant_id"), (("--limit", "0"), "--limit"), (("--since", "yesterday"), "--since")],
)
def test_what_it_cannot_read_is_refused_by_name(world: World, arguments: tuple[str, ...], named: str):
    result = scout(*arguments)
    assert result.exit_code != 0
    assert named in result.output
