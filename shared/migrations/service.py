"""Applying migrations: in order, one target after the other, each once; the first that fails stops it all."""

import importlib
import pkgutil
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from functools import cache

from shared.errors import AppError, NotFound, Unavailable
from shared.migrations import versions
from shared.migrations.records import AppliedMigration
from shared.migrations.step import Migration, Place, Step, Tables, is_here
from shared.ops.leases import Leases
from shared.schema.names import TENANT
from shared.schema.ports import Documents
from shared.streaming.sink import Sink

SHARED = "(shared)"
LEASE_SECONDS = 3_600.0
DONE = ("done", "confirmed")


@dataclass(frozen=True)
class Pending:
    """A migration that a target lacks, and what it would do there now."""

    migration_id: str
    target: str
    note: str
    left: Mapping[str, int]


@cache
def declared() -> tuple[Migration, ...]:
    """The migrations of shared/migrations/versions, in order."""
    modules = sorted(found.name for found in pkgutil.iter_modules(versions.__path__))
    loaded = {name: importlib.import_module(f"{versions.__name__}.{name}") for name in modules}
    return tuple(replace(module.MIGRATION, migration_id=name) for name, module in loaded.items())


class Migrations:
    """The migrations of the tenants' tables, and of those that are everybody's."""

    def __init__(
        self,
        documents: Documents,
        ops: Documents,
        warehouse: Tables,
        sink: Callable[[], Sink],
        leases: Leases,
        migrations: Sequence[Migration] | None = None,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
    ) -> None:
        self._documents = documents
        self._ops = ops
        self._warehouse = warehouse
        self._sink = sink
        self._leases = leases
        self._migrations = declared() if migrations is None else migrations
        self._now = now

    def pending(self, tenant_id: str | None = None) -> list[Pending]:
        """What is not applied yet, in the order in which it will be, and what each would do; changes nothing."""
        found = []
        for migration, target, names in self._lacking(tenant_id):
            left: dict[str, int] = {}
            for step in migration.steps:
                for what, count in step.pending(self._place(migration, names)).items():
                    left[what] = left.get(what, 0) + count
            found.append(Pending(migration.migration_id, target, migration.note, left))
        return found

    def apply(self, tenant_id: str | None = None) -> Iterator[AppliedMigration]:
        """Apply what is pending, one after the other, and say so of each. What follows a failed one is not begun.

        Raises what a step raised, once the failure is written down. A repeat goes on with the step that failed.
        """
        for migration, target, names in self._lacking(tenant_id):
            # One run of a target at a time; a run that died is gone on with once its lease has ended.
            with self._leases.hold(f"migrate:{target}", LEASE_SECONDS) as held:
                if not held:
                    raise Unavailable("another run migrates this", target=target)
                yield self._apply(migration, target, names)

    def start_at_newest(self, tenant_id: str) -> None:
        """Note that a tenant whose tables are made now lacks nothing."""
        for migration in self._migrations:
            if migration.of_tenants():
                state = self._new(migration, tenant_id, "provisioned with it")
                self._ops.create(_path(migration, tenant_id), state.model_copy(update={"status": "done"}).document())

    def confirm(self, migration_id: str) -> list[str]:
        """Remove the tables that a migration kept as they were; their names. NotFound where it kept none."""
        found = [
            (path, AppliedMigration.model_validate(values))
            for path, values in self._ops.find("migrations", where=[("migration_id", "==", migration_id)])
        ]
        done = [(path, state) for path, state in found if state.status == "done" and state.kept]
        if not done:
            raise NotFound("this migration keeps no tables", field="confirm", expected="a migration that is done")
        for path, state in done:
            for name in state.kept:
                self._warehouse.drop_table(name)
            self._ops.put(path, state.model_copy(update={"status": "confirmed", "kept": []}).document())
        return [name for _, state in done for name in state.kept]

    def _lacking(self, tenant_id: str | None) -> Iterator[tuple[Migration, str, dict[str, str]]]:
        targets = list(self._targets(tenant_id))
        for migration in self._migrations:
            for target, names in targets:
                if not (migration.of_tenants() if names else migration.of_everybody()):
                    continue
                held = self._ops.get(_path(migration, target))
                if held is None or held["status"] not in DONE:
                    yield migration, target, names

    def _targets(self, tenant_id: str | None) -> Iterator[tuple[str, dict[str, str]]]:
        """Suspended tenants too: their documents are still streamed."""
        if tenant_id is None:
            yield SHARED, {}
        for path, _ in self._documents.find("tenants"):
            name = path.rpartition("/")[2]
            if TENANT.fullmatch(name) and tenant_id in (None, name):
                yield name, {"tenant_id": name}

    def _apply(self, migration: Migration, target: str, names: Mapping[str, str]) -> AppliedMigration:
        path = _path(migration, target)
        held = self._ops.get(path)
        if held is not None and held["status"] in DONE:
            return AppliedMigration.model_validate(held)  # another run was faster
        state = AppliedMigration.model_validate(held) if held else self._new(migration, target, migration.note)
        state = self._write(path, state, status="running", error=None)
        for number, step in enumerate(migration.steps):
            if number < state.steps_done:
                continue
            counts = dict(state.counts)

            def count(what: str, rows: int, counts: dict[str, int] = counts) -> None:
                counts[what] = counts.get(what, 0) + rows

            try:
                kept = self._step(step, replace(self._place(migration, names), count=count))
            except AppError as error:
                # Scout's own words name no values; those of libraries quote them.
                self._write(path, state, status="failed", error=f"{error.reason}: {error.message}", counts=counts)
                raise
            state = self._write(path, state, steps_done=number + 1, counts=counts, kept=[*state.kept, *kept])
        return self._write(path, state, status="done", finished_at=self._now())

    def _step(self, step: Step, at: Place) -> Sequence[str]:
        return step.apply(at) if any(is_here(record, at.names) for record in step.records) else ()

    def _place(self, migration: Migration, names: Mapping[str, str]) -> Place:
        return Place(self._warehouse, self._sink, self._leases, names, migration.migration_id)

    def _new(self, migration: Migration, target: str, note: str) -> AppliedMigration:
        return AppliedMigration(
            migration_id=migration.migration_id,
            target=target,
            tenant_id=None if target == SHARED else target,
            status="running",
            note=note,
            started_at=self._now(),
        )

    def _write(self, path: str, state: AppliedMigration, **changes: object) -> AppliedMigration:
        changed = state.model_copy(update=changes)
        self._ops.put(path, changed.document())
        return changed


def _path(migration: Migration, target: str) -> str:
    return f"migrations/{migration.migration_id}:{target}"
