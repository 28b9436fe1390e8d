"""Fakes of the ports in shared/schema/ports.py, in memory.

tests/integration/test_contracts.py runs one suite against each of them and against its real adapter.
"""

import base64
import copy
import operator
import threading
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from itertools import pairwise
from typing import Any

import numpy as np
import orjson
from flask import Request
from google.cloud.firestore_v1._helpers import encode_dict
from google.cloud.firestore_v1.types.document import Document
from werkzeug.test import EnvironBuilder

from shared.errors import CredentialsRefused, Unavailable
from shared.runtime.auth import Caller, Verifier
from shared.runtime.clients import Clients
from shared.schema.bigquery import TableDefinition
from shared.schema.message import Message
from shared.schema.ports import Ragged
from shared.schema.record import Record
from shared.schema.values import same_values
from shared.settings import Settings, TokenIssuer
from shared.streaming.pending import Staged
from shared.streaming.scan import ReadTimePassed, Slice, Where
from shared.streaming.streams import Stream
from shared.streaming.values import python

Values = dict[str, Any]
Heard = Callable[[str, str, Values], None]
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)

COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "==": lambda held, wanted: held == wanted,
    "!=": lambda held, wanted: held != wanted,
    "<": lambda held, wanted: held is not None and held < wanted,
    "<=": lambda held, wanted: held is not None and held <= wanted,
    ">": lambda held, wanted: held is not None and held > wanted,
    ">=": lambda held, wanted: held is not None and held >= wanted,
    "in": lambda held, wanted: held in wanted,
    "array_contains": lambda held, wanted: wanted in (held or []),
}


