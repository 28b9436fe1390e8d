"""The circuit breaker: when it opens, who may probe, when it closes; and adapters and sinks behind it."""

import threading
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import pytest

from shared.errors import AppError, BadRequest, NotNow, Unavailable
from shared.runtime.breaker import (
    FAILURES,
    FIRST_PAUSE_SECONDS,
    LONGEST_PAUSE_SECONDS,
    PROBE_SECONDS,
    Breaker,
    Breakers,
)
from shared.runtime.guard import GuardedSink, guard
from tests.support.streaming import FakeSink, Note, lost


class Clock:
    """Time that passes when it is told to."""

    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> Breaker:
    return Breaker("bigquery", clock, lambda: 0.0)


def fail(breaker: Breaker, times: int = 1) -> None:
    for _ in range(times):
        breaker.failed(breaker.enter())


def trip(breaker: Breaker) -> None:
    fail(breaker, FAILURES)


def test_failures_in_a_row_open_it_and_it_says_when_to_come_again(breaker: Breaker, clock: Clock):
    fail(breaker, FAILURES - 1)
    assert not breaker.is_open
    fail(breaker)
    assert breaker.is_open
    clock.now += 0.4
    with pytest.raises(Unavailable) as refused:
        breaker.enter()
    assert refused.value.fields == {"service": "bigquery", "retry_after_seconds": 0.6}


def test_a_success_in_between_begins_the_row_anew(breaker: Breaker):
    fail(breaker, FAILURES - 1)
    breaker.succeeded(breaker.enter())
    fail(breaker, FAILURES - 1)
    assert not breaker.is_open


def test_calls_that_fail_together_are_one_failure(breaker: Breaker, clock: Clock):
    together = [breaker.enter() for _ in range(4 * FAILURES)]
    clock.now += 1
    for began in together:
        breaker.failed(began)
    assert not breaker.is_open
    fail(breaker, FAILURES - 1)
    assert breaker.is_open


@pytest.mark.parametrize("error", [BadRequest("no"), NotNow("contended"), None], ids=str)
def test_whoever_answers_is_well(breaker: Breaker, error: AppError | None):
    fail(breaker, FAILURES - 1)
    breaker.ended(breaker.enter(), error)
    fail(breaker, FAILURES - 1)
    assert not breaker.is_open


def test_one_of_many_threads_may_probe(breaker: Breaker, clock: Clock):
    trip(breaker)
    clock.now += FIRST_PAUSE_SECONDS
    ready = threading.Barrier(16)

    def enter(_: int) -> bool:
        ready.wait()
        try:
            breaker.enter()
        except Unavailable:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert sum(pool.map(enter, range(16))) == 1


def test_a_probe_that_succeeds_closes_it_and_pauses_are_short_again(breaker: Breaker, clock: Clock):
    trip(breaker)
    clock.now += FIRST_PAUSE_SECONDS
    breaker.succeeded(breaker.enter())
    assert not breaker.is_open
    fail(breaker, FAILURES - 1)
    assert not breaker.is_open
    fail(breaker)
    clock.now += FIRST_PAUSE_SECONDS
    breaker.enter()


def test_pauses_grow_to_a_cap_while_probes_fail_and_a_day_costs_few_of_them(breaker: Breaker, clock: Clock):
    trip(breaker)
    probes, pauses, until = 0, [], clock.now + 86_400
    while clock.now < until:
        with pytest.raises(Unavailable) as refused:
            breaker.enter()
        pauses.append(refused.value.fields["retry_after_seconds"])
        clock.now += pauses[-1]
        fail(breaker)
        probes += 1
    assert pauses[:8] == [1, 2, 4, 8, 16, 32, 60, 60]
    assert max(pauses) == LONGEST_PAUSE_SECONDS
    assert probes <= 86_400 / LONGEST_PAUSE_SECONDS + 6


def test_what_began_before_it_opened_neither_closes_nor_prolongs_it(breaker: Breaker, clock: Clock):
    before = breaker.enter()
    clock.now += 1
    trip(breaker)
    breaker.succeeded(before)
    assert breaker.is_open
    clock.now += FIRST_PAUSE_SECONDS
    probe = breaker.enter()
    breaker.failed(before)
    breaker.succeeded(probe)
    assert not breaker.is_open


