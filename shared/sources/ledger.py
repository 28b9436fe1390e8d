"""The ledger of a sync: what each page of each collection brought, what the source reported, what it refused."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from typing import Any

from shared.ops.records import Arrivals
from shared.schema.ports import Documents
from shared.sources.source import Page


@dataclass(frozen=True)
class Entry:
    """One collection in one run."""

    run_id: str
    tenant_id: str
    source: str
    collection_name: str
    started_at: datetime

    @property
    def path(self) -> str:
        """Its document."""
        return f"arrivals/{self.run_id}:{self.collection_name}"


class Ledger:
    """Keeps entries where the ETL compares them with what arrived (shared/analytics/arrivals.py)."""

    def __init__(self, ops: Documents) -> None:
        self._ops = ops

    def add(self, entry: Entry, page: Page, position: str, written: Sequence[str], unchanged: Sequence[str]) -> None:
        """Add a page, by the days of its documents: keyed by its position, so that a repeated page is counted once."""

        def change(before: dict[str, Any]) -> dict[str, Any]:
            return {
                "pages": {**before.get("pages", {}), position or "0": dict(Counter(written))},
                "unchanged": {**before.get("unchanged", {}), position or "0": dict(Counter(unchanged))},
                "reported": page.reported,
                "complete": page.following is None,
                "failed": None,
            }

        self._change(entry, change)

    def refuse(self, entry: Entry, why: str) -> None:
        """Say why the source gave no more of a collection."""
        self._change(entry, lambda before: {"pages": before.get("pages", {}), "failed": why[:300]})

    def shortages(self, run_id: str) -> list[str]:
        """What the source refused of a run, or said that it had and did not give, by collection."""
        found = self._ops.find("arrivals", where=[("run_id", "==", run_id)])
        return [said for _, values in found if (said := _shortage(Arrivals.model_validate(values)))]

    def _change(self, entry: Entry, change: Any) -> None:
        def changed(found: dict[str, Any] | None) -> dict[str, Any]:
            before = found or {}
            told = {**before, **asdict(entry), **change(before), "finished_at": datetime.now(UTC)}
            return Arrivals.model_validate(told).document()

        self._ops.transact(entry.path, changed)


def _shortage(entry: Arrivals) -> str | None:
    there = sum(entry.days().values()) + sum(entry.days_unchanged().values())
    if entry.failed:
        return f"{entry.collection_name}: {entry.failed}"
    if entry.reported is not None and there < entry.reported:
        return f"{entry.collection_name}: {there} of {entry.reported} rows that the source reported came"
    return None
