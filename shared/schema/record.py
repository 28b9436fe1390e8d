"""A record: one declaration of one kind of document or row.

From it come the BigQuery tables, the wire schema of the rows, the Firestore rules and indexes, the caches
that a change forgets, the retention and the data dictionary (see bigquery.py, firestore.py, infra/generate.py).
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime
from enum import Enum
from types import UnionType
from typing import Annotated, Any, ClassVar, Literal, TypeVar, Union, get_args, get_origin

from pydantic import BaseModel, ConfigDict
from pydantic.fields import FieldInfo

T = TypeVar("T")


class Mark(Enum):
    """What a field is, beyond its type."""

    KEY = "key"
    IMMUTABLE = "immutable"
    CLIENT_WRITABLE = "client_writable"
    PERSONAL = "personal"
    HASHED = "hashed"
    MASKED = "masked"
    DROPPED = "dropped"


Key = Annotated[T, Mark.KEY]
"""Part of the row's identity; the document id where there is one."""
Immutable = Annotated[T, Mark.IMMUTABLE]
"""Never changes once written: only then may a merge be pruned by its partition."""
ClientWritable = Annotated[T, Mark.CLIENT_WRITABLE]
"""A signed-in member of the tenant may change it from a browser."""
Personal = Annotated[T, Mark.PERSONAL]
"""Personal data: marked for the data dictionary, and for what transforms or erases it. The mark keeps nothing out by
itself: logs and dead-letter summaries hold no document's values, marked or not."""
# What leaves for BigQuery instead of the value (shared/streaming/transforms.py); Firestore keeps the value.
Hashed = Annotated[T, Mark.PERSONAL, Mark.HASHED]
"""Personal data that leaves as a keyed hash (of a list, each element's): equal values of a tenant stay equal."""
Masked = Annotated[T, Mark.PERSONAL, Mark.MASKED]
"""Personal data, text, that leaves with its shape only: `j***@e***.com`, `***4567`."""
Dropped = Annotated[T, Mark.PERSONAL, Mark.DROPPED]
"""Personal data that does not leave: it has no column."""
HIDING = (Mark.DROPPED, Mark.HASHED, Mark.MASKED)


@dataclass(frozen=True)
class Renamed:
    """Annotated[str, Renamed("full_name")]: the field leaves for BigQuery under another name."""

    name: str


@dataclass(frozen=True)
class Transforms:
    """The same for fields that no annotation reaches, by path: `address.street`.

    Lists on the way are passed through, `*` is every key of a map, and a name with a dot is written in backticks, as
    in Firestore's own paths. rename: pairs of a path and the field's new name.
    """

    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    rename: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True)
class ClientValues:
    """The values that a client may write into a field, where they are fewer than the field can hold."""

    values: tuple[str, ...]


Json = dict[str, Any]
"""A free-form value, stored in a JSON column."""

PLACEHOLDER = re.compile(r"\{(\w+)\}")
GROUP = "{path=**}/"
"""Begins the path of a collection group: the collection of that id, wherever it lies."""


@dataclass(frozen=True)
class Collection:
    """Where documents of a record live.

    path: collection path with placeholders, `tenants/{tenant_id}/opportunities`.
    indexes: composite indexes, each a tuple of field names, `-` before a descending one.
    ttl_field: the field of a Firestore TTL policy.
    unindexed: fields that nobody looks for and whose elements are many: each is an entry of an index otherwise, and a
    document of more than 40,000 is refused (https://firebase.google.com/docs/firestore/quotas).
    """

    path: str
    indexes: tuple[tuple[str, ...], ...] = ()
    database: str = "(default)"
    ttl_field: str | None = None
    unindexed: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """The collection's id: the last part of its path."""
        return self.path.rsplit("/", 1)[-1]

    def at(self, **values: str) -> str:
        """The path with its placeholders filled; a KeyError names a missing one."""
        return self.path.format(**values)

    def match(self, document_path: str) -> dict[str, str] | None:
        """The placeholders' values and `document_id`, or None where the document is not of this collection."""
        if self.path.startswith(GROUP):
            *above, name, document_id = document_path.split("/")
            return {"document_id": document_id} if name == self.name and len(above) % 2 == 0 else None
        parts, pattern = document_path.split("/"), [*self.path.split("/"), "{document_id}"]
        if len(parts) != len(pattern):
            return None
        found: dict[str, str] = {}
        for part, expected in zip(parts, pattern, strict=True):
            if expected.startswith("{"):
                found[expected[1:-1]] = part
            elif part != expected:
                return None
        return found