def test_a_probe_that_nobody_reports_on_makes_room_for_another(breaker: Breaker, clock: Clock):
    trip(breaker)
    clock.now += FIRST_PAUSE_SECONDS
    breaker.enter()
    clock.now += PROBE_SECONDS - 1
    with pytest.raises(Unavailable):
        breaker.enter()
    clock.now += 1
    breaker.succeeded(breaker.enter())
    assert not breaker.is_open


def test_instances_pause_for_different_times(clock: Clock):
    longest, shortest = Breaker("s", clock, lambda: 0.0), Breaker("s", clock, lambda: 1.0)
    for breaker in (longest, shortest):
        trip(breaker)
    clock.now += FIRST_PAUSE_SECONDS / 2
    shortest.enter()
    with pytest.raises(Unavailable):
        longest.enter()


def test_each_change_of_state_is_a_line(breaker: Breaker, clock: Clock, capfd: pytest.CaptureFixture[str]):
    trip(breaker)
    clock.now += FIRST_PAUSE_SECONDS
    fail(breaker)
    clock.now += 2 * FIRST_PAUSE_SECONDS
    breaker.succeeded(breaker.enter())
    lines = capfd.readouterr().out.splitlines()
    assert [line.count("circuit breaker open") for line in lines] == [1, 1, 0]
    assert "circuit breaker closed" in lines[-1]
    assert all('"service":"bigquery"' in line for line in lines)


def test_each_service_has_one_of_its_own():
    breakers = Breakers()
    trip(breakers["redis"])
    assert breakers["redis"].is_open
    assert not breakers["pubsub"].is_open


class Adapter:
    """Something that is called."""

    name = "adapter"

    def __init__(self) -> None:
        self.error: Exception | None = None
        self.calls = 0

    def get(self, key: str, default: int = 0) -> int:
        self.calls += 1
        if self.error is not None:
            raise self.error
        return default + len(key)

    def find(self, number: int) -> Iterator[int]:
        self.calls += 1
        yield from range(number)
        if self.error is not None:
            raise self.error


def test_an_adapter_behind_it_answers_as_before(breaker: Breaker):
    guarded = guard(Adapter(), breaker)
    assert (guarded.name, guarded.get("ab", default=1), list(guarded.find(3))) == ("adapter", 3, [0, 1, 2])


@pytest.mark.parametrize("method", ["get", "find"])
def test_an_adapter_that_fails_is_called_no_more(breaker: Breaker, clock: Clock, method: str):
    adapter = Adapter()
    guarded = guard(adapter, breaker)
    ask = (lambda: guarded.get("a")) if method == "get" else (lambda: list(guarded.find(1)))
    adapter.error = Unavailable("down")
    for _ in range(FAILURES + 3):
        with pytest.raises(Unavailable):
            ask()
    assert adapter.calls == FAILURES
    adapter.error = None
    clock.now += FIRST_PAUSE_SECONDS
    ask()
    assert not breaker.is_open


def test_methods_that_are_not_named_go_past_it(breaker: Breaker):
    trip(breaker)
    assert guard(Adapter(), breaker, only=("find",)).get("ab") == 2
    with pytest.raises(Unavailable):
        guard(Adapter(), breaker, only=("get",)).get("ab")


def test_a_sink_that_fails_is_left_alone_and_probed_with_one_batch(breaker: Breaker, clock: Clock):
    sink = FakeSink(lost)
    guarded = GuardedSink(sink, breaker)

    def append() -> "Future[None]":
        return guarded.connect("d.t", Note).append([b"row"])

    for _ in range(FAILURES + 3):
        assert isinstance(append().exception(), Unavailable)
    assert len(sink.batches) == FAILURES
    clock.now += FIRST_PAUSE_SECONDS
    sink.answer, sink.held = lambda rows: None, True
    probe = append()
    assert isinstance(append().exception(), Unavailable)
    sink.release()
    assert probe.exception() is None
    sink.held = False
    assert append().exception() is None
