"""Replaying dead letters: what is taken, what becomes of it, and what a stop, a crash or a repeat leaves."""

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import orjson
import pytest

from functions.replay_dead_letters.main import handle
from shared.errors import NotNow, Rejected, Unavailable
from shared.ops import replay as replaying
from shared.ops.dead_letters import Wanted
from shared.ops.messages import ReplayRequested
from shared.ops.records import DeadLetter
from shared.runtime.delivery import delivery
from shared.runtime.invocation import invocation
from shared.streaming.change import EventData
from tests.fakes import posted, pushed
from tests.support.letters import World
from tests.support.streaming import VALID, cloud_event, event_body, lost


@pytest.fixture
def world(monkeypatch: pytest.MonkeyPatch) -> World:
    return World(monkeypatch)


def test_letters_whose_cause_is_mended_become_rows_and_wait_no_more(world: World):
    world.deliver("a", "b", "c")
    assert world.clients.dead_letters.reasons() == {"TenantNotProvisioned": 3}
    world.mend()
    found = world.replay.run(Wanted())
    assert (found.replayed, found.taken, world.rows()) == (3, 3, 3)
    assert world.clients.dead_letters.count() == 0
    assert all(letter.replayed_at and not letter.attempts for letter in world.letters(status="replayed"))


def test_letters_of_a_batch_are_committed_together(world: World):
    world.deliver(*(f"d{number}" for number in range(60)))
    world.mend()
    world.sink.batches.clear()
    world.replay.run(Wanted())
    assert len(world.sink.batches) < 30


def test_a_second_replay_finds_nothing(world: World):
    world.deliver("a")
    world.mend()
    world.replay.run(Wanted())
    before = (world.rows(), world.clients.ops.documents)
    assert world.replay.run(Wanted()).taken == 0
    assert (world.rows(), world.clients.ops.documents) == before


def test_a_letter_that_fails_again_waits_on_with_the_newest_reason(world: World):
    world.deliver("a", "b")
    first = world.letters()[0]
    world.sink.answer = lambda rows: Rejected("still no good", field="day")
    found = world.replay.run(Wanted())
    assert (found.replayed, found.rejected) == (0, {"Rejected": 2})
    again = world.letters(status="waiting")
    assert [(letter.reason, letter.message, letter.attempts) for letter in again] == [
        ("Rejected", "still no good", 1)
    ] * 2
    assert world.letters(dead_letter_id=first.dead_letter_id)[0].set_aside_at == first.set_aside_at
    assert all(letter.tried_at and letter.tried_at > first.set_aside_at for letter in again)
    world.mend()
    assert world.replay.run(Wanted(reason="Rejected")).replayed == 2


def test_an_event_that_was_too_old_for_its_trigger_is_not_too_old_to_replay(world: World):
    async def old() -> None:
        body = event_body("tenants/demo/notes/a", VALID, at=10)
        async with delivery(cloud_event(body, age=timedelta(hours=21)), world.clients):
            raise Unavailable("BigQuery is not available")

    asyncio.run(old())
    assert [letter.reason for letter in world.letters()] == ["RetriesExhausted"]
    world.mend()
    assert world.replay.run(Wanted()).replayed == 1
    assert world.rows() == 1


@pytest.mark.parametrize(
    ("wanted", "taken"),
    [
        (Wanted(), 4),
        (Wanted(tenant_id="other"), 1),
        (Wanted(tenant_id="nobody"), 0),
        (Wanted(reason="TenantNotProvisioned"), 3),
        (Wanted(reason="UnreadableEvent"), 1),
        (Wanted(function="stream_document"), 4),
        (Wanted(function="run_etl"), 0),
        (Wanted(tenant_id="demo", reason="TenantNotProvisioned"), 2),
        (Wanted(since=datetime(2026, 1, 1, 0, 2, tzinfo=UTC)), 3),
        (Wanted(until=datetime(2026, 1, 1, 0, 2, tzinfo=UTC)), 1),
    ],
    ids=str,
)
def test_what_is_wanted_is_taken_and_nothing_else(world: World, wanted: Wanted, taken: int):
    world.deliver("a", "b")
    world.deliver("c", tenant="other")

    async def unreadable() -> None:
        async with delivery(cloud_event(b"\xff"), world.clients) as call:
            await world.streamer().stream(call.body, call.event_id, call.time)

    asyncio.run(unreadable())
    world.mend()
    assert sum(world.clients.dead_letters.reasons(wanted).values()) == taken
    assert world.replay.run(wanted).taken == taken
    assert len(world.letters(status="waiting", attempts=0)) == 4 - taken