@dataclass(frozen=True)
class Table:
    """Where rows of a record live.

    name: `dataset.table`, the dataset with placeholders: `aso_tenant_{tenant_id}.opportunities`.
    partition_by: a DATE or TIMESTAMP field, by day or month. retention_days: None keeps rows for ever.
    merge_every_seconds: how often the current table of a streamed record is merged (its view is always exact).
    log_retention_days: how long the changelog of a streamed record is kept; None for ever. What is not merged yet is
    kept in any case. changelog: False keeps no history at all, only what the next merge and late repeats need.
    log: name of the changelog where it is not `<table>_raw_changelog`, which an extension's log may already have.
    """

    name: str
    partition_by: str | None = None
    partition_type: Literal["DAY", "MONTH"] = "DAY"
    cluster_by: tuple[str, ...] = ()
    retention_days: int | None = None
    merge_every_seconds: int = 900
    log_retention_days: int | None = None
    changelog: bool = True
    log: str = ""

    @property
    def dataset(self) -> str:
        """The dataset's name, with placeholders."""
        return self.name.split(".")[0]

    @property
    def table(self) -> str:
        """The table's own name."""
        return self.name.split(".")[1]


@dataclass(frozen=True)
class Namespace:
    """A family of cache keys that a change of the record makes stale: `aso_content:{tenant_id}`."""

    key: str
    ttl_seconds: int

    def scope(self, **values: str) -> str:
        """The namespace of one tenant (or other owner): what a change forgets."""
        return self.key.format(**values)


class Caches(tuple[Namespace, ...]):
    """The namespaces that a change of the record makes stale."""

    def __new__(cls, *namespaces: Namespace) -> "Caches":
        return super().__new__(cls, namespaces)


class Record(BaseModel):
    """Base of every declared record."""

    model_config = ConfigDict(
        extra="ignore", frozen=True, ignored_types=(Collection, Table, Caches, Transforms), ser_json_inf_nan="strings"
    )

    schema_version: ClassVar[int] = 1
    collection: ClassVar[Collection | None] = None
    table: ClassVar[Table | None] = None
    caches: ClassVar[Caches] = Caches()
    transforms: ClassVar[Transforms] = Transforms()
    """Of fields below a JSON column, and of fields that are not declared; a declared field is marked itself."""
    published_as: ClassVar[str | None] = None
    """Topic that hears of changes, `opportunities-changed`; None where nobody listens."""

    @classmethod
    def marked(cls, mark: Mark) -> tuple[str, ...]:
        """Names of the fields that carry a mark, in declared order."""
        return tuple(name for name, field in cls.model_fields.items() if mark in marks_of(field))

    def document(self) -> dict[str, Any]:
        """The fields as Firestore stores them: dates as ISO text, timestamps as they are."""
        return {name: _stored(value) for name, value in self.model_dump().items()}

    @classmethod
    def streamed(cls) -> bool:
        """True where documents of the record are streamed into tables."""
        return cls.collection is not None and cls.table is not None


class Undeclared(Record):
    """A document of a collection that nobody declared: no columns of its own, its fields are kept as lossless JSON.

    Each such collection is a subclass that is made when its first document is seen (shared/streaming/streams.py).
    """

    schema_version: ClassVar[int] = 0
    """Older than any declaration: once there is one, such rows are those that still lack its columns."""
    made_of: ClassVar[Any] = None
    """The pattern that took the collection."""


def marks_of(field: FieldInfo) -> tuple[Any, ...]:
    """What a field is annotated with, `Hashed[str] | None` and `list[Hashed[str]]` included."""
    return (*field.metadata, *marks_in(field.annotation))


def marks_in(annotation: Any) -> Iterator[Any]:
    """What a type is annotated with, and what its optional part or its elements are."""
    kind, parts = get_origin(annotation), get_args(annotation)
    if kind is Annotated:
        yield from parts[1:]
        yield from marks_in(parts[0])
    elif kind in (Union, UnionType, list, tuple):
        for part in parts:
            yield from marks_in(part)


def _stored(value: Any) -> Any:
    if isinstance(value, dict):
        return {name: _stored(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [_stored(inner) for inner in value]
    if isinstance(value, date) and not isinstance(value, datetime):
        return value.isoformat()
    return value
