"""Erasing what streaming holds: rows (erased_rows.py), and notes about tables and copies."""

from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from shared.erasure.places import Place
from shared.erasure.store import Needs, Stage, Store
from shared.erasure.subject import Kind, Subject
from shared.streaming.destinations import databases_of, destinations, on_the_way, place_of
from shared.streaming.erased_rows import DocumentRows
from shared.streaming.records import Backfill, BackfillSlice, Merge, StreamPattern

FORGOTTEN = timedelta(days=8)
"""No moment that is longer ago can be read (point-in-time recovery: 7 days), and no stream stays open so long."""
"""Of all runs that ever were only these can name a document: they, and the ends of slices, have an index each."""
AT_WORK = ("requested", "copying")


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
        below = f"{subject.path}/"
        return merges + [path for path, held in patterns if place_of(held.get("pattern"))[0].startswith(below)]


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
        counts = Counter(path.partition("/")[0] for path in self._found(subject))
        counts["runs that read before"] = sum(1 for run in self._at_work() if _read_before(run, subject))
        return counts

    def erase(self, subject: Subject) -> list[str]:
        ops = self._needs.ops()
        for path, done in self._found(subject).items():
            if done:
                ops.delete(path)
            else:
                ops.transact(path, lambda held: self._without(held, subject) if held else None)
        return []

    def _found(self, subject: Subject) -> dict[str, bool]:
        """Paths of what names the subject, and whether that can be removed whole."""
        ops, found = self._needs.ops(), {}
        for path, run in ops.find("backfills", where=[("refused", ">", 0)]):
            if self._named(subject, run):
                found[path] = False
        done: dict[str, bool] = {}
        for path, part in self._slices(subject):
            if self._named(subject, part, part["low"], part["high"]):
                run_id = part["run_id"]
                if run_id not in done:
                    its = ops.get(f"backfills/{run_id}")
                    done[run_id] = its is None or its["status"] == "done"
                found[path] = done[run_id]
        if subject.kind == "tenant":
            for _, run in ops.find("backfills", where=[("tenant_id", "==", subject.tenant_id)]):
                own = ops.find("backfill_slices", where=[("run_id", "==", run["run_id"])])
                found |= dict.fromkeys((path for path, _ in own), True)
        return found

    def _slices(self, subject: Subject) -> Iterator[tuple[str, dict[str, Any]]]:
        """Those that may name it: they begin or end at what is called so, or had documents refused."""
        ops, needs = self._needs.ops(), self._needs
        for database in databases_of(needs, subject, destinations(needs, subject)):
            name = subject.full_name(needs.project, database)
            # 0 follows /, so that all below it is within; what is called name- is left out later.
            yield from ops.find("backfill_slices", where=[("low", ">=", name), ("low", "<", f"{name}0")])
            yield from ops.find("backfill_slices", where=[("high", ">=", name), ("high", "<", f"{name}0")])
        yield from ops.find("backfill_slices", where=[("refused", ">", 0)])

    def _at_work(self) -> Iterator[dict[str, Any]]:
        for status in AT_WORK:
            yield from (run for _, run in self._needs.ops().find("backfills", where=[("status", "==", status)]))

    def _named(self, subject: Subject, held: Mapping[str, Any], *ends: str) -> bool:
        return any(self._is(name, subject) for name in (*ends, *(each["name"] for each in held["refused_documents"])))

    def _without(self, values: dict[str, Any], subject: Subject) -> dict[str, Any]:
        refused = [each for each in values["refused_documents"] if not self._is(each["name"], subject)]
        return {**values, "refused_documents": refused}

    def _is(self, name: str, subject: Subject) -> bool:
        path = name.partition("/documents/")[2] or name
        return path == subject.path or path.startswith(f"{subject.path}/")


def _read_before(run: Mapping[str, Any], subject: Subject) -> bool:
    if subject.kind == "tenant" or subject.until is None or not run.get("read_at"):
        return False
    reaches = on_the_way(run["collection_path"], subject.path) is not None and run["database"] == subject.database
    return reaches and subject.until - FORGOTTEN < run["read_at"] <= subject.until


def stores(needs: Needs) -> tuple[Store, ...]:
    """Streaming."""
    return DocumentRows(needs), StreamingState(needs), Copies(needs)
