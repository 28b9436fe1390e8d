"""Comparing streams on request or every day, in slices of some minutes, each of which asks for the next."""

import re
import secrets
import time
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime
from typing import Any

from shared.comparison.messages import ReconcileAsked, ReconcileRequested
from shared.comparison.records import KEPT_FOR, Difference, Verification
from shared.comparison.verification import KIND, Verifications
from shared.errors import BadRequest, Forbidden, NotFound, Unavailable
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.ops.records import Progress
from shared.schema.ports import Documents, Publisher, Warehouse
from shared.streaming.repair import Repairer
from shared.streaming.scan import Scan
from shared.streaming.service import row_of
from shared.streaming.status import streams_of
from shared.streaming.streams import Pattern, Stream, filled, stream_of
from shared.streaming.verify import RowOf, StreamComparand, of_tenant
from shared.tenants.fan_out import Asked, ask_each

LEASE_SECONDS = 600.0
SLICE_SECONDS = 240.0
"""After this long a slice hands over: settling and the last looks still fit into the function's time."""
RUN_ID = re.compile(r"[\w.-]{1,100}", re.ASCII)
TENANT_PATH = re.compile(r"tenants/([^/{}]+)/")


class Reconciler:
    """Starts comparisons of streams and carries them on."""

    def __init__(
        self,
        scan: Scan,
        warehouse: Warehouse,
        ops: Documents,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        verifications: Verifications,
        repairer: Repairer,
        patterns: Callable[[], Iterable[Pattern]],
        row: RowOf = row_of,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._scan = scan
        self._warehouse = warehouse
        self._ops = ops
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._verifications = verifications
        self._repairer = repairer
        self._patterns = patterns
        self._row = row
        self._now = now
        self._clock = clock

    def ask(self, asked: ReconcileAsked, tenants: Callable[[], list[str]], requested_by: str) -> Asked:
        """Ask for a comparison of the collection that is named, or of every stream there is.

        Forbidden where a tenant names a collection that is not below its own document; NotFound, BadRequest where
        nothing streams it.
        """
        if asked.collection is not None:
            if asked.tenant_id is not None:
                self._allow(asked.collection, asked.database, asked.tenant_id)
            return Asked([self._request(asked, asked.collection, asked.database, asked.tenant_id, requested_by)])
        found = self._streams([asked.tenant_id] if asked.tenant_id else tenants(), asked.tenant_id)
        named = {
            f"{database} {path} {tenant_id or ''}": (path, database, tenant_id) for path, database, tenant_id in found
        }

        def ask(name: str) -> str:
            return self._request(asked, *named[name], requested_by)

        return ask_each(named, ask)

    def start(self, run_id: str, asked: ReconcileAsked, tenant_id: str | None, requested_by: str) -> Verification:
        """Note a comparison of one collection; one that has begun under this id goes on instead."""
        _check(run_id)
        path = asked.collection or ""
        self._stream(path, asked.database, tenant_id)
        now = self._now()
        verification = Verification(
            run_id=run_id,
            subject=path,
            database=asked.database,
            tenant_id=tenant_id or _tenant_of(path),
            repair=asked.repair,
            settle_seconds=asked.settle_seconds,
            started_at=now,
            updated_at=now,
            expires_at=now + KEPT_FOR,
        )
        self._progress.request(run_id, KIND, verification.tenant_id or "", requested_by)
        return self._verifications.start(verification)

    def work(self, request: ReconcileRequested) -> dict[str, Any]:
        """Carry on with one comparison, and ask for its next slice unless it is done.

        A repeat finds it done, or goes on behind its cursor. Unavailable while another worker is at it.
        """
        began = self._clock()
        with self._leases.hold(f"verify:{request.run_id}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("another worker compares it", run_id=request.run_id)
            found = self.carry_on(request.run_id, lambda: self._clock() - began > SLICE_SECONDS)
        if found.status != "done":
            self._publisher.publish(request)
        return {"status": found.status, **found.counts, **found.repairs}

    def carry_on(self, run_id: str, enough: Callable[[], bool] = lambda: False) -> Verification:
        """Compare, then repair where that was asked for, until the end or until `enough`. NotFound: no such run."""
        found = self.get(run_id)
        comparand = self.comparand(found)
        found = self._verifications.carry_on(found, comparand, enough)
        if found.status == "repairing" and not enough():
            found = self._repairer.repair(found, comparand, enough)
        return found

    def repair(self, run_id: str) -> Verification:
        """Repair what a comparison found that has ended."""
        found = self.get(run_id)
        return self._repairer.repair(found, self.comparand(found))

    def get(self, run_id: str) -> Verification:
        """The comparison; NotFound where there is none."""
        _check(run_id)
        found = self._verifications.get(run_id)
        if found is None:
            raise NotFound("no such run", field="run_id", expected="the run_id of a verification")
        return found

    def differences(self, run_id: str, limit: int | None = None) -> Iterator[Difference]:
        """What a comparison found, in the order of names."""
        return self._verifications.differences(run_id, limit)

    def progress_of(self, run_id: str) -> Progress | None:
        """How far a comparison is."""
        return self._progress.get(run_id)

    def comparand(self, verification: Verification) -> StreamComparand:
        """Both sides of a comparison."""
        stream = self._stream(verification.subject, verification.database, verification.tenant_id)
        return StreamComparand(self._scan, self._warehouse, self._ops, stream, verification.run_id, self._row)

    def _request(
        self, asked: ReconcileAsked, path: str, database: str, tenant_id: str | None, requested_by: str
    ) -> str:
        run_id = new_run_id()
        one = asked.model_copy(update={"collection": path, "database": database})
        verification = self.start(run_id, one, tenant_id, requested_by)
        self._publisher.publish(ReconcileRequested(run_id=run_id, tenant_id=verification.tenant_id))
        return run_id

    def _allow(self, path: str, database: str, tenant_id: str) -> None:
        """Both the path and what it means must be the tenant's: a group may lie anywhere."""
        own = f"tenants/{tenant_id}/"
        if not path.startswith(own) or not f"{self._stream(path, database, tenant_id).parent}/".startswith(own):
            raise Forbidden("the collection is not the tenant's", field="collection", expected=f"a path below {own}")

    def _stream(self, path: str, database: str, tenant_id: str | None) -> Stream:
        return of_tenant(stream_of(path, database, self._patterns()), tenant_id)

    def _streams(self, tenant_ids: list[str], only: str | None) -> Iterator[tuple[str, str, str | None]]:
        """Path, database and tenant of every stream: the declared ones, and what else has tables."""
        for record, names in streams_of(self._ops, tenant_ids):
            owner = names.get("tenant_id")
            if record.collection is not None and (owner is not None or only is None):
                yield filled(record.collection.path, names), record.collection.database, owner


def new_run_id() -> str:
    """A run id that says what it is."""
    return f"verify-{secrets.token_hex(5)}"


def _check(run_id: str) -> None:
    if not RUN_ID.fullmatch(run_id):
        raise BadRequest("not a run's id", field="run_id", expected="at most 100 letters, digits, - . _")


def _tenant_of(path: str) -> str | None:
    found = TENANT_PATH.match(path)
    return found[1] if found else None
