"""Which collection goes to which tables: declared records first, then the patterns for whatever nobody declared.

A pattern (collections.yaml, or a document `streams/{id}` of the ops database, which needs no deployment) makes a record
of each collection that it matches: `tenants/{tenant_id}/{collection}` makes one for `tenants/{tenant_id}/things`. From
there on nothing tells the two apart.
"""

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path
from typing import Annotated, Any, Self

import yaml
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, StringConstraints, field_serializer, model_validator

from shared.errors import BadRequest, NotFound, NotNow
from shared.schema.names import NOT_A_NAME
from shared.schema.record import GROUP, PLACEHOLDER, Collection, Record, Table, Transforms, Undeclared
from shared.schema.registry import records, streamed_records
from shared.streaming.steps import steps_of_paths

DECLARED = Path(__file__).with_name("collections.yaml")
NAME_LENGTH = 200
BESIDE = re.compile(r"(_base|_raw_changelog|_raw_latest|_history|_refill)$|_backfill_|_fingerprints")
"""How the tables beside a view are called."""


def _pairs(rename: Any) -> Any:
    """`{old: new}`, as it is written, as pairs: a pattern can be compared and hashed."""
    return tuple(rename.items()) if isinstance(rename, Mapping) else rename


class Pattern(BaseModel):
    """Collections that are streamed without a declared record.

    A path that begins with `{path=**}/` means the collection wherever it lies, a collection group.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: Annotated[str, StringConstraints(min_length=1, max_length=1000)]
    table: Annotated[str, StringConstraints(pattern=r"^[\w{}]+\.[\w{}]+$")]
    database: str = "(default)"
    log: str = ""
    changelog: bool = True
    log_retention_days: int | None = Field(None, ge=1)
    merge_every_seconds: int = Field(900, ge=60)
    ttl_field: str | None = None
    paused: bool = False
    """True: its documents wait, as the pattern is being changed or cannot be read. No other pattern takes them."""

    # What becomes of fields before they leave for BigQuery, by path (shared/schema/record.py, Transforms).
    drop: tuple[str, ...] = ()
    hash: tuple[str, ...] = ()
    mask: tuple[str, ...] = ()
    rename: Annotated[tuple[tuple[str, str], ...], BeforeValidator(_pairs)] = ()

    @field_serializer("rename")
    def _rename_as_written(self, rename: tuple[tuple[str, str], ...]) -> dict[str, str]:
        return dict(rename)  # Firestore keeps no list in a list

    @model_validator(mode="after")
    def _transforms_agree(self) -> Self:
        try:
            steps_of_paths(self.transforms)
        except TypeError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _names_what_it_uses(self) -> Self:
        parts = self.path.removeprefix(GROUP).split("/")
        if len(parts) % 2 == 0 or "" in parts or (self.path.startswith(GROUP) and len(parts) != 1):
            raise ValueError(f"path: {self.path!r} is not a collection's path")
        unknown = set(PLACEHOLDER.findall(self.table)) - set(PLACEHOLDER.findall(self.path))
        if unknown:
            raise ValueError(f"table: the path has no {{{min(unknown)}}}")
        return self

    @property
    def transforms(self) -> Transforms:
        """What becomes of fields before they leave for BigQuery."""
        return Transforms(self.drop, self.hash, self.mask, self.rename)

    def match(self, collection_path: str) -> dict[str, str] | None:
        """The placeholders' values, or None where the collection is not of this pattern."""
        found = self._expression.fullmatch(collection_path)
        return None if found is None else found.groupdict()

    @cached_property
    def _expression(self) -> re.Pattern[str]:
        if self.path.startswith(GROUP):
            return re.compile(rf"(?:[^/]+/[^/]+/)*{re.escape(self.path.removeprefix(GROUP))}")
        parts = []
        for part in self.path.split("/"):
            name = PLACEHOLDER.fullmatch(part)
            parts.append(f"(?P<{name[1]}>[^/]+)" if name else re.escape(part))
        return re.compile("/".join(parts))

    def record(self, values: Mapping[str, str]) -> type[Record]:
        """The record of the one collection that these values of the placeholders stand for.

        What names the dataset, and ids of documents on the way, stay placeholders: they differ within the collection.
        """
        dataset, table = self.table.split(".")
        named = set(PLACEHOLDER.findall(table))
        fixed = {name: value for name, value in values.items() if name in named}
        path = "/".join(fixed.get(part[1:-1], part) if part.startswith("{") else part for part in self.path.split("/"))
        name = table.format(**fixed)
        if fixed and _may_be_anothers(name, fixed.values()):
            name = f"{name}_{_hash(path)}"
        return _record(self, path, f"{dataset}.{table_name(name)}")


