"""Erasing events that were set aside, and Scout's own state of a tenant."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

import orjson

from shared.erasure.places import NAMES_DOCUMENTS, OPS, Place
from shared.erasure.records import Erasure
from shared.erasure.store import Bucket, Needs, Stage, Store
from shared.erasure.subject import Kind, Subject
from shared.ops.records import DeadLetter, Lease
from shared.schema.registry import records

BUCKET = "dead_letter_bucket"
FOLDER = "dead-letters/"
SEPARATORS = re.compile(r"[:./]")


class SetAside:
    """Events in the dead-letter bucket, and their summaries.

    The object goes first, the summary last: a crash in between leaves the summary, by which it is found again. An
    object whose summary was never written is found by its own headers.
    """

    name = "dead letters"
    stage = Stage.SET_ASIDE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.record is DeadLetter or (place.kind == "bucket" and place.name == BUCKET)

    def count(self, subject: Subject) -> Mapping[str, int]:
        summaries = self._summaries(subject)
        objects = {letter["object_name"] for _, letter in summaries} | set(self._alone(subject))
        bucket = self._bucket()
        held = [name for name in objects if bucket is not None and bucket.get(name) is not None]
        return {"summaries": len(summaries), "objects": len(held)}

    def erase(self, subject: Subject) -> list[str]:
        summaries, bucket = self._summaries(subject), self._bucket()
        if bucket is not None:
            for name in {letter["object_name"] for _, letter in summaries} | set(self._alone(subject)):
                bucket.delete(name)
        for path, _ in summaries:
            self._needs.ops().delete(path)
        return []

    def _summaries(self, subject: Subject) -> list[tuple[str, dict[str, Any]]]:
        ops = self._needs.ops()
        if subject.kind == "tenant":
            return list(ops.find("dead_letters", where=[("tenant_id", "==", subject.tenant_id)]))
        named = f"documents/{subject.path}"
        below = [("subject", ">=", f"{named}/"), ("subject", "<", f"{named}0")]  # 0 follows /
        found = [*ops.find("dead_letters", where=[("subject", "==", named)]), *ops.find("dead_letters", where=below)]
        return [(path, letter) for path, letter in found if self._of_database(letter["object_name"], subject)]

    def _of_database(self, name: str, subject: Subject) -> bool:
        """False only where the event says that it is of another database's document of the same path."""
        bucket = self._bucket()
        kept = bucket.get(name) if bucket is not None else None
        return kept is None or _database(orjson.loads(kept)["headers"]) in (subject.database, None)

    def _alone(self, subject: Subject) -> Iterator[str]:
        """Objects of the subject that have no summary: only what lies there without one is read."""
        bucket, ops = self._bucket(), self._needs.ops()
        if bucket is None:
            return
        for name in bucket.names(FOLDER):
            identity = name.rpartition("/")[2].removesuffix(".json")
            if ops.get(f"dead_letters/{identity}") is None and (kept := bucket.get(name)) is not None:
                headers = orjson.loads(kept)["headers"]
                about = str(headers.get("ce-subject", "")).removeprefix("documents/")
                same = subject.kind == "tenant" or _database(headers) in (subject.database, None)
                if same and (about == subject.path or about.startswith(f"{subject.path}/")):
                    yield name

    def _bucket(self) -> Bucket | None:
        return self._needs.bucket(BUCKET)


class TenantState:
    """Scout's own state of a tenant: whatever record of the ops database has its tenant_id, and leases named after it.

    The tenant's certificates stay: they are what proves the erasure.
    """

    name = "state"
    stage = Stage.STATE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        if place.kind != "collection" or not place.name.startswith(f"{OPS}/"):
            return False
        if kind == "document":
            return not NAMES_DOCUMENTS & set(place.record.model_fields if place.record else ())
        return place.has("tenant_id") or place.record is Lease

    def count(self, subject: Subject) -> Mapping[str, int]:
        return {collection: len(paths) for collection, paths in self._found(subject)}

    def erase(self, subject: Subject) -> list[str]:
        for _, paths in self._found(subject):
            for path in paths:
                self._needs.ops().delete(path)
        return []

    def _found(self, subject: Subject) -> Iterator[tuple[str, list[str]]]:
        if subject.kind != "tenant" or subject.tenant_id is None:
            return
        ops, tenant_id = self._needs.ops(), subject.tenant_id
        for record in records():
            at = record.collection
            if at is not None and at.database == OPS and "tenant_id" in record.model_fields and record is not Erasure:
                yield at.path, [path for path, _ in ops.find(at.path, where=[("tenant_id", "==", tenant_id)])]
        yield "leases", [path for path, held in ops.find("leases") if named_after(held["resource"], tenant_id)]


def named_after(name: str, tenant_id: str) -> bool:
    """True of `merge:aso_tenant_demo.notes` and `sync:demo:ga4` for demo; never for a tenant that only begins alike."""
    return bool({tenant_id, f"aso_tenant_{tenant_id}"} & set(SEPARATORS.split(name)))


def stores(needs: Needs) -> tuple[Store, ...]:
    """Scout's own."""
    return SetAside(needs), TenantState(needs)


def _database(headers: Mapping[str, Any]) -> str | None:
    """Which Firestore database an event came from, where its headers tell."""
    named = headers.get("ce-database") or str(headers.get("ce-source", "")).partition("/databases/")[2]
    return str(named).split("/")[0] or None
