"""Firestore through its official client."""

from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import islice
from typing import Any, NamedTuple, TypeVar

from google.api_core import exceptions
from google.cloud import firestore
from google.cloud.firestore_v1.base_query import FieldFilter

from shared.errors import NotNow, Rejected, Unavailable
from shared.schema.values import same_values

T = TypeVar("T")
Values = dict[str, Any]

# Firestore takes 500 writes a commit; smaller ones in parallel are faster and hold fewer locks.
BATCH = 100
WRITERS = 8
TIMEOUT_SECONDS = 30.0
ATTEMPTS = 10
"""So often is tried again what somebody else wrote meanwhile."""


@contextmanager
def translated() -> Iterator[None]:
    """Firestore's errors in Scout's words."""
    try:
        yield
    except (
        exceptions.ServerError,
        exceptions.TooManyRequests,
        exceptions.RetryError,
        exceptions.Cancelled,
    ) as error:
        raise Unavailable("Firestore is not available", cause=type(error).__name__) from error
    except exceptions.Aborted as error:
        raise NotNow("somebody else writes the same", cause=type(error).__name__) from error
    except (exceptions.InvalidArgument, exceptions.OutOfRange) as error:
        raise Rejected("Firestore refused the values", cause=type(error).__name__) from error


class Changed(NamedTuple):
    """A document that is to be written over what is there, which was last written then."""

    path: str
    values: Mapping[str, Any]
    there: Values | None
    updated_at: Any


@contextmanager
def encoded() -> Iterator[None]:
    """Values that the client cannot even send: of more than 64 bits, no UTF-8, under a name that is empty."""
    try:
        yield
    except (TypeError, ValueError) as error:
        raise Rejected("Firestore takes no such values", cause=type(error).__name__) from error