class FakeDocuments:
    """Port `Documents`, and `listen`. `writes` lists every path in the order it was written."""

    def __init__(self) -> None:
        self.documents: dict[str, Values] = {}
        self.writes: list[str] = []
        self.created: dict[str, datetime] = {}
        self.now = BEGAN
        """The database's own time."""
        self.down = False
        self.before_commit: Callable[[str], None] | None = None
        """Called in a transaction between its read and its commit: what somebody else does meanwhile."""
        self._lock = threading.RLock()
        self._versions: dict[str, int] = {}
        self._listeners: list[tuple[str, Heard]] = []

    def get(self, path: str) -> Values | None:
        self._check()
        return copy.deepcopy(self.documents.get(path))

    def put(self, path: str, values: Mapping[str, Any]) -> None:
        self._check()
        with self._lock:
            change = "MODIFIED" if path in self.documents else "ADDED"
            self.documents[path] = copy.deepcopy(dict(values))
            self._versions[path] = self._versions.get(path, 0) + 1
            self.created.setdefault(path, self.now)
            self.writes.append(path)
        self._tell(change, path)

    def create(self, path: str, values: Mapping[str, Any]) -> bool:
        with self._lock:
            if path in self.documents:
                return False
            self.put(path, values)
        return True

    def put_many(self, documents: Iterable[tuple[str, Mapping[str, Any]]]) -> int:
        number = 0
        for path, values in documents:
            self.put(path, values)
            number += 1
        return number

    def put_changed(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], but_for: Collection[str]
    ) -> dict[str, Values]:
        kept = {}
        for path, values in documents:
            there = self.get(path)
            if there is not None and same_values(there, values, but_for):
                kept[path] = there
            else:
                self.put(path, values)
        return kept

    def put_newer(
        self, documents: Sequence[tuple[str, Mapping[str, Any]]], by: str, but_for: Collection[str]
    ) -> dict[str, Values]:
        kept = {}
        for path, values in documents:

            def change(there: Values | None, path: str = path, values: Mapping[str, Any] = values) -> Values | None:
                kept.pop(path, None)
                later = there is not None and there.get(by) is not None and there[by] > values[by]
                if there is None or not (later or same_values(there, values, but_for)):
                    return dict(values)
                kept[path] = there
                return None

            self.transact(path, change)
        return kept

    def transact(self, path: str, change: Callable[[Values | None], Values | None]) -> Values | None:
        for _ in range(10):
            version = self._versions.get(path, 0)
            changed = change(self.get(path))
            if self.before_commit is not None:
                self.before_commit(path)
            with self._lock:
                if self._versions.get(path, 0) != version:
                    continue
                if changed is not None:
                    self.put(path, changed)
                return changed
        raise Unavailable("the document is contended", path=path)

    def delete_older(self, path: str, by: str, than: Any) -> bool:
        there = self.get(path)
        if there is None or (there.get(by) is not None and there[by] > than):
            return False
        self.delete(path)
        return True

    def delete(self, path: str) -> None:
        self._check()
        with self._lock:
            found = self.documents.pop(path, None)
            self.created.pop(path, None)
            self._versions[path] = self._versions.get(path, 0) + 1
        if found is not None:
            self._tell("REMOVED", path, found)

    def find(
        self,
        collection: str,
        where: Sequence[tuple[str, str, Any]] = (),
        order_by: str | None = None,
        limit: int | None = None,
        after: tuple[Any, str] | None = None,
    ) -> Iterator[tuple[str, Values]]:
        self._check()
        found = [
            (path, copy.deepcopy(values))
            for path, values in sorted(self.documents.items())
            if path.rpartition("/")[0] == collection
            and all(name in values and COMPARE[compared](values[name], wanted) for name, compared, wanted in where)
        ]
        if order_by:
            name = order_by.lstrip("-")
            found = [item for item in found if name in item[1]]
            backwards = order_by.startswith("-")
            found.sort(key=lambda item: (item[1][name], item[0]), reverse=backwards)
            if after is not None:
                behind = operator.lt if backwards else operator.gt
                found = [item for item in found if behind((item[1][name], item[0]), after)]
        yield from found[:limit]

    def count(self, collection: str, where: Sequence[tuple[str, str, Any]] = ()) -> int:
        return sum(1 for _ in self.find(collection, where))

    def tree(self, path: str) -> Iterator[tuple[str, datetime]]:
        self._check()
        for found in sorted(self.documents):
            if found == path or found.startswith(f"{path}/"):
                yield found, self.created.get(found, BEGAN)

    def delete_many(self, paths: Iterable[str]) -> int:
        gone = list(paths)
        for path in gone:
            self.delete(path)
        return len(gone)

    def moment(self) -> datetime:
        self._check()
        return self.now

    def listen(self, collection: str, heard: Heard) -> Callable[[], None]:
        listener = (collection, heard)
        self._listeners.append(listener)
        for path, values in self.find(collection):
            heard("ADDED", path.rpartition("/")[2], values)

        def stop() -> None:
            # Itself, not one that is equal: who listens anew before the old one has stopped goes on.
            self._listeners = [one for one in self._listeners if one is not listener]

        return stop

    @property
    def listeners(self) -> int:
        """How many listen now."""
        return len(self._listeners)

    def _tell(self, change: str, path: str, values: Values | None = None) -> None:
        collection, _, document_id = path.rpartition("/")
        for listened, heard in list(self._listeners):
            if listened == collection:
                heard(change, document_id, copy.deepcopy(values or self.documents[path]))

    def _check(self) -> None:
        if self.down:
            raise Unavailable("Firestore is not available")


class FakePublisher:
    """Port `Publisher`: what was published, in order."""

    def __init__(self) -> None:
        self.messages: list[Message] = []
        self.again: list[tuple[str, bytes, dict[str, str]]] = []
        self.down = False

    def publish(self, message: Message) -> str:
        if self.down:
            raise Unavailable("Pub/Sub is not available", topic=message.topic)
        self.messages.append(message)
        return str(len(self.messages))

    def publish_again(self, topic: str, data: bytes, attributes: Mapping[str, str]) -> str:
        if self.down:
            raise Unavailable("Pub/Sub is not available", topic=topic)
        self.again.append((topic, data, dict(attributes)))
        return f"again-{len(self.again)}"


