"""What backfill, verify and repair ask of Firestore: whole collections, in slices, as they were at one moment."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from shared.errors import NotFound
from shared.streaming.streams import Stream

Document = Any
"""A raw protobuf google.firestore.v1.Document: proto-plus is 9 times slower."""


Where = tuple[str, str, Any]
"""(field, operator, value). Firestore compares like with like: a text is never above a timestamp."""


class ReadTimePassed(NotFound):
    """Firestore no longer keeps what it held at a read time."""


@dataclass(frozen=True)
class Slice:
    """Documents of a stream by name, from `first` (included) to `end` (excluded); empty means open.

    Both are full names: `projects/P/databases/D/documents/tenants/demo/things/a`.
    """

    first: str = ""
    end: str = ""


class Scan(Protocol):
    """Reads whole collections.

    Unavailable where Firestore does not answer, ReadTimePassed where the read time is too old.
    """

    def moment(self, database: str = "(default)") -> datetime:
        """A read time, now by the server's clock: what is read at it later is one consistent snapshot.

        Firestore keeps an hour of them, or 7 days where point-in-time recovery is on.
        """
        ...

    def count(self, stream: Stream, at: datetime | None = None, where: Sequence[Where] = ()) -> int:
        """How many documents, counted by the server (a read for each 1,000).

        Of a group, those of its id below the stream's parent: the record may take fewer.
        """
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
        where: Sequence[Where] = (),
    ) -> Iterator[list[Document]]:
        """Documents of a slice in the order of their names, after a name; of a group those whose path the record takes.

        A range of a field (`<`, `>=`, ...) is read in the order of that field and has no slices by name: so it needs no
        index but the one that Firestore gives each field.
        """
        ...

    def fetch(self, names: Sequence[str], database: str, at: datetime | None = None) -> Mapping[str, Document]:
        """Documents by full name; those that do not exist are missing from the answer."""
        ...
