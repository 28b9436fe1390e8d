"""Erasing, sweeping again what arrives late, and the certificate that says so."""

import hashlib
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from shared.erasure.records import Counted, Erasure, Sweep
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Subject
from shared.errors import AppError, BadRequest, Forbidden, NotFound, Unavailable
from shared.ops.leases import Leases
from shared.schema.ports import Documents

LATE = timedelta(hours=26)
"""Triggers retry for 24 hours, and an event is set aside at 20: nothing of before arrives later than this."""
LEASE_SECONDS = 1_800.0
KEPT_SWEEPS = 50


class Erasures:
    """Erases documents and tenants from every registered store."""

    def __init__(
        self, needs: Needs, stores: Sequence[Store], now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._needs = needs
        self._stores = stores
        self._now = now

    def request(self, subject: Subject, requested_by: str) -> Erasure:
        """Open a certificate, or find the one that is open for the same subject: asked twice is asked once.

        NotFound for a tenant of which nothing is there.
        """
        if subject.database == self._needs.ops_database:
            raise BadRequest("Scout's own state is not erased by document", field="database", expected="(default)")
        for found in self._open():
            if (found.kind, found.subject, found.database) == (subject.kind, subject.path, subject.database):
                return found
        if subject.kind == "tenant" and not any(any(store.count(subject).values()) for store in self._stores):
            raise NotFound("nothing is held of this tenant", field="tenant_id", expected="the id of a tenant")
        erasure_id = secrets.token_hex(8)
        erasure = Erasure(
            erasure_id=erasure_id,
            kind=subject.kind,
            subject_hash=subject_hash(erasure_id, subject.database, subject.path),
            subject=subject.path,
            database=subject.database,
            requested_by=requested_by,
            requested_at=self._now(),
        )
        self._ops.create(f"erasures/{erasure_id}", erasure.document())
        return erasure

    def run(self, erasure_id: str) -> Erasure:
        """One pass over all stores, then what the certificate says now. A repeat finds nothing left, or what came late.

        A crash anywhere is harmless: each store was asked to erase before its counts were written, and is asked again
        by the next pass. Unavailable where Firestore could not be erased, or another worker is at it.
        """
        with Leases(self._ops, self._now).hold(f"erase:{erasure_id}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("another worker is at this erasure", erasure_id=erasure_id)
            erasure = self.get(erasure_id)
            return erasure if erasure.status != "open" else self._pass(erasure)

    def sweep(self, operator: bool) -> dict[str, int]:
        """One pass for each open erasure; one that fails stops no other. Unavailable, once all were tried, if any did.

        Returns counts: erasures swept, things removed, erasures that became final. Forbidden for anybody but operators.
        """
        if not operator:
            raise Forbidden("erasures are an operator's", expected="an operator's token")
        counts, failed = {"swept": 0, "removed": 0, "final": 0}, {}
        for erasure in self._open():
            try:
                after = self.run(erasure.erasure_id)
            except AppError as error:
                failed[erasure.erasure_id] = f"{error.reason}: {error.message}"
                continue
            counts["swept"] += 1
            counts["removed"] += after.sweeps[-1].removed if after.sweeps else 0
            counts["final"] += after.status == "final"
        if failed:
            raise Unavailable("not every erasure could be swept", failed=failed, **counts)
        return counts

    def get(self, erasure_id: str) -> Erasure:
        """The certificate; NotFound where there is none."""
        values = self._ops.get(f"erasures/{erasure_id}")
        if values is None:
            raise NotFound("no such erasure", field="erasure_id", expected="an id that `scout erase show` lists")
        return Erasure.model_validate(values)

    def latest(self, limit: int = 20) -> list[Erasure]:
        """The newest certificates."""
        found = self._ops.find("erasures", order_by="-requested_at", limit=limit)
        return [Erasure.model_validate(values) for _, values in found]

    @property
    def _ops(self) -> Documents:
        return self._needs.ops()

    def _open(self) -> list[Erasure]:
        found = self._ops.find("erasures", where=[("status", "==", "open")])
        return [Erasure.model_validate(values) for _, values in found]

    def _pass(self, erasure: Erasure) -> Erasure:
        if self._provisioned_again(erasure):
            return self._write(erasure, status="superseded", subject=None, final_at=self._now())
        waiting: dict[str, str] = {}
        removed, held = 0, False
        for store in self._stores:
            if store.stage is Stage.STATE and erasure.kind == "tenant" and held:
                continue  # the notes by which the next sweep finds what is held
            outcome = _erase(store, erasure.about())
            problem = outcome.problem
            if problem is not None:
                waiting[store.name] = problem
            removed += outcome.removed
            held = held or (store.stage < Stage.STATE and (problem is not None or any(outcome.after.values())))
            erasure = self._write(
                erasure,
                stores={**erasure.stores, store.name: _counted(erasure.stores.get(store.name, {}), outcome)},
                statements=list(dict.fromkeys([*erasure.statements, *outcome.statements])),
                gone_at=erasure.gone_at or self._gone_at(store, problem, erasure),
            )
            if store.stage is Stage.SOURCE and problem is not None:
                # Whatever is copied from it would come back.
                raise Unavailable("Firestore could not be erased", store=store.name, cause=problem)
        return self._close(erasure, removed, waiting)

    def _gone_at(self, store: Store, problem: str | None, erasure: Erasure) -> datetime | None:
        """Firestore's own time: rows are told from those of a later document by it, whatever our clock says."""
        if store.stage is not Stage.SOURCE or problem is not None:
            return None
        return self._needs.documents(erasure.database).moment()

    def _close(self, erasure: Erasure, removed: int, waiting: dict[str, str]) -> Erasure:
        at = self._now()
        clean = not waiting and not erasure.left
        final = clean and erasure.gone_at is not None and at >= erasure.gone_at + LATE
        return self._write(
            erasure,
            sweeps=[*erasure.sweeps, Sweep(finished_at=at, removed=removed, waiting=waiting)][-KEPT_SWEEPS:],
            finished_at=erasure.finished_at or (at if clean else None),
            **({"status": "final", "final_at": at, "subject": None} if final else {}),
        )

    def _provisioned_again(self, erasure: Erasure) -> bool:
        """True where the tenant's settings were made after it was gone: what there is now is another's."""
        if erasure.kind != "tenant" or erasure.gone_at is None or erasure.subject is None:
            return False
        tree = self._needs.documents(erasure.database).tree(erasure.subject)
        return any(path == erasure.subject and made > erasure.gone_at for path, made in tree)

    def _write(self, erasure: Erasure, **changes: object) -> Erasure:
        changed = erasure.model_copy(update=changes)
        self._ops.put(f"erasures/{erasure.erasure_id}", changed.document())
        return changed


def subject_hash(erasure_id: str, database: str, path: str) -> str:
    """What a certificate keeps of its subject: whoever knows the path can tell that it is about it."""
    return hashlib.sha256(f"{erasure_id}\n{database}\n{path}".encode()).hexdigest()


@dataclass(frozen=True)
class _Outcome:
    """What one store held before and after, and why it has to be tried again."""

    before: Mapping[str, int]
    after: Mapping[str, int]
    statements: Sequence[str] = ()
    problem: str | None = None

    @property
    def removed(self) -> int:
        return sum(max(0, held - self.after.get(part, 0)) for part, held in self.before.items())


def _erase(store: Store, subject: Subject) -> _Outcome:
    """Ask one store. Its error stops no other; what it could erase all the same is counted."""
    before: Mapping[str, int] = {}
    problem, done = None, []
    try:
        before = store.count(subject)
        if not any(before.values()):
            return _Outcome(before, before)
        try:
            done = store.erase(subject)
        except AppError as error:
            problem = _said(error)
        return _Outcome(before, store.count(subject), done, problem)
    except AppError as error:
        return _Outcome(before, before, done, problem or _said(error))


def _said(error: AppError) -> str:
    return f"{error.reason}: {error.message}"


def _counted(found: Mapping[str, Counted], outcome: _Outcome) -> dict[str, Counted]:
    counted = dict(found)
    if not outcome.before and outcome.problem is not None:
        return counted  # it could not even be counted: what is known stays
    for part in {*found, *outcome.before, *outcome.after}:
        held, left = outcome.before.get(part, 0), outcome.after.get(part, 0)
        earlier = found.get(part, Counted(before=held, removed=0, after=held))
        counted[part] = Counted(before=earlier.before, removed=earlier.removed + max(0, held - left), after=left)
    return dict(sorted(counted.items()))
