"""How a backfill is cut into slices: by documents' names, or, where only some are wanted, by the field that says which.

A range of a field needs no index but the one that Firestore gives each field, if it is read in the field's order; names
then do not order it, so it is cut by the field's values.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from shared.errors import BadRequest
from shared.streaming.records import Backfill, BackfillSlice
from shared.streaming.scan import Document, Scan, Slice, Where
from shared.streaming.streams import Stream
from shared.streaming.values import python

DOCUMENTS_PER_SLICE = 50_000
"""Some seconds of reading: as much as a kill can cost again."""
MOST_SLICES = 1_000

Range = tuple[Literal["name", "time", "text"], str, str]
"""By what, from (included), to (excluded; empty: open)."""


def plan(run: Backfill, stream: Stream, scan: Scan, read_at: datetime) -> list[BackfillSlice]:
    """The slices of a run, which together hold each document that is wanted."""
    wanted = min(MOST_SLICES, run.slices_wanted or 1 + run.documents // DOCUMENTS_PER_SLICE)
    if run.since is None:
        ranges: list[Range] = [("name", part.first, part.end) for part in scan.slices(stream, wanted, read_at)]
    else:
        ranges = [*_times(run.since, read_at, wanted), ("text", run.since, "")]
    return [
        BackfillSlice(
            slice_id=f"{run.run_id}:{run.plan}:{number:04d}",
            run_id=run.run_id,
            plan=run.plan,
            by=by,
            low=low,
            high=high,
        )
        for number, (by, low, high) in enumerate(ranges)
    ]


def rest_of(part: BackfillSlice, low: str) -> BackfillSlice:
    """What is left of a slice that ends before `low`.

    Its id says where it begins: two processes that cut the same slice in two places leave both rests, so no gap.
    """
    planned = ":".join(part.slice_id.split(":")[:3])
    begins = hashlib.sha256(low.encode()).hexdigest()[:16]
    return part.model_copy(update={"slice_id": f"{planned}:{begins}", "low": low})


def wanted_documents(since: str | None, field: str | None) -> list[Sequence[Where]]:
    """What to count for a run: a field may hold times or texts, and Firestore compares like with like."""
    if since is None or field is None:
        return [()]
    return [[(field, ">=", moment(since))], [(field, ">=", since)]]


def bounds(part: BackfillSlice, field: str | None) -> tuple[Slice, list[Where]]:
    """What a slice asks of Firestore."""
    if part.by == "name" or field is None:
        return Slice(part.low, part.high), []
    value = moment if part.by == "time" else str
    where: list[Where] = [(field, ">=", value(part.low))]
    return Slice(), [*where, (field, "<", value(part.high))] if part.high else where


def cut_before(part: BackfillSlice, field: str | None, last: Document, following: Document) -> str | None:
    """Where a slice may end so that its rest begins at `following`; None where it may not end between the two."""
    if part.by == "name" or field is None:
        return str(following.name)
    here, there = _value(last, field), _value(following, field)
    if here == there:
        return None
    return there.isoformat() if isinstance(there, datetime) else str(there)


def moment(text: str) -> datetime:
    """An ISO date or time, UTC where it names no zone; BadRequest where it is none."""
    try:
        at = datetime.fromisoformat(text)
    except ValueError:
        raise BadRequest(
            "since is no date", errors=[{"field": "since", "expected": "an ISO date or time, 2026-01-31"}]
        ) from None
    return at if at.tzinfo else at.replace(tzinfo=UTC)


def _times(since: str, read_at: datetime, wanted: int) -> list[Range]:
    """Spans of equal length from `since` until now; the last one is open, for times yet to come."""
    first = moment(since)
    span = max(read_at - first, timedelta()) / wanted
    edges = [first + span * number for number in range(wanted)] if span else [first]
    texts = [edge.isoformat() for edge in edges]
    return [("time", low, high) for low, high in zip(texts, [*texts[1:], ""], strict=True)]


def _value(document: Document, path: str) -> Any:
    fields = document.fields
    *above, name = path.split(".")
    for one in above:
        fields = fields[one].map_value.fields
    value = python(fields[name])
    return value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value
