"""Reading a document whose event came without it, because it is too large to be carried.

The document may have changed since, or be gone. That is harmless: what is read is a state that Firestore had, and its
row has that state's own version. A later change has an event of its own, with a higher version, which may tell the same
once more; an earlier row never wins over a later one. What is lost is only a state that was overwritten before anybody
read it: the changelog has no row of it, the view would not show it anyway.
"""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Protocol

from shared.schema.times import timestamp_micros
from shared.streaming.change import Change, LeftOut, read_absence, read_document


class Reader(Protocol):
    """The part of a scan that is needed here."""

    def moment(self, database: str = "(default)") -> datetime:
        """A read time."""
        ...

    def fetch(self, names: Sequence[str], database: str, at: datetime | None = None) -> Mapping[str, Any]:
        """Documents by full name, those that exist."""
        ...


def read_again(left_out: LeftOut, reader: Reader) -> Change:
    """The change that made the document what it is now, or its delete. Raises what the reader raises: Unavailable."""
    database = left_out.document_name.split("/")[3]
    # Asked for after the event, hence after its change: what is read at it is not older than what the event tells of.
    at = reader.moment(database)
    document = reader.fetch((left_out.document_name,), database, at).get(left_out.document_name)
    if document is None:
        return read_absence(left_out, timestamp_micros(at))
    created = document.create_time == document.update_time
    return read_document(document, left_out.event_id, "CREATE" if created else "UPDATE")
