"""Migrations run in order, each once, one target after the other; the first that fails stops the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import pytest

from shared.errors import NotFound, Rejected, Unavailable
from shared.migrations.service import Migrations, declared
from shared.migrations.step import Migration, Place
from shared.ops.leases import Leases
from shared.schema.record import Key, Record, Table
from tests.fakes import FakeDocuments, ScriptedWarehouse


class Own(Record):
    """A tenant's table."""

    own_id: Key[str]
    table = Table("aso_tenant_{tenant_id}.own")


class Everybodys(Record):
    """A table of everybody's."""

    id: Key[str]
    table = Table("analytics.everybodys")


@dataclass(frozen=True)
class Note:
    """A step that writes down where it worked; it fails where it is told to."""

    name: str
    done: list[tuple[str, str]]
    record: type[Record] = Own
    fails: set[str] = field(default_factory=set)

    @property
    def records(self) -> Sequence[type[Record]]:
        return (self.record,)

    def pending(self, at: Place) -> Mapping[str, int]:
        return {"rows": 7}

    def apply(self, at: Place) -> Sequence[str]:
        where = at.names.get("tenant_id", "all")
        if where in self.fails:
            raise Rejected("it does not fit", tenant=where)
        self.done.append((self.name, where))
        at.count("rows", 7)
        return (f"{at.dataset(self.record)}.old",)


class Dropping(ScriptedWarehouse):
    """Notes which tables are dropped."""

    def __init__(self) -> None:
        super().__init__()
        self.dropped: list[str] = []

    def copy_table(self, source: str, target: str) -> None:
        raise AssertionError

    def drop_table(self, name: str) -> None:
        self.dropped.append(name)


class Lab:
    def __init__(self) -> None:
        self.documents, self.ops, self.warehouse = FakeDocuments(), FakeDocuments(), Dropping()
        self.done: list[tuple[str, str]] = []
        self.fails: set[str] = set()
        for name, status in (("a", "active"), ("b", "suspended")):
            self.documents.put(f"tenants/{name}", {"tenant_id": name, "status": status})

    def migrations(self, *migrations: Migration) -> Migrations:
        def never() -> object:
            raise AssertionError("nothing is appended here")

        return Migrations(self.documents, self.ops, self.warehouse, never, Leases(self.ops), migrations)  # type: ignore[arg-type]

    def migration(self, name: str, *records: type[Record]) -> Migration:
        steps = tuple(Note(f"{name}{n}", self.done, record, self.fails) for n, record in enumerate(records or (Own,)))
        return Migration(steps, note="a note", migration_id=name)


@pytest.fixture
def lab():
    return Lab()


def test_each_is_applied_once_to_every_tenant_suspended_ones_too(lab):
    migrations = lab.migrations(lab.migration("m1"), lab.migration("m2"))
    assert [each.status for each in migrations.apply()] == ["done"] * 4
    assert lab.done == [("m10", "a"), ("m10", "b"), ("m20", "a"), ("m20", "b")]
    assert list(migrations.apply()) == []


def test_what_is_everybodys_is_migrated_once(lab):
    list(lab.migrations(lab.migration("m1", Everybodys, Own)).apply())
    assert lab.done == [("m10", "all"), ("m11", "a"), ("m11", "b")]


def test_the_first_that_fails_stops_the_rest_and_says_so(lab):
    lab.fails.add("a")
    migrations = lab.migrations(lab.migration("m1"), lab.migration("m2"))
    with pytest.raises(Rejected):
        list(migrations.apply())
    assert lab.done == []
    state = lab.ops.get("migrations/m1:a")
    assert (state["status"], state["error"]) == ("failed", "Rejected: it does not fit")
    assert lab.ops.get("migrations/m1:b") is None


def test_a_repeat_goes_on_with_the_step_that_failed(lab):
    first, second = Note("first", lab.done), Note("second", lab.done, fails=lab.fails)
    migrations = lab.migrations(Migration((first, second), "a note", "m1"))
    lab.fails.add("a")
    with pytest.raises(Rejected):
        list(migrations.apply("a"))
    lab.fails.clear()
    (state,) = migrations.apply("a")
    assert lab.done == [("first", "a"), ("second", "a")]
    assert (state.status, state.error, state.counts) == ("done", None, {"rows": 14})


def test_one_run_of_a_target_at_a_time(lab):
    migrations = lab.migrations(lab.migration("m1"))
    with Leases(lab.ops).hold("migrate:a", 60), pytest.raises(Unavailable):
        list(migrations.apply())
    assert lab.done == []


def test_a_tenant_that_is_provisioned_now_lacks_nothing(lab):
    migrations = lab.migrations(lab.migration("m1"), lab.migration("m2", Everybodys))
    migrations.start_at_newest("a")
    assert [(each.migration_id, each.target) for each in migrations.pending()] == [("m1", "b"), ("m2", "(shared)")]


def test_looking_changes_nothing(lab):
    before = dict(lab.ops.documents)
    (found,) = lab.migrations(lab.migration("m1")).pending("a")
    assert (found.target, found.note, found.left) == ("a", "a note", {"rows": 7})
    assert (lab.ops.documents, lab.done) == (before, [])


def test_kept_tables_go_once_they_are_confirmed(lab):
    migrations = lab.migrations(lab.migration("m1"))
    list(migrations.apply("a"))
    assert migrations.confirm("m1") == ["aso_tenant_a.old"]
    assert lab.warehouse.dropped == ["aso_tenant_a.old"]
    with pytest.raises(NotFound):
        migrations.confirm("m1")


def test_declared_migrations_are_named_by_their_modules_in_order():
    names = [migration.migration_id for migration in declared()]
    assert names == sorted(names)
    assert names[0] == "m0001_declared_columns"
    assert len({name[:5] for name in names}) == len(names), "two migrations have the same number"
    assert all(migration.note and migration.steps for migration in declared())
