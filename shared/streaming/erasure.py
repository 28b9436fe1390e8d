"""Erasing what streaming holds: rows (erased_rows.py), and notes about tables and copies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Kind, Subject
from shared.streaming.erased_rows import DocumentRows, on_the_way
from shared.streaming.records import Backfill, BackfillSlice, Merge, StreamPattern

FORGOTTEN = timedelta(days=8)
"""No moment that is longer ago can be read (point-in-time recovery: 7 days), and no stream stays open so long."""


class StreamingState:
    """How far a tenant's tables are merged, and patterns that are for it alone."""

    name = "streaming"
    stage = Stage.STATE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.record in (Merge, StreamPattern)

    def count(self, subject: Subject) -> Mapping[str, int]:
        return Counter(path.partition("/")[0] for path in self._found(subject))

    def erase(self, subject: Subject) -> list[str]:
        for path in self._found(subject):
            self._needs.ops().delete(path)
        return []

    def _found(self, subject: Subject) -> list[str]:
        if subject.kind != "tenant":
            return []
        dataset = f"aso_tenant_{subject.tenant_id}"
        where = [("view", ">=", f"{dataset}."), ("view", "<", f"{dataset}/")]  # / follows .
        merges = [path for path, _ in self._needs.ops().find("merges", where=where)]
        patterns = self._needs.ops().find("streams")
        return merges + [path for path, held in patterns if held["pattern"]["path"].startswith(f"{subject.path}/")]


class Copies:
    """What copies note: documents that were refused, and documents at which slices begin and end.

    A slice of a run that is done is needed no more; one at work keeps its ends until a later sweep. A run that read
    before the subject was gone, and has not ended, may still bring it back, from a stream that nothing else can see
    into: while there is one the erasure is swept on.
    """

    name = "copies"
    stage = Stage.STATE

    def __init__(self, needs: Needs) -> None:
        self._needs = needs

    def covers(self, place: Place, kind: Kind) -> bool:
        return place.record is BackfillSlice or (place.record is Backfill and kind == "document")

    def count(self, subject: Subject) -> Mapping[str, int]:
        counts = Counter(path.partition("/")[0] for path, _ in self._found(subject))
        counts["runs that read before"] = sum(1 for run in self._runs().values() if _read_before(run, subject))
        return counts

    def erase(self, subject: Subject) -> list[str]:
        ops = self._needs.ops()
        for path, done in list(self._found(subject)):
            if done:
                ops.delete(path)
            else:
                ops.transact(path, lambda held: self._without(held, subject) if held else None)
        return []

    def _found(self, subject: Subject) -> Iterator[tuple[str, bool]]:
        """Paths of what names the subject, and whether that can be removed whole."""
        ops, runs = self._needs.ops(), self._runs()
        for path, run in ((f"backfills/{run_id}", run) for run_id, run in runs.items()):
            if any(self._is(each["name"], subject) for each in run["refused_documents"]):
                yield path, False
        for path, part in ops.find("backfill_slices"):
            run = runs.get(part["run_id"], {"status": "done", "tenant_id": ""})
            named = [part["low"], part["high"], *(each["name"] for each in part["refused_documents"])]
            own = subject.kind == "tenant" and run["tenant_id"] == subject.tenant_id
            if own or any(self._is(name, subject) for name in named):
                yield path, own or run["status"] == "done"

    def _runs(self) -> dict[str, dict[str, Any]]:
        return {values["run_id"]: values for _, values in self._needs.ops().find("backfills")}

    def _without(self, values: dict[str, Any], subject: Subject) -> dict[str, Any]:
        refused = [each for each in values["refused_documents"] if not self._is(each["name"], subject)]
        return {**values, "refused_documents": refused}

    def _is(self, name: str, subject: Subject) -> bool:
        path = name.partition("/documents/")[2] or name
        return path == subject.path or path.startswith(f"{subject.path}/")


def _read_before(run: Mapping[str, Any], subject: Subject) -> bool:
    if subject.kind == "tenant" or subject.until is None or run["status"] == "done" or not run.get("read_at"):
        return False
    reaches = on_the_way(run["collection_path"], subject.path) is not None and run["database"] == subject.database
    return reaches and subject.until - FORGOTTEN < run["read_at"] <= subject.until


def stores(needs: Needs) -> tuple[Store, ...]:
    """Streaming."""
    return DocumentRows(needs), StreamingState(needs), Copies(needs)