def test_a_limit_takes_the_newest(world: World):
    world.deliver("a", "b", "c")
    world.mend()
    assert world.replay.run(Wanted(), limit=2).replayed == 2
    assert [letter.event_id for letter in world.letters(status="waiting")] == ["event-demo-a"]


def test_pages_hold_each_letter_once_though_some_fail_again(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 3)
    world.deliver(*(f"d{number}" for number in range(10)))
    world.sink.answer = lambda rows: Rejected("no") if any(b"notes/d4" in row for row in rows) else None
    found = world.replay.run(Wanted())
    assert found.taken == 10
    assert found.rejected.total() >= 1


def test_large_events_are_taken_a_few_at_a_time():
    letters = [
        DeadLetter.model_construct(dead_letter_id=str(number), size_bytes=size)
        for number, size in enumerate([0] * 20 + [5_000_000] * 4 + [100] * 50 + [40_000_000, 1])
    ]
    batches = list(replaying.batches(letters, replaying._size, replaying.BATCH_BYTES))
    assert [letter for batch in batches for letter in batch] == letters
    assert all(
        sum(letter.size_bytes or replaying.UNKNOWN_BYTES for letter in batch) <= replaying.BATCH_BYTES
        or len(batch) == 1
        for batch in batches
    )
    assert len(batches) == 5


def test_a_service_that_is_down_stops_the_run_and_the_next_one_goes_on(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 2)
    world.deliver("a", "b", "c", "d")
    world.mend()

    def goes_down(found: Any) -> None:
        world.sink.answer = lost

    found = world.replay.run(Wanted(), heard=goes_down)
    assert (found.replayed, world.rows()) == (2, 2)
    assert isinstance(found.stopped, Unavailable)
    waiting = world.letters(status="waiting")
    assert [(letter.reason, letter.attempts) for letter in waiting] == [("TenantNotProvisioned", 0)] * 2
    world.mend()
    assert world.replay.run(Wanted()).replayed == 2
    assert world.rows() == 4


def test_what_only_it_cannot_have_now_holds_up_no_other(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 1)
    world.deliver("a", "b", "c")
    behind = NotNow("the table lacks columns of the rows")
    world.sink.answer = lambda rows: behind if any(b"notes/b" in row for row in rows) else None
    found = world.replay.run(Wanted())
    assert (found.replayed, found.later, found.stopped) == (2, 1, None)
    assert [letter.event_id for letter in world.letters(status="waiting", attempts=0)] == ["event-demo-b"]


def test_a_crash_after_a_row_is_durable_and_before_it_is_noted_delivers_it_once_more(world: World):
    world.deliver("a")
    world.mend()
    settle = world.clients.dead_letters.settle

    def crash(*arguments: Any) -> None:
        raise KeyboardInterrupt

    world.clients.dead_letters.settle = crash  # type: ignore[method-assign]
    with pytest.raises(KeyboardInterrupt):
        world.replay.run(Wanted())
    assert (world.rows(), world.clients.dead_letters.count()) == (1, 1)
    world.clients.dead_letters.settle = settle  # type: ignore[method-assign]
    assert world.replay.run(Wanted()).replayed == 1
    # The same change twice in the log: the view and the merge know it by its identity.
    assert (world.rows(), world.clients.dead_letters.count()) == (2, 0)


def test_a_note_that_cannot_be_written_stops_the_run_and_loses_nothing(world: World):
    world.deliver("a")
    world.mend()

    def down(path: str) -> None:
        raise Unavailable("Firestore is not available")

    world.clients.ops.before_commit = down  # type: ignore[attr-defined]
    assert isinstance(world.replay.run(Wanted()).stopped, Unavailable)
    assert world.clients.dead_letters.count() == 1


