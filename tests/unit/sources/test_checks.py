"""Tests of connections: asked for by a person, made by whoever may read the credentials."""

from typing import Any

import pytest
from flask import Response

from functions.check_source.main import handle
from shared.adapters.rest import PATIENCE_SECONDS
from shared.errors import BadRequest, CredentialsRefused, Unavailable
from shared.runtime.clients import Clients
from shared.sources.checks import Checks
from shared.sources.deadline import ANSWER_SECONDS, seconds_left
from shared.sources.messages import CheckAsked, CheckRequested
from shared.sources.states import SourceStates
from tests.fakes import fake_clients, posted, pushed
from tests.unit.sources.test_sync import World

ASKED = CheckAsked(tenant_id="demo", source="ga4")


@pytest.fixture
def world() -> World:
    return World()


@pytest.fixture
def clients(world: World) -> Clients:
    given: Any = {"documents": world.documents, "ops": world.ops, "publisher": world.publisher, "sync": world.sync}
    made = fake_clients(**given)
    made.checks = Checks(world.sync, made.progress, world.publisher)
    return made


def test_asking_publishes_and_asks_the_source_nothing(world: World, clients: Clients):
    run_id = clients.checks.ask(ASKED, "ann@shop.test")
    assert world.publisher.messages == [CheckRequested(tenant_id="demo", source="ga4", run_id=run_id)]
    progress = world.ops.documents[f"progress/{run_id}"]
    assert (progress["status"], progress["kind"], progress["requested_by"]) == ("requested", "check", "ann@shop.test")
    assert SourceStates(world.ops).all("demo") == []


def test_source_that_the_tenant_does_not_have_is_refused_at_once(world: World, clients: Clients):
    with pytest.raises(BadRequest, match="no stripe source"):
        clients.checks.ask(CheckAsked(tenant_id="demo", source="stripe"), "")
    assert (world.publisher.messages, world.ops.documents) == ([], {})


def test_answer_is_noted_as_the_sources_state_and_a_repeat_notes_it_again(world: World, clients: Clients):
    request = CheckRequested(tenant_id="demo", source="ga4", run_id="check-ga4-demo-1")
    for _ in range(2):
        assert clients.checks.run(request) == {"source": "ga4", "state": "connected", "account": "Played"}
        [state] = SourceStates(world.ops).all("demo")
        assert (state.state, state.account) == ("connected", "Played")
        assert world.ops.documents["progress/check-ga4-demo-1"]["status"] == "done"


def test_whoever_waits_is_answered_before_a_syncs_patience_ends(world: World, clients: Clients):
    patience = list[float]()
    world.source.check = lambda pull: patience.append(seconds_left(PATIENCE_SECONDS)) or "Played"
    assert handle(posted({"tenant_id": "demo", "source": "ga4"}), clients).status_code == 200
    assert 0 < patience[0] <= ANSWER_SECONDS < PATIENCE_SECONDS


@pytest.mark.parametrize(
    ("error", "state"),
    [(CredentialsRefused("GA4 refused the credentials"), "refused"), (Unavailable("GA4 is away"), "failing")],
)
def test_refusal_is_an_answer_that_is_not_asked_for_again(world: World, clients: Clients, error: Any, state: str):
    world.source.broken, world.source.error = ("any", ""), error
    message = {"tenant_id": "demo", "source": "ga4", "run_id": "check-ga4-demo-1"}
    response: Response = handle(pushed(message), clients)
    assert response.status_code == 204, "Pub/Sub has nothing to try again"
    assert [path for path in world.ops.documents if path.startswith("dead_letters/")] == []
    [noted] = SourceStates(world.ops).all("demo")
    assert (noted.state, noted.message) == (state, error.message)
    progress = world.ops.documents["progress/check-ga4-demo-1"]
    assert (progress["status"], progress["error"]) == ("failed", error.message)


def test_unreadable_message_is_set_aside(clients: Clients):
    assert handle(pushed({"tenant_id": "demo", "source": "GA 4", "run_id": "x"}), clients).status_code == 204
    [letter] = [values for _, values in clients.ops.find("dead_letters")]
    assert letter["reason"] == "BadRequest"


def test_person_is_answered_with_what_came_of_it(world: World, clients: Clients):
    body = {"tenant_id": "demo", "source": "ga4"}
    assert handle(posted(body), clients).json == {"source": "ga4", "state": "connected", "account": "Played"}
    world.source.broken, world.source.error = ("any", ""), CredentialsRefused("GA4 refused the credentials")
    refused = handle(posted(body), clients)
    assert (refused.status_code, refused.json["detail"]) == (422, "GA4 refused the credentials")  # type: ignore[index]