class FakeObjects:
    """Port `Objects`."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}

    def put_if_absent(self, name: str, data: bytes, content_type: str = "application/json") -> bool:
        if name in self.objects:
            return False
        self.objects[name] = data
        return True

    def get(self, name: str) -> bytes | None:
        return self.objects.get(name)

    def names(self, prefix: str = "") -> Iterator[str]:
        yield from sorted(name for name in self.objects if name.startswith(prefix))

    def delete(self, name: str) -> None:
        self.objects.pop(name, None)


class FakeCache:
    """Port `Cache`. `down`: reads load, forgetting raises, as the real one."""

    def __init__(self) -> None:
        self.values: dict[str, tuple[int, bytes]] = {}
        self.scopes: dict[str, int] = {}
        self.down = False
        self._next = 0

    def get(self, key: str, scope: str) -> Any | None:
        if self.down or key not in self.values:
            return None
        token, value = self.values[key]
        return orjson.loads(value) if self.scopes.get(scope) == token else None

    def load(self, key: str, scope: str, ttl_seconds: int, loader: Callable[[], Any]) -> Any:
        found = self.get(key, scope)
        if found is not None:
            return found
        if self.down:
            return loader()
        if scope not in self.scopes:
            self._next += 1
            self.scopes[scope] = self._next
        token = self.scopes[scope]
        value = loader()
        self.values[key] = (token, orjson.dumps(value, default=str))
        return value

    def forget(self, scopes: Iterable[str]) -> int:
        named = list(scopes)
        if not named:
            return 0
        self._check()
        return sum(self.scopes.pop(scope, None) is not None for scope in named)

    def sweep(self, pattern: str) -> int:
        self._check()
        gone = [key for key in self.values if fnmatchcase(key, pattern)]
        for key in gone:
            del self.values[key]
        return len(gone)

    def count(self, pattern: str) -> int:
        self._check()
        return sum(fnmatchcase(key, pattern) for key in self.values)

    def _check(self) -> None:
        if self.down:
            raise Unavailable("the cache cannot be reached")


class ScriptedWarehouse:
    """Port `Warehouse` as a script: `answers` maps a word of the SQL to rows. No SQL is run."""

    def __init__(self, **answers: list[Values] | Callable[..., list[Values]]) -> None:
        self.answers = answers
        self.queries: list[tuple[str, Values]] = []
        self.executed: list[tuple[str, Values]] = []

    def query(self, sql: str, **parameters: Any) -> list[Values]:
        self.queries.append((sql, parameters))
        for word, answer in self.answers.items():
            if word in sql:
                return copy.deepcopy(answer(**parameters) if callable(answer) else answer)
        raise AssertionError(f"no answer is scripted for: {sql}")

    def rows(self, sql: str, **parameters: Any) -> Iterator[Values]:
        yield from self.query(sql, **parameters)

    def estimate(self, sql: str, **parameters: Any) -> int:
        return 0

    def columns(self, sql: str, into: str, **parameters: Any) -> dict[str, Any]:
        self.queries.append((sql, parameters))
        nothing = Ragged(np.empty(0), np.zeros(1, dtype=np.int64))
        lists = dict.fromkeys(("labels", "numbers", "list_ago", "list_values"), nothing)
        return {name: np.empty(0, dtype=object) for name in ("family", "entity_type", "entity_id", "oldest")} | lists

    def execute(self, sql: str, **parameters: Any) -> int:
        self.executed.append((sql, parameters))
        return 0

    def load(self, table: str, rows: Iterable[Mapping[str, Any]]) -> int:
        return sum(1 for _ in rows)

    def ensure_dataset(self, name: str, labels: Mapping[str, str] | None = None) -> None:
        return None

    def ensure_table(self, dataset: str, definition: TableDefinition) -> None:
        return None

    def ensure_view(self, name: str, sql: str) -> None:
        return None

    def exists(self, name: str) -> bool:
        return True

    def datasets(self) -> list[str]:
        return []

    def drop_dataset(self, name: str) -> None:
        return None


class FakeVerifier:
    """Callers by token; any other token does not verify."""

    def __init__(self, **callers: Caller) -> None:
        self.callers = callers
        self._real = Verifier([TokenIssuer(issuer="https://issuer.test", jwks_url="http://127.0.0.1:9", audience="a")])

    def verify(self, authorization: str | None) -> Caller:
        token = (authorization or "").removeprefix("Bearer ")
        return self.callers[token] if token in self.callers else self._real.verify(authorization)

    def verify_token(self, token: str) -> Caller:
        return self.callers[token] if token in self.callers else self._real.verify_token(token)


OPERATOR = Caller(subject="operator@scout.test", tenant_id=None, operator=True)


def fake_clients(*tenants: str, **replacements: Any) -> Clients:
    """Clients over fakes: an `operator` token, and a token of each tenant that is its id."""
    documents, ops = replacements.pop("documents", FakeDocuments()), replacements.pop("ops", FakeDocuments())
    for tenant_id in tenants:
        documents.documents[f"tenants/{tenant_id}"] = {"tenant_id": tenant_id}
    callers = {name: Caller(subject=f"someone@{name}.test", tenant_id=name, operator=False) for name in tenants}
    given = {
        "documents": documents,
        "ops": ops,
        "warehouse": ScriptedWarehouse(),
        "publisher": FakePublisher(),
        "dead_letter_objects": FakeObjects(),
        "cache": FakeCache(),
        "verifier": FakeVerifier(operator=OPERATOR, **callers),
        **replacements,
    }
    return Clients(Settings(GOOGLE_CLOUD_PROJECT="test"), **given)


def posted(body: Any, token: str | None = "operator", method: str = "POST") -> Request:
    """A person's or Scheduler's request. Bytes are sent as they are."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    builder = EnvironBuilder(method=method, data=data, content_type="application/json", headers=headers)
    return Request(builder.get_environ())