def test_a_bug_of_one_letter_holds_up_no_other(world: World):
    world.deliver("a", "b")
    world.mend()
    objects = world.clients.dead_letter_objects.objects  # type: ignore[attr-defined]
    name = world.letters()[0].object_name
    objects[name] = b'{"headers": {}}'
    found = world.replay.run(Wanted())
    assert (found.replayed, found.rejected) == (1, {"Failed": 1})
    assert world.letters(status="waiting")[0].fields == {"cause": "KeyError"}


def test_a_letter_whose_event_was_erased_says_so_and_is_not_brought_back(world: World):
    world.deliver("a", "b")
    world.mend()
    one, two = world.letters()
    del world.clients.dead_letter_objects.objects[one.object_name]  # type: ignore[attr-defined]
    get = world.clients.dead_letter_objects.get

    def erased_meanwhile(name: str) -> bytes | None:
        world.clients.ops.delete(f"dead_letters/{two.dead_letter_id}")
        return get(name)

    world.clients.dead_letter_objects.get = erased_meanwhile  # type: ignore[method-assign]
    world.replay.run(Wanted())
    assert [(letter.dead_letter_id, letter.reason) for letter in world.letters()] == [(one.dead_letter_id, "EventGone")]


def holds(world: World, **documents: int) -> None:
    """Firestore holds these documents, each as it was written at that microsecond."""

    def fetch(names: Any, database: str, at: Any = None) -> dict[str, Any]:
        held = {name: documents.get(name.rpartition("/")[2]) for name in names}
        return {
            name: EventData.FromString(event_body(name.split("/", 5)[5], VALID, at=version)).value
            for name, version in held.items()
            if version is not None
        }

    world.scan.fetch = fetch  # type: ignore[method-assign]


def test_an_invalid_document_that_has_changed_or_gone_since_is_superseded(world: World):
    world.mend()
    world.deliver("a", "gone", amount=-1.0)
    assert world.clients.dead_letters.reasons() == {"InvalidDocument": 2}
    holds(world, a=11)
    found = world.replay.run(Wanted())
    assert (found.superseded, found.rejected.total()) == (2, 0)
    assert {letter.status for letter in world.letters()} == {"superseded"}


def test_an_invalid_document_that_is_as_it_was_waits_on(world: World):
    world.mend()
    world.deliver("a", amount=-1.0)
    holds(world, a=10)
    assert world.replay.run(Wanted()).rejected == {"InvalidDocument": 1}
    assert world.clients.dead_letters.count("demo") == 1


# --- messages --------------------------------------------------------------------------------------------------------


def set_message_aside(world: World, body: Any, **arguments: Any) -> None:
    with invocation(pushed(body, subscription="run-etl--etl-requested", **arguments), world.clients) as call:
        call.tenant_id = "demo"
        assert call.envelope.pushed
        raise Rejected("no good")


def test_a_message_is_published_to_its_topic_again(world: World):
    set_message_aside(world, {"tenant_id": "demo"}, correlation_id="c-1")
    [letter] = world.letters()
    assert world.replay.run(Wanted()).replayed == 1
    attributes = {"correlation_id": "c-1", "dead_letter_id": letter.dead_letter_id}
    assert world.clients.publisher.again == [("etl-requested", b'{"tenant_id":"demo"}', attributes)]  # type: ignore[attr-defined]
    assert world.clients.dead_letters.count() == 0


@pytest.mark.parametrize("first", ["noted", "failed"])
def test_a_message_that_fails_again_waits_whichever_is_noted_first(world: World, first: str):
    set_message_aside(world, {})
    [letter] = world.letters()

    def fail_again() -> None:
        set_message_aside(world, {}, message_id="2", dead_letter_id=letter.dead_letter_id)

    if first == "failed":
        publish = world.clients.publisher.publish_again

        def at_once(*arguments: Any) -> str:
            fail_again()
            return publish(*arguments)

        world.clients.publisher.publish_again = at_once  # type: ignore[method-assign]
    world.replay.run(Wanted())
    if first == "noted":
        fail_again()
    [again] = world.letters()
    assert (again.status, again.attempts, again.replayed_at) == ("waiting", 1, None)


