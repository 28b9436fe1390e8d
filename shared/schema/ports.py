"""What domains ask of the world, in two to eight methods each.

The implementations over Google's and Redis' clients are in shared/adapters; fakes for unit tests in tests/fakes.py.
A contract suite runs against both.
"""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

from shared.schema.bigquery import TableDefinition
from shared.schema.message import Message

Values = dict[str, Any]


class Ragged(NamedTuple):
    """Lists of different lengths as numpy arrays: that of row i is values[offsets[i]:offsets[i + 1]]."""

    values: Any
    offsets: Any


class Documents(Protocol):
    """One Firestore database. Paths are relative: `tenants/demo/opportunities/x`."""

    def get(self, path: str) -> Values | None:
        """The document's fields, or None."""
        ...

    def put(self, path: str, values: Mapping[str, Any]) -> None:
        """Write the whole document."""
        ...

    def create(self, path: str, values: Mapping[str, Any]) -> bool:
        """Write the document unless it exists; False where it did."""
        ...

    def put_many(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        """Write many documents in parallel batches; the number written. Unavailable where one batch failed for good."""
        ...

    def put_changed(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], but_for: Collection[str]
    ) -> dict[str, Values]:
        """Write those that differ from what is there, in other fields than `but_for`; what was there of the others.

        Numbers differ where their types do. Like `put_many` otherwise.
        """
        ...

    def put_newer(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], by: str, but_for: Collection[str]
    ) -> dict[str, Values]:
        """Like `put_changed`, but for those that are there with a later `by`: whatever is written meanwhile, too."""
        ...

    def transact(self, path: str, change: Callable[[Values | None], Values | None]) -> Values | None:
        """Read, change and write one document atomically; `change` returns the new fields, or None to leave it.

        `change` may be called several times. Returns what `change` returned.
        """
        ...

    def delete(self, path: str) -> None:
        """Delete the document, or nothing."""
        ...

    def delete_older(self, path: str, by: str, than: Any) -> bool:
        """Delete the document unless its field `by` is later, atomically; False where there was none, or it stayed."""
        ...

    def find(
        self,
        collection: str,
        where: Sequence[tuple[str, str, Any]] = (),
        order_by: str | None = None,
        limit: int | None = None,
        after: tuple[Any, str] | None = None,
    ) -> Iterator[tuple[str, Values]]:
        """Documents of one collection as (path, fields); `order_by` takes `-` for descending.

        after: where a page begins: behind the document of this value of `order_by` and this path.
        """
        ...

    def count(self, collection: str, where: Sequence[tuple[str, str, Any]] = ()) -> int:
        """How many documents `find` would give, counted by the server."""
        ...


class Warehouse(Protocol):
    """BigQuery."""

    def query(self, sql: str, **parameters: Any) -> list[Values]:
        """Rows of a small result. Values are bound as query parameters by their Python type."""
        ...

    def rows(self, sql: str, **parameters: Any) -> Iterator[Values]:
        """Rows of a result of any size, a few at a time."""
        ...

    def estimate(self, sql: str, **parameters: Any) -> int:
        """The bytes that a statement would read, asked by a dry run, which is free; 0 where the server does not say."""
        ...

    def columns(self, sql: str, into: str, **parameters: Any) -> dict[str, Any]:
        """A large result as numpy arrays by column: numbers (NULL is NaN), texts (None), lists of numbers (Ragged).

        It goes through the table `into` (dataset.table), which expires within two hours.
        """
        ...

    def execute(self, sql: str, **parameters: Any) -> int:
        """Run DML or a script; the rows that it affected (0 where the server does not say)."""
        ...

    def load(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        """Append rows by a load job; the number loaded."""
        ...

    def ensure_dataset(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        """Create the dataset unless it exists."""
        ...

    def ensure_table(self, dataset: str, definition: TableDefinition) -> None:
        """Create the table unless it exists; add the columns that it lacks (as NULLABLE)."""
        ...

    def ensure_view(self, name: str, sql: str) -> None:
        """Create or replace the view."""
        ...

    def exists(self, name: str) -> bool:
        """True where the dataset or `dataset.table` exists."""
        ...


class Publisher(Protocol):
    """Pub/Sub topics."""

    def publish(self, message: Message) -> str:
        """Publish to the message's topic, with the trace of the current invocation; the message id."""
        ...

    def publish_again(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        """Publish a message as it once came; the new message's id. NotFound where there is no such topic any more."""
        ...


class Objects(Protocol):
    """One Cloud Storage bucket."""

    def put_if_absent(self, name: str, data: bytes, content_type: str = "application/json") -> bool:
        """Write the object unless it exists; False where it did."""
        ...

    def get(self, name: str) -> bytes | None:
        """The object's bytes, or None."""
        ...


class Secrets(Protocol):
    """Credentials of tenants' sources; nothing else ever holds them."""

    def get(self, tenant_id: str, source: str) -> str:
        """The credentials as they were put there, text or JSON. CredentialsRefused where there are none."""
        ...


class Cache(Protocol):
    """Cached answers; each scope (`aso_content:demo`) can be forgotten at once."""

    def get(self, key: str, scope: str) -> Any | None:
        """The cached value, or None where there is none or its scope was forgotten since."""
        ...

    def load(self, key: str, scope: str, ttl_seconds: int, loader: Callable[[], Any]) -> Any:
        """The cached value, or what `loader` returns, kept for `ttl_seconds`."""
        ...

    def forget(self, scopes: Iterable[str]) -> int:
        """Forget scopes, O(1) each; the number that held something. Unavailable where the cache cannot be reached."""
        ...

    def sweep(self, pattern: str) -> int:
        """Remove the keys that match a pattern (`aso_content:demo:*`); their number."""
        ...