def pushed(
    body: Any,
    token: str | None = "operator",
    message_id: str = "1",
    age: timedelta = timedelta(),
    subscription: str = "some",
    **attributes: str,
) -> Request:
    """Pub/Sub's push of a message that was published `age` ago. Bytes are sent as they are."""
    data = body if isinstance(body, bytes) else orjson.dumps(body)
    message = {
        "data": base64.b64encode(data).decode(),
        "messageId": message_id,
        "publishTime": (datetime.now(UTC) - age).isoformat().replace("+00:00", "Z"),
        "attributes": attributes,
    }
    return posted({"message": message, "subscription": f"projects/test/subscriptions/{subscription}"}, token)


class FakeScan:
    """Port `Scan`, with `put` and `delete` for what Firestore holds. It remembers everything that it ever held."""

    def __init__(self) -> None:
        self.now = datetime(2026, 1, 1, tzinfo=UTC)
        self.kept_since = self.now
        """Read times before are too old."""
        self.down = False
        self._held: dict[str, list[tuple[datetime, Any]]] = {}

    def put(self, path: str, values: Mapping[str, Any], database: str = "(default)") -> None:
        name = f"{self._root(database)}/{path}"
        self.now += timedelta(microseconds=1)
        document = Document.pb()(name=name)
        for field, value in encode_dict(values).items():
            document.fields[field].CopyFrom(value._pb)
        document.update_time.FromDatetime(self.now)
        versions = self._held.setdefault(name, [])
        created = versions[-1][1].create_time if versions and versions[-1][1] is not None else document.update_time
        document.create_time.CopyFrom(created)
        versions.append((self.now, document))

    def delete(self, path: str, database: str = "(default)") -> None:
        self.now += timedelta(microseconds=1)
        self._held.setdefault(f"{self._root(database)}/{path}", []).append((self.now, None))

    def moment(self, database: str = "(default)") -> datetime:
        return self.now

    def count(self, stream: Stream, at: datetime | None = None, where: Sequence[Where] = ()) -> int:
        return len(self._found(stream, at, where))

    def slices(self, stream: Stream, wanted: int, at: datetime) -> list[Slice]:
        names = [document.name for document in self._found(stream, at)]
        points = sorted({names[len(names) * number // wanted] for number in range(1, wanted)} if names else set())
        points = [point for point in points if point != names[0]]
        return [Slice(first, end) for first, end in pairwise(["", *points, ""])]

    def pages(
        self,
        stream: Stream,
        part: Slice,
        at: datetime,
        after: str = "",
        size: int = 500,
        where: Sequence[Where] = (),
    ) -> Iterator[list[Any]]:
        found = [
            document
            for document in self._found(stream, at, where)
            if part.first <= document.name
            and (not part.end or document.name < part.end)
            and document.name > after
            and (not stream.descendants or self._taken(stream, document))
        ]
        yield from (found[start : start + size] for start in range(0, len(found), size))

    def fetch(self, names: Sequence[str], database: str, at: datetime | None = None) -> Mapping[str, Any]:
        held = ((name, self._at(name, at)) for name in names)
        return {name: document for name, document in held if document is not None}

    def _found(self, stream: Stream, at: datetime | None, where: Sequence[Where] = ()) -> list[Any]:
        self._check(at)
        below = (
            f"{self._root(stream.database)}/{stream.parent}/" if stream.parent else f"{self._root(stream.database)}/"
        )
        return [
            document
            for name in sorted(self._held, key=lambda name: name.split("/"))
            if name.startswith(below)
            and name.split("/")[-2] == stream.collection_id
            and (stream.descendants or name.count("/") == below.count("/") + 1)
            and (document := self._at(name, at)) is not None
            and all(self._passes(document, *one) for one in where)
        ]

    def _at(self, name: str, at: datetime | None) -> Any:
        return next((held for time, held in reversed(self._held.get(name, [])) if at is None or time <= at), None)

    def _check(self, at: datetime | None) -> None:
        if self.down:
            raise Unavailable("Firestore is not available")
        if at is not None and at < self.kept_since:
            raise ReadTimePassed("Firestore no longer keeps what it held at the read time")

    @staticmethod
    def _taken(stream: Stream, document: Any) -> bool:
        collection = stream.record.collection
        return collection is not None and collection.match(document.name.split("/", 5)[5]) is not None

    @staticmethod
    def _passes(document: Any, field: str, operator: str, wanted: Any) -> bool:
        held = python(document.fields[field]) if field in document.fields else None
        return type(held) is type(wanted) and COMPARE[operator](held, wanted)

    @staticmethod
    def _root(database: str) -> str:
        return f"projects/test/databases/{database}/documents"


class FakePending:
    """Port `PendingStreams`: `tables` holds the rows that were committed, by table; `refuses` names of documents."""

    def __init__(self) -> None:
        self.tables: dict[str, list[Staged]] = {}
        self.streams: dict[str, FakePendingStream] = {}
        self.refuses: set[str] = set()
        self._committed: set[str] = set()

    def open(self, table: str, record: type[Record]) -> "FakePendingStream":
        stream = FakePendingStream(f"{table}/streams/{len(self.streams)}", self.refuses)
        self.streams[stream.name] = stream
        return stream

    def commit(self, table: str, name: str) -> bool:
        stream = self.streams.get(name)
        if stream is None or not stream.finished:
            return False
        if name not in self._committed:
            self._committed.add(name)
            self.tables.setdefault(table, []).extend(stream.rows)
        return True


class FakePendingStream:
    """Port `PendingStream`."""

    def __init__(self, name: str, refuses: set[str]) -> None:
        self.name = name
        self.rows: list[Staged] = []
        self.refused: list[tuple[str, str]] = []
        self.finished = False
        self._refuses = refuses

    def append(self, rows: Sequence[Staged]) -> None:
        self.refused += [(row.document_name, "refused") for row in rows if row.document_name in self._refuses]
        self.rows += [row for row in rows if row.document_name not in self._refuses]

    def finish(self) -> int:
        self.finished = True
        return len(self.rows)

    def abandon(self) -> None:
        return None


class FakeSecrets:
    """Port `Secrets`: credentials by tenant and source."""

    def __init__(self, **held: str) -> None:
        self.held = held

    def get(self, tenant_id: str, source: str) -> str:
        if f"{tenant_id}_{source}" not in self.held:
            raise CredentialsRefused("there are no credentials", source=source, expected="a secret")
        return self.held[f"{tenant_id}_{source}"]
