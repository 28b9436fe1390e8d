"""The ledger of a sync: what each collection brought by day, what the source reported, what it refused.

A slice that is repeated counts anew and replaces its own counts; those of the slices before it are one sum. So the
ledger grows with days, not with pages.
"""

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from shared.ops.records import Arrivals, iso_day, summed
from shared.schema.ports import Documents
from shared.sources.source import Page

BEFORE = "before"
NAMED = 20
"""So many documents that Firestore does not take are named."""


@dataclass(frozen=True)
class Entry:
    """One collection in one run; slice: by which the run is at it now."""

    run_id: str
    tenant_id: str
    source: str
    collection_name: str
    started_at: datetime
    slice: int

    @property
    def path(self) -> str:
        """Its document."""
        return f"arrivals/{self.run_id}:{self.collection_name}"


@dataclass(frozen=True)
class Written:
    """What became of a page: the days of documents that were written, that were there already, that were not taken.

    unwritten_documents: the names of these, and why.
    """

    written: Sequence[Any] = ()
    unchanged: Sequence[Any] = ()
    unwritten: Sequence[Any] = ()
    unwritten_documents: Sequence[str] = ()


@dataclass
class Tally:
    """What one slice brought of one collection, by day.

    began_at: when the slice began, the first time. told: the documents that it counted.
    """

    began_at: datetime | None = None
    told: set[str] = field(default_factory=set)
    counts: dict[str, Counter[str]] = field(
        default_factory=lambda: {"pages": Counter(), "unchanged": Counter(), "unwritten": Counter()}
    )
    unwritten_documents: list[str] = field(default_factory=list)
    _pages: list[tuple[str, dict[str, Counter[str]]]] = field(default_factory=list)

    def add(self, position: str, told: Written) -> None:
        """Count a page."""
        page = {
            "pages": Counter(map(iso_day, told.written)),
            "unchanged": Counter(map(iso_day, told.unchanged)),
            "unwritten": Counter(map(iso_day, told.unwritten)),
        }
        for name, counts in page.items():
            self.counts[name].update(counts)
        self.unwritten_documents.extend(told.unwritten_documents)
        self._pages.append((position, page))

    def cut(self, position: str) -> None:
        """Count no page from a position on: the next slice begins there."""
        while any(at == position for at, _ in self._pages):
            for name, counts in self._pages.pop()[1].items():
                self.counts[name] -= counts


class Ledger:
    """Keeps entries where the ETL compares them with what arrived (shared/analytics/arrivals.py)."""

    def __init__(self, ops: Documents) -> None:
        self._ops = ops

    def add(self, entry: Entry, tally: Tally, page: Page) -> None:
        """Keep what a slice has brought as far as a page."""
        told = {"reported": page.reported, "complete": page.following is None, "failed": None}
        self._change(entry, lambda before: _counts(before, entry, tally) | told)

    def cut(self, entry: Entry, tally: Tally) -> None:
        """Keep what a slice has brought before the next one begins."""
        self._change(entry, lambda before: _counts(before, entry, tally))

    def refuse(self, entry: Entry, why: str) -> None:
        """Say why the source gave no more of a collection."""
        self._change(entry, lambda before: {"pages": before.get("pages", {}), "failed": why[:300]})

    def of(self, run_id: str) -> dict[str, Arrivals]:
        """The entries of a run, by collection."""
        found = self._ops.find("arrivals", where=[("run_id", "==", run_id)])
        return {entry.collection_name: entry for _, values in found for entry in (Arrivals.model_validate(values),)}

    def _change(self, entry: Entry, change: Any) -> None:
        def changed(found: dict[str, Any] | None) -> dict[str, Any]:
            told = asdict(entry)
            told.pop("slice")
            before = found or {}
            # What the ETL found of an attempt that failed is not said of what comes behind it.
            told |= {"arrived": None, "lost": None, "unaggregated": 0, "finished_at": datetime.now(UTC)}
            return Arrivals.model_validate({**before, **change(before), **told}).document()

        self._ops.transact(entry.path, changed)


def shortage(entry: Arrivals) -> str | None:
    """What the source refused of a collection, or said that it had and did not give."""
    there = sum(sum(days.values()) for days in (entry.days(), entry.days_unchanged(), entry.days_unwritten()))
    if entry.failed:
        return f"{entry.collection_name}: {entry.failed}"
    if entry.reported is not None and there < entry.reported:
        return f"{entry.collection_name}: {there} of {entry.reported} rows that the source reported came"
    return None


def _counts(before: Mapping[str, Any], entry: Entry, tally: Tally) -> dict[str, Any]:
    now, told = f"slice-{entry.slice}", dict[str, Any]()
    for name, counts in tally.counts.items():
        kept = summed(days for of, days in before.get(name, {}).items() if of != now)
        told[name] = ({BEFORE: kept} if kept else {}) | {now: dict(counts)}
    named = dict.fromkeys([*before.get("unwritten_documents", ()), *tally.unwritten_documents])
    return {**told, "unwritten_documents": list(named)[:NAMED]}