@dataclass(frozen=True)
class Stream:
    """One collection and where its documents go: a record, and values of the placeholders that name the dataset."""

    record: type[Record]
    names: Mapping[str, str]
    database: str
    parent: str
    """Document below which the collection lies; empty for the database itself."""
    collection_id: str
    descendants: bool
    """True where it is a group: every collection of that id below `parent` whose path the record matches."""

    def names_of(self, path: str) -> Mapping[str, str]:
        """The placeholders' values of one of its documents, as the trigger finds them, and `document_id`."""
        found = self.record.collection.match(path) if self.record.collection else None
        return {**self.names, **(found or {})}


def table_name(text: str) -> str:
    """A collection's id as BigQuery takes it for a table; what had to be changed is told apart by a hash."""
    plain = NOT_A_NAME.sub("_", text)[:NAME_LENGTH]
    return plain if plain == text else f"{plain}_{_hash(text)}"


def _may_be_anothers(name: str, values: Iterable[str]) -> bool:
    """True for a table's name that another collection's, or one of the tables beside a view, may have as well."""
    unclear = any("__" in value or value.startswith("_") or value.endswith("_") for value in values)
    return unclear or BESIDE.search(name) is not None or name in _declared_tables()


@cache
def _declared_tables() -> frozenset[str]:
    return frozenset(record.table.table for record in records() if record.table is not None)


def _hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]


@cache
def declared_patterns() -> tuple[Pattern, ...]:
    """The patterns of collections.yaml."""
    return tuple(Pattern.model_validate(values) for values in yaml.safe_load(DECLARED.read_text()) or ())


def stream_of(collection_path: str, database: str = "(default)", patterns: Iterable[Pattern] | None = None) -> Stream:
    """The stream of one collection by its path: `tenants/demo/things`, or a record's own path with placeholders left,
    `tenants/demo/orders/{order_id}/items`, which is every such collection below `tenants/demo`.

    BadRequest where it is no collection's path, NotFound where nothing streams it.
    """
    parts = collection_path.split("/")
    if len(parts) % 2 == 0 or "" in parts:
        raise BadRequest("not a collection's path", field="collection", expected="tenants/demo/things")
    found = _declared(collection_path, database) or undeclared(
        collection_path, database, declared_patterns() if patterns is None else patterns
    )
    if found is None:
        raise NotFound(
            "no stream takes this collection",
            field="collection",
            database=database,
            expected="what a record declares or a pattern takes; docs/streaming.md says how to add one",
        )
    record, names = found
    return _stream(record, {name: value for name, value in names.items() if not value.startswith("{")}, parts, database)


def _declared(path: str, database: str) -> tuple[type[Record], dict[str, str]] | None:
    for record in streamed_records():
        if record.collection is None or record.collection.database != database:
            continue
        names = record.collection.match(f"{path}/_")
        if names is not None:
            names.pop("document_id")
            return record, names
    return None


def undeclared(path: str, database: str, patterns: Iterable[Pattern]) -> tuple[type[Record], dict[str, str]] | None:
    """The record of a collection that a pattern takes, and the values of the pattern's placeholders.

    NotNow where the pattern is paused.
    """
    for pattern in patterns:
        if pattern.database == database and (values := pattern.match(path)) is not None:
            if pattern.paused:
                raise NotNow("the collection's pattern is paused, or not valid", field="pattern", path=pattern.path)
            return pattern.record(values), values
    return None


def filled(path: str, names: Mapping[str, str]) -> str:
    """A collection's path with what is known filled in; a group's is its id alone."""
    return PLACEHOLDER.sub(lambda found: names.get(found[1], found[0]), path.removeprefix(GROUP))


def _stream(record: type[Record], names: Mapping[str, str], parts: list[str], database: str) -> Stream:
    group = record.collection is not None and record.collection.path.startswith(GROUP)
    fixed = next((index for index, part in enumerate(parts) if part.startswith("{")), len(parts))
    descendants = group or fixed < len(parts)
    parent = "" if group else "/".join(parts[: fixed - 1 if fixed < len(parts) else -1])
    return Stream(record, names, database, parent, parts[-1], descendants)


def pattern_of(record: type[Record]) -> Pattern:
    """The pattern that an undeclared collection's record was made of."""
    if not issubclass(record, Undeclared) or record.made_of is None:
        raise TypeError(f"{record.__name__} is declared: no pattern made it")
    pattern: Pattern = record.made_of
    return pattern


@cache
def _record(pattern: Pattern, path: str, table: str) -> type[Record]:
    described = {
        "__doc__": f"A document of {path}, which no record declares.",
        "__module__": "undeclared",  # the registry lists what is declared, only
        "made_of": pattern,
        "transforms": pattern.transforms,
        "collection": Collection(path, database=pattern.database, ttl_field=pattern.ttl_field),
        "table": Table(
            table,
            merge_every_seconds=pattern.merge_every_seconds,
            log_retention_days=pattern.log_retention_days,
            changelog=pattern.changelog,
            log=pattern.log,
        ),
    }
    return type("Undeclared", (Undeclared,), described)
