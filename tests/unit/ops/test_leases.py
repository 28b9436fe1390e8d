"""Leases: one worker at a time, and a crash frees the resource."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.errors import Unavailable
from shared.ops.leases import Leases
from tests.fakes import FakeDocuments

PATH = "leases/merge:demo"


class World:
    """Two workers with one clock."""

    def __init__(self) -> None:
        self.at = datetime(2026, 1, 5, 12, tzinfo=UTC)
        self.documents = FakeDocuments()
        self.one, self.two = (Leases(self.documents, lambda: self.at) for _ in range(2))


@pytest.fixture
def world() -> World:
    return World()


def test_second_worker_does_not_get_what_the_first_holds(world: World):
    with world.one.hold("merge:demo", 60) as first, world.two.hold("merge:demo", 60) as second:
        assert (first, second) == (True, False)


def test_whether_somebody_holds_it_can_be_seen(world: World):
    assert not world.one.is_held("merge:demo")
    with world.one.hold("merge:demo", 60):
        assert world.two.is_held("merge:demo")
        assert not world.two.is_held("merge:other")
    assert not world.two.is_held("merge:demo")
    world.one.hold("merge:demo", 60).__enter__()
    world.at += timedelta(seconds=60)
    assert not world.two.is_held("merge:demo")


def test_one_that_was_refused_does_not_release_the_holders_lease(world: World):
    with world.one.hold("merge:demo", 60):
        with world.two.hold("merge:demo", 60):
            pass
        with world.two.hold("merge:demo", 60) as again:
            assert not again


def test_other_resources_are_free(world: World):
    with world.one.hold("merge:demo", 60), world.two.hold("merge:other", 60) as held:
        assert held


def test_released_lease_is_free_at_once(world: World):
    with world.one.hold("merge:demo", 60):
        pass
    with world.two.hold("merge:demo", 60) as held:
        assert held


def test_lease_is_released_after_an_error_too(world: World):
    with pytest.raises(ValueError, match="boom"), world.one.hold("merge:demo", 60):
        raise ValueError("boom")
    with world.two.hold("merge:demo", 60) as held:
        assert held


def test_lease_of_one_that_died_is_free_after_its_deadline(world: World):
    dead = world.one.hold("merge:demo", 60)
    assert dead.__enter__()
    world.at += timedelta(seconds=59)
    with world.two.hold("merge:demo", 60) as held:
        assert not held
    world.at += timedelta(seconds=1)
    with world.two.hold("merge:demo", 60) as held:
        assert held


def test_one_that_wakes_after_its_deadline_leaves_the_new_holders_lease(world: World):
    late = world.one.hold("merge:demo", 60)
    late.__enter__()
    world.at += timedelta(seconds=61)
    with world.two.hold("merge:demo", 60) as held:
        assert held
        late.__exit__(None, None, None)
        assert world.documents.documents[PATH]["holder"]
        with world.one.hold("merge:demo", 60) as again:
            assert not again


def test_of_two_that_take_it_at_the_same_moment_one_gets_it(world: World):
    other = world.two.hold("merge:demo", 60)
    entered: list[bool] = []

    def meanwhile(path: str) -> None:
        world.documents.before_commit = None
        entered.append(other.__enter__())

    world.documents.before_commit = meanwhile
    with world.one.hold("merge:demo", 60) as held:
        assert entered == [True]
        assert not held


def test_store_that_is_down_is_not_a_free_lease(world: World):
    world.documents.down = True
    with pytest.raises(Unavailable), world.one.hold("merge:demo", 60):
        pytest.fail("worked without a lease")
