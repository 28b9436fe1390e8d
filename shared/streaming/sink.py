"""What the writer asks of the warehouse: connections that append rows to one table each."""

from collections.abc import Mapping, Sequence
from concurrent.futures import Future
from typing import Protocol

from shared.errors import Rejected
from shared.schema.record import Record


class RowRefused(Rejected):
    """BigQuery will never take this row."""


class RowsRefused(Rejected):
    """BigQuery refused a whole batch because of some rows: index -> reason; empty where it does not say which."""

    def __init__(self, message: str, rows: Mapping[int, str]) -> None:
        super().__init__(message, refused_rows=len(rows))
        self.rows = rows


class Connection(Protocol):
    """One open connection to one table."""

    @property
    def usable(self) -> bool:
        """False once it has ended; then a new one is needed."""
        ...

    def append(self, rows: Sequence[bytes]) -> "Future[None]":
        """Append a batch, all or nothing; done when the rows are durable.

        Fails with RowsRefused, TenantNotProvisioned (no such table) or Unavailable (the rows may have landed).
        """
        ...

    def close(self) -> None:
        """Let go of it: nothing is in flight."""
        ...

    def abort(self) -> None:
        """Give it up; what is in flight, here or for other tables that share it, fails as Unavailable."""
        ...


class Sink(Protocol):
    """Opens connections."""

    def connect(self, table: str, record: type[Record]) -> Connection:
        """A connection to `dataset.table`, which takes rows of the record's changelog. Does not block."""
        ...
