"""What backfill, verify and repair ask of Firestore: whole collections, in slices, as they were at one moment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.streaming.streams import Stream

Document = Any
"""A raw protobuf google.firestore.v1.Document: proto-plus is 9 times slower."""


@dataclass(frozen=True)
class Slice:
    """Documents of a stream by name, from `first` (included) to `end` (excluded); empty means open.

    Both are full names: `projects/P/databases/D/documents/tenants/demo/things/a`.
    """

    first: str = ""
    end: str = ""


class Scan(Protocol):
    """Reads whole collections. Unavailable where Firestore does not answer; NotFound where the read time is too old."""

    def moment(self) -> datetime:
        """A read time: what is read at it later is one consistent snapshot."""
        ...

    def count(self, stream: Stream, at: datetime | None = None) -> int:
        """How many documents, counted by the server (a read for each 1,000)."""
        ...

    def slices(self, stream: Stream, wanted: int, at: datetime) -> list[Slice]:
        """About as many slices of about the same size, which together hold each document once, in order."""
        ...

    def pages(
        self,
        stream: Stream,
        part: Slice,
        at: datetime,
        after: str = "",
        size: int = 500,
        where: Sequence[tuple[str, str, Any]] = (),
    ) -> Iterator[list[Document]]:
        """Documents of a slice in the order of their names, after a name; of a group those whose path the record takes.

        where: (field, operator, value) filters.
        """
        ...

    def fetch(self, names: Sequence[str], database: str, at: datetime | None = None) -> Mapping[str, Document]:
        """Documents by full name; those that do not exist are missing from the answer."""
        ...