def test_what_came_from_no_topic_or_for_no_function_waits_on(world: World, monkeypatch: pytest.MonkeyPatch):
    world.clients.dead_letters.set_aside(
        function="run_etl", event_id="1", error=Rejected("no"), headers={}, body=b"{}", subject="somewhere"
    )
    monkeypatch.setenv("FUNCTION_TARGET", "another_function")
    world.deliver("a")
    assert world.replay.run(Wanted()).rejected == {"NoWayBack": 2}
    assert world.clients.dead_letters.reasons() == {"NoWayBack": 2}


# --- the function ----------------------------------------------------------------------------------------------------


def published(world: World) -> list[ReplayRequested]:
    return [message for message in world.clients.publisher.messages if isinstance(message, ReplayRequested)]  # type: ignore[attr-defined]


def ask(world: World, body: Any, token: str = "operator") -> ReplayRequested:
    response = handle(posted(body, token), world.clients)
    assert response.status_code == 202
    request = published(world)[-1]
    assert orjson.loads(response.data) == {"run_id": request.run_id}
    return request


def push(world: World, request: ReplayRequested) -> int:
    return handle(pushed(request.model_dump_json().encode()), world.clients).status_code


def test_asked_for_it_answers_at_once_and_pushed_it_replays(world: World):
    world.deliver("a", "b")
    world.mend()
    request = ask(world, {"reason": "TenantNotProvisioned"})
    assert world.rows() == 0
    assert push(world, request) == 204
    progress = world.clients.progress.get(request.run_id)
    assert progress is not None
    assert (world.rows(), progress.status, progress.counts["replayed"]) == (2, "done", 2)


def test_the_same_message_again_changes_nothing(world: World):
    world.deliver("a")
    world.mend()
    request = ask(world, {})
    assert [push(world, request), push(world, request)] == [204, 204]
    assert world.rows() == 1


def test_a_tenant_replays_its_own_letters_only(world: World):
    world.deliver("a")
    world.deliver("b", tenant="other")
    world.mend()
    assert push(world, ask(world, {}, "demo")) == 204
    assert (world.rows("demo"), world.rows("other")) == (1, 0)
    assert handle(posted({"tenant_id": "other"}, "demo"), world.clients).status_code == 403
    assert handle(posted({}, None), world.clients).status_code == 401
    forged = ReplayRequested(run_id="r").model_dump_json().encode()
    assert handle(pushed(forged, "demo"), world.clients).status_code == 422


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"limit": 0}, "limit"),
        ({"since": "yesterday"}, "since"),
        ({"since": "2026-01-01T00:00:00"}, "since"),
        ({"reason": "no/name"}, "reason"),
        ({"everything": True}, "everything"),
    ],
    ids=str,
)
def test_what_it_cannot_read_is_answered_with_the_field(world: World, body: dict[str, Any], field: str):
    response = handle(posted(body), world.clients)
    assert response.status_code == 422
    assert field in response.get_data(as_text=True)


def test_a_long_run_goes_on_in_another_slice(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(replaying, "BATCH_LETTERS", 2)
    world.deliver(*(f"d{number}" for number in range(7)))
    world.sink.answer = lambda rows: Rejected("still no good")

    def clock() -> float:
        world.clock += replaying.SLICE_SECONDS
        return world.clock

    world.replay._clock = clock
    requests = [ask(world, {"limit": 5})]
    for request in requests:
        assert push(world, request) == 204
        requests += published(world)[len(requests) :]
    progress = world.clients.progress.get(requests[0].run_id)
    assert progress is not None
    assert (progress.counts["rejected"], progress.status) == (5, "done")
    assert [request.limit for request in published(world)] == [5, 1]
    # Each once, though they wait on: a slice goes on behind the last.
    assert sorted(letter.attempts for letter in world.letters()) == [0, 0, 1, 1, 1, 1, 1]


def test_a_slice_that_has_to_stop_is_tried_again_by_pubsub(world: World):
    world.deliver("a")
    world.sink.answer = lost
    request = ask(world, {})
    assert push(world, request) == 503
    world.mend()
    assert push(world, request) == 204
    assert world.rows() == 1


def test_two_workers_do_not_replay_one_slice(world: World):
    world.deliver("a")
    world.mend()
    request = ask(world, {})
    with world.clients.leases.hold(f"replay:{request.run_id}", 60):
        assert push(world, request) == 503
    assert world.rows() == 0
