"""One delivery of an event: what is raised, what is set aside, and when it is too old to be tried again."""

from datetime import timedelta
from typing import Any

import pytest
from cloudevents.http import CloudEvent

from shared.errors import BadRequest, Unavailable
from shared.ops.records import DeadLetter
from shared.runtime.clients import Clients
from shared.runtime.delivery import LONGEST_RETRY, delivery
from tests.fakes import FakeObjects, fake_clients
from tests.support.streaming import cloud_event

YOUNG, OLD = LONGEST_RETRY - timedelta(minutes=5), LONGEST_RETRY + timedelta(minutes=5)
DOWN = Unavailable("BigQuery is not available", cause="ServiceUnavailable")


class Down(FakeObjects):
    """A bucket that cannot be reached."""

    def put_if_absent(self, *arguments: Any, **named: Any) -> bool:
        raise Unavailable("Cloud Storage is not available")


@pytest.fixture
def clients() -> Clients:
    return fake_clients("demo")


async def deliver(clients: Clients, error: Exception | None, event: CloudEvent) -> None:
    async with delivery(event, clients):
        if error is not None:
            raise error


def letters(clients: Clients) -> list[DeadLetter]:
    return [DeadLetter.model_validate(values) for _, values in clients.ops.find("dead_letters")]


@pytest.mark.parametrize("error", [DOWN, KeyError("a bug")], ids=["unavailable", "bug"])
async def test_what_failed_is_raised_while_there_is_time_to_try_again(clients: Clients, error: Exception):
    with pytest.raises(type(error)):
        await deliver(clients, error, cloud_event(b"\n", age=YOUNG))
    assert letters(clients) == []


async def test_unavailable_is_answered_503_by_the_framework(clients: Clients):
    with pytest.raises(Unavailable) as raised:
        await deliver(clients, DOWN, cloud_event(b"\n"))
    assert (raised.value.status_code, raised.value.fields) == (503, DOWN.fields)  # type: ignore[attr-defined]


async def test_an_event_that_is_too_old_to_be_tried_again_is_set_aside_with_its_cause(clients: Clients):
    await deliver(clients, DOWN, cloud_event(b"\nbody", age=OLD))
    (letter,) = letters(clients)
    assert (letter.reason, letter.tenant_id) == ("RetriesExhausted", "demo")
    assert letter.fields == {"cause": "Unavailable", "said": "BigQuery is not available"}
    assert clients.dead_letters.event(letter)[1] == b"\nbody"


async def test_of_a_bug_only_its_kind_is_kept(clients: Clients, capfd: pytest.CaptureFixture[str]):
    await deliver(clients, KeyError("somebody@example.com"), cloud_event(b"\n", age=OLD))
    (letter,) = letters(clients)
    assert (letter.reason, letter.fields) == ("RetriesExhausted", {"cause": "KeyError"})
    assert "somebody@example.com" not in str(clients.ops.documents) + capfd.readouterr().out  # type: ignore[attr-defined]


async def test_the_rejected_is_set_aside_however_young(clients: Clients):
    await deliver(clients, BadRequest("no"), cloud_event(b"\n"))
    assert [letter.reason for letter in letters(clients)] == ["BadRequest"]


async def test_an_old_event_that_works_is_nothing_special(clients: Clients):
    await deliver(clients, None, cloud_event(b"\n", age=OLD))
    assert letters(clients) == []


@pytest.mark.parametrize("error", [DOWN, KeyError("a bug"), BadRequest("no")], ids=["unavailable", "bug", "rejected"])
async def test_what_cannot_be_set_aside_is_raised_and_so_tried_again(error: Exception):
    clients = fake_clients("demo", dead_letter_objects=Down())
    with pytest.raises(Unavailable):
        await deliver(clients, error, cloud_event(b"\n", age=OLD))
    assert letters(clients) == []


@pytest.mark.parametrize("time", ["2026-01-01", "yesterday", ""])
async def test_an_event_whose_age_nobody_knows_is_tried_again(clients: Clients, time: str):
    event = CloudEvent({**cloud_event(b"\n").get_attributes(), "time": time}, b"\n")
    with pytest.raises(Unavailable):
        await deliver(clients, DOWN, event)
