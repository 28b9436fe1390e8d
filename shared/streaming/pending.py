"""What a backfill asks of the warehouse: streams whose rows appear all at once, when they are committed, or never."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from shared.schema.record import Record


@dataclass(frozen=True, slots=True)
class Staged:
    """One row on its way: the document's full name, and the row's wire form."""

    document_name: str
    data: bytes


class PendingStream(Protocol):
    """One stream that nobody sees yet."""

    @property
    def name(self) -> str:
        """Its name, which commits it later, from any process."""
        ...

    @property
    def refused(self) -> Sequence[tuple[str, str]]:
        """Documents whose rows BigQuery will never take, and why."""
        ...

    def append(self, rows: Sequence[Staged]) -> None:
        """Send a batch, once the one before is there: the next can be made meanwhile. Unavailable, after some tries."""
        ...

    def finish(self) -> int:
        """Wait for the last batch and close the stream; how many rows it holds."""
        ...

    def abandon(self) -> None:
        """Let go of it; its rows never appear."""
        ...


class PendingStreams(Protocol):
    """Makes and commits such streams."""

    def open(self, table: str, record: type[Record]) -> PendingStream:
        """A stream into `dataset.table`, which has the columns of the record's changelog."""
        ...

    def commit(self, table: str, name: str) -> bool:
        """Make the rows of a stream that was finished appear; once, however often it is called.

        False where BigQuery no longer knows it.
        """
        ...