class FirestoreDocuments:
    """One Firestore database (port `Documents`, plus what only live views need)."""

    def __init__(self, client: firestore.Client) -> None:
        self.client = client

    @classmethod
    def connect(cls, project: str, database: str) -> "FirestoreDocuments":
        """A client of one database."""
        return cls(firestore.Client(project=project, database=database))

    def get(self, path: str) -> Values | None:
        with translated():
            snapshot = self.client.document(path).get(timeout=TIMEOUT_SECONDS)
        found: Values | None = snapshot.to_dict()
        return found

    def put(self, path: str, values: Mapping[str, Any]) -> None:
        with translated():
            self.client.document(path).set(dict(values), timeout=TIMEOUT_SECONDS)

    def create(self, path: str, values: Mapping[str, Any]) -> bool:
        try:
            with translated():
                self.client.document(path).create(dict(values), timeout=TIMEOUT_SECONDS)
        except exceptions.AlreadyExists:
            return False
        return True

    def put_many(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        def commit(batch: list[tuple[str, Mapping[str, Any]]]) -> int:
            writes = self.client.batch()
            with encoded():
                for path, values in batch:
                    writes.set(self.client.document(path), dict(values))
            with translated():
                writes.commit(timeout=TIMEOUT_SECONDS)
            return len(batch)

        with ThreadPoolExecutor(WRITERS) as pool:
            return sum(pool.map(commit, _batches(documents, BATCH)))

    def put_changed(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], but_for: Collection[str]
    ) -> dict[str, Values]:
        def compare(batch: list[tuple[str, Mapping[str, Any]]]) -> tuple[dict[str, Values], list[Changed]]:
            return self._compared(batch, lambda there, values: same_values(there, values, but_for))

        with ThreadPoolExecutor(WRITERS) as pool:
            compared = list(pool.map(compare, _batches(documents, BATCH)))
        self.put_many((each.path, each.values) for _, changed in compared for each in changed)
        return {path: there for kept, _ in compared for path, there in kept.items()}

    def put_newer(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], by: str, but_for: Collection[str]
    ) -> dict[str, Values]:
        def stays(there: Values, values: Mapping[str, Any]) -> bool:
            return same_values(there, values, but_for) or _later(there, values, by)

        def put(batch: list[tuple[str, Mapping[str, Any]]]) -> dict[str, Values]:
            for _ in range(ATTEMPTS):
                kept, changed = self._compared(batch, stays)
                try:
                    self._replace(changed)
                except (exceptions.AlreadyExists, exceptions.FailedPrecondition, exceptions.NotFound, NotNow):
                    # One of them is not as it was compared any more, so none was written.
                    continue
                return kept
            raise NotNow("documents are contended", documents=len(batch))

        with ThreadPoolExecutor(WRITERS) as pool:
            return {path: there for kept in pool.map(put, _batches(documents, BATCH)) for path, there in kept.items()}

    def _compared(
        self, batch: list[tuple[str, Mapping[str, Any]]], stays: Callable[[Values, Mapping[str, Any]], bool]
    ) -> tuple[dict[str, Values], list[Changed]]:
        """What is there of those that stay as they are, and those that are to be written."""
        with translated():
            references = [self.client.document(path) for path, _ in batch]
            found = {
                snapshot.reference.path: snapshot
                for snapshot in self.client.get_all(references, timeout=TIMEOUT_SECONDS)
            }
        kept: dict[str, Values] = {}
        changed: list[Changed] = []
        for path, values in batch:
            there = found[path].to_dict()
            if there is not None and stays(there, values):
                kept[path] = there
            else:
                changed.append(Changed(path, values, there, found[path].update_time))
        return kept, changed

    def _replace(self, changed: Iterable[Changed]) -> None:
        """Write documents in one commit, if each of them is still as it was found."""
        writes = self.client.batch()
        with encoded():
            for each in changed:
                reference, values = self.client.document(each.path), dict(each.values)
                if each.there is None:
                    writes.create(reference, values)
                else:
                    # A batch checks updates only: one that names each field replaces the whole.
                    gone = dict.fromkeys(each.there.keys() - values.keys(), firestore.DELETE_FIELD)
                    option = self.client.write_option(last_update_time=each.updated_at)
                    fields = {self.client.field_path(name): value for name, value in (values | gone).items()}
                    writes.update(reference, fields, option=option)
        if len(writes):
            with translated():
                writes.commit(timeout=TIMEOUT_SECONDS)

    def transact(self, path: str, change: Callable[[Values | None], Values | None]) -> Values | None:
        def write(transaction: firestore.Transaction, reference: Any) -> Values | None:
            changed = change(reference.get(transaction=transaction).to_dict())
            if changed is not None:
                transaction.set(reference, changed)
            return changed

        return self._in_transaction(path, write)

    def delete_older(self, path: str, by: str, than: Any) -> bool:
        def delete(transaction: firestore.Transaction, reference: Any) -> bool:
            there = reference.get(transaction=transaction).to_dict()
            if there is None or _later(there, {by: than}, by):
                return False
            transaction.delete(reference)
            return True

        return self._in_transaction(path, delete)

    def _in_transaction(self, path: str, work: Callable[[firestore.Transaction, Any], T]) -> T:
        """What `work` returns of a transaction and the document's reference; NotNow where others write it all along."""
        reference = self.client.document(path)

        @firestore.transactional  # type: ignore[untyped-decorator]
        def run(transaction: firestore.Transaction) -> T:
            return work(transaction, reference)

        with translated():
            try:
                result: T = run(self.client.transaction(max_attempts=ATTEMPTS))
            except ValueError as error:
                # The client reports exhausted attempts as a plain ValueError; any other is of `work`.
                if not isinstance(error.__cause__, exceptions.Aborted):
                    raise
                raise NotNow("the document is contended", path=path) from error
        return result

    def delete(self, path: str) -> None:
        with translated():
            self.client.document(path).delete(timeout=TIMEOUT_SECONDS)

    def find(
        self,
        collection: str,
        where: Sequence[tuple[str, str, Any]] = (),
        order_by: str | None = None,
        limit: int | None = None,
        after: tuple[Any, str] | None = None,
    ) -> Iterator[tuple[str, Values]]:
        query = self._query(collection, where)
        if order_by:
            direction = firestore.Query.DESCENDING if order_by.startswith("-") else firestore.Query.ASCENDING
            field = order_by.lstrip("-")
            query = query.order_by(field, direction=direction)
            if after is not None:
                # Equal values are ordered by name in the same direction.
                value, path = after
                query = query.order_by("__name__", direction=direction)
                query = query.start_after({field: value, "__name__": self.client.document(path)})
        if limit is not None:
            query = query.limit(limit)
        with translated():
            for snapshot in query.stream(timeout=TIMEOUT_SECONDS):
                yield snapshot.reference.path, snapshot.to_dict()

    def tree(self, path: str) -> Iterator[tuple[str, datetime]]:
        """The document, where there is one, and every document below it: path and when it was created.

        Documents below one that does not exist are found too. Names only are read.
        """
        reference = self.client.document(path)
        with translated():
            found = reference.get(field_paths=["__name__"], timeout=TIMEOUT_SECONDS)
            if found.exists:
                yield path, found.create_time
            for collection in reference.collections(timeout=TIMEOUT_SECONDS):
                for snapshot in collection.recursive().select(["__name__"]).stream(timeout=TIMEOUT_SECONDS):
                    # Of such queries, unlike others, the client hands on the protobuf.
                    yield snapshot.reference.path, snapshot.create_time.ToDatetime(tzinfo=UTC)

    def delete_many(self, paths: Iterable[str]) -> int:
        """Delete documents in parallel batches; their number. Unavailable where one batch failed for good."""

        def commit(batch: list[str]) -> int:
            deletes = self.client.batch()
            for path in batch:
                deletes.delete(self.client.document(path))
            with translated():
                deletes.commit(timeout=TIMEOUT_SECONDS)
            return len(batch)

        with ThreadPoolExecutor(WRITERS) as pool:
            return sum(pool.map(commit, _batches(paths, BATCH)))

    def moment(self) -> datetime:
        """The database's own time: of a read of nothing."""
        with translated():
            at: datetime = self.client.document("nothing/nothing").get(timeout=TIMEOUT_SECONDS).read_time
        return at

    def count(self, collection: str, where: Sequence[tuple[str, str, Any]] = ()) -> int:
        with translated():
            return int(self._query(collection, where).count().get(timeout=TIMEOUT_SECONDS)[0][0].value)

    def _query(self, collection: str, where: Sequence[tuple[str, str, Any]]) -> Any:
        query: Any = self.client.collection(collection)
        for field, operator, value in where:
            query = query.where(filter=FieldFilter(field, operator, value))
        return query

    def listen(self, collection: str, heard: Callable[[str, str, Values], None]) -> Callable[[], None]:
        """Call `heard(change, document_id, fields)` for each change, ADDED, MODIFIED or REMOVED; first for all that is.

        It is called from the client's own thread. Returns what ends the listening.
        """

        def on_snapshot(snapshots: Any, changes: Any, read_time: Any) -> None:
            for change in changes:
                heard(change.type.name, change.document.id, change.document.to_dict() or {})

        watch = self.client.collection(collection).on_snapshot(on_snapshot)
        stop: Callable[[], None] = watch.unsubscribe
        return stop


def _batches(items: Iterable[T], size: int) -> Iterator[list[T]]:
    iterator = iter(items)
    while batch := list(islice(iterator, size)):
        yield batch


def _later(there: Mapping[str, Any], values: Mapping[str, Any], by: str) -> bool:
    """True where what is there was made later than what comes."""
    return there.get(by) is not None and bool(there[by] > values[by])
