"""Merging the current tables that are due, or those of one tenant, side by side."""

import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.errors import AppError, Unavailable
from shared.schema.names import tenant_id
from shared.schema.ports import Documents
from shared.schema.record import PLACEHOLDER, Record
from shared.schema.registry import streamed_records
from shared.streaming.merge import Merged, Merger
from shared.streaming.messages import MergeRequested
from shared.streaming.records import Merge, StreamedTable
from shared.streaming.tables import dataset_of, view_name
from shared.streaming.undeclared import of_table, streamed_tables
from shared.tenants.service import Tenants

Table = tuple[type[Record], Mapping[str, str]]

WORKERS = 4
SECONDS = 300.0
"""No further table is begun after; what is left is due at the next tick as well."""
MOST_DUE = 1_000
SUSPENDED = timedelta(hours=1)
"""How long a suspended tenant's tables are not asked for: they must not keep others from being due."""


class Merges:
    """Merges many tables."""

    def __init__(
        self,
        merger: Merger,
        tenants: Tenants,
        documents: Documents,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._merger = merger
        self._tenants = tenants
        self._documents = documents
        self._now = now
        self._clock = clock

    def run(self, wanted: MergeRequested) -> dict[str, Any]:
        """Merge what is wanted; a report of each table that was touched. A table that fails, fails alone.

        Unavailable, with the report, where a table that was to be merged in any case could not be. A bug in one is
        raised once the others are done.
        """
        until = self._clock() + SECONDS
        reports: list[dict[str, Any]] = []
        skipped = left = 0
        bugs: list[Exception] = []

        def one(table: Table) -> Merged | dict[str, Any] | Exception | None:
            if self._clock() >= until:
                return None
            record, names = table
            try:
                return self._merger.merge(record, names, force=wanted.force, compacting=wanted.compact)
            except AppError as error:
                # Not at each tick again: it may fail after a statement that costs.
                every = timedelta(seconds=record.table.merge_every_seconds if record.table else 0)
                view = view_name(record, dataset_of(record, names))
                with suppress(Unavailable):
                    self._merger.put_off(view, self._now() + every, f"{error.reason}: {error.message}")
                return {"table": record.table and record.table.name, **names, **_failed(error)}
            except Exception as error:  # noqa: BLE001  raised below: a bug in one table must not keep others from it
                return error

        with ThreadPoolExecutor(WORKERS) as pool:
            for found in pool.map(one, self._tables(wanted)):
                if found is None:
                    left += 1
                elif isinstance(found, Exception):
                    bugs.append(found)
                elif isinstance(found, dict):
                    reports.append(found)
                elif found.status in ("not due", "busy"):
                    skipped += 1
                else:
                    reports.append(asdict(found))
        outcome = {"tables": reports, "skipped": skipped, "left": left}
        if bugs:
            raise bugs[0]
        if wanted.force and (left or any(report.get("retry") for report in reports)):
            raise Unavailable("not every table could be merged", **outcome)
        return outcome

    def _tables(self, wanted: MergeRequested) -> Iterable[Table]:
        if wanted.tenant_id or wanted.discover or wanted.force or wanted.compact:
            return self._all(wanted.tenant_id)
        return self._due()

    def _due(self) -> Iterator[Table]:
        """What a tick has to do, by one query: it costs the same however many tables are quiet."""
        declared = {record.__name__: record for record in streamed_records()}
        by_table = {record.table.name: record for record in streamed_records() if record.table is not None}
        suspended = _Suspended(self._tenants)
        due = self._documents.find("merges", where=[("next_at", "<=", self._now())], order_by="next_at", limit=MOST_DUE)
        for _, values in due:
            state = Merge.model_validate(values)
            if suspended(state.names.get("tenant_id")):
                self._merger.put_off(state.view, self._now() + SUSPENDED)
                continue
            if state.record in declared:
                yield declared[state.record], state.names
            elif not state.record and (found := self._documents.get(f"streamed_tables/{state.view}")):
                record, names = of_table(StreamedTable.model_validate(found))
                # What was undeclared at its last merge may be declared by now: the tables are the same.
                yield by_table.get(record.table.name if record.table else "", record), names

    def _all(self, tenant: str | None) -> Iterator[Table]:
        """Every table of one tenant, or of all: those too that were never merged."""
        ids = [tenant_id(tenant)] if tenant else self._tenants.ids()
        for record in streamed_records():
            placeholders = PLACEHOLDER.findall(record.table.dataset) if record.table else []
            if placeholders == ["tenant_id"]:
                yield from ((record, {"tenant_id": one}) for one in ids)
            elif not placeholders and not tenant:
                yield record, {}
        for record, names in streamed_tables(self._documents, tenant):
            if names.get("tenant_id") in (None, *ids):
                yield record, names


class _Suspended:
    """Of a suspended tenant nothing runs; each is asked for once."""

    def __init__(self, tenants: Tenants) -> None:
        self._tenants = tenants
        self._known: dict[str, bool] = {}

    def __call__(self, tenant: str | None) -> bool:
        if tenant is None:
            return False
        if tenant not in self._known:
            self._known[tenant] = not self._tenants.exists(tenant)
        return self._known[tenant]


def _failed(error: AppError) -> dict[str, Any]:
    return {"status": "failed", "reason": error.reason, "error": error.message, "retry": isinstance(error, Unavailable)}
