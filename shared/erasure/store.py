"""What a store declares so that erasing reaches it. Each domain that owns one has a module `erasure.py` with

def stores(needs: Needs) -> tuple[Store, ...]
KEPT: Mapping[type[Record], str]    records that hold nothing to be erased, and why (optional)
"""

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from enum import IntEnum
from typing import Protocol

from shared.erasure.places import Place
from shared.erasure.subject import Kind, Subject
from shared.ops.leases import Leases
from shared.schema.ports import Cache, Documents, Objects, Warehouse
from shared.streaming.streams import Pattern


class Stage(IntEnum):
    """In which order stores are erased: from where data comes to where it ends up, so that nothing flows back."""

    SOURCE = 1
    """Firestore: what is gone here no backfill copies again."""
    SET_ASIDE = 2
    """Events that may be delivered again."""
    ROWS = 3
    DERIVED = 4
    """Caches and exports, made of rows."""
    STATE = 5
    """Notes, by which the others find what they hold too: a tenant's stay until nothing is held any more."""


class Store(Protocol):
    """One store. Each method may be repeated at any time; Unavailable where it has to be later."""

    name: str
    stage: Stage

    def covers(self, place: Place, kind: Kind) -> bool:
        """True where erasing such a subject reaches the place."""
        ...

    def count(self, subject: Subject) -> Mapping[str, int]:
        """How much is held of the subject, by part of the store; the parts' names tell nothing about the subject."""
        ...

    def erase(self, subject: Subject) -> list[str]:
        """Erase it; the statements that did it, without values."""
        ...


class Tree(Documents, Protocol):
    """A Firestore database whose documents can be listed and removed with all that lies below them."""

    def tree(self, path: str) -> Iterator[tuple[str, datetime]]:
        """The document, where there is one, and every document below it: path and when it was created."""
        ...

    def delete_many(self, paths: Iterable[str]) -> int:
        """Delete documents in batches; their number."""
        ...

    def moment(self) -> datetime:
        """The database's own time."""
        ...


class Datasets(Warehouse, Protocol):
    """BigQuery with the administration of whole datasets."""

    def datasets(self) -> list[str]:
        """Names of the project's datasets."""
        ...

    def drop_dataset(self, name: str) -> None:
        """Delete a dataset with everything in it, or nothing."""
        ...


class Bucket(Objects, Protocol):
    """A bucket whose objects can be listed and removed."""

    def names(self, prefix: str = "") -> Iterator[str]:
        """Names of the objects that begin so."""
        ...

    def delete(self, name: str) -> None:
        """Delete the object, or nothing."""
        ...


class Keys(Cache, Protocol):
    """A cache whose keys can be counted."""

    def count(self, pattern: str) -> int:
        """How many keys match a pattern."""
        ...


@dataclass(frozen=True)
class Needs:
    """What stores are made over; each part is connected by who uses it first."""

    project: str
    databases: tuple[str, ...]
    """Firestore databases of tenants' data, in this deployment."""
    documents: Callable[[str], Tree]
    """A Firestore database by its name."""
    ops: Callable[[], Documents]
    warehouse: Callable[[], Datasets]
    bucket: Callable[[str], Bucket | None]
    """A bucket by its setting's name; None where the setting is empty."""
    cache: Callable[[], Keys]
    leases: Callable[[], Leases]
    patterns: Callable[[], Iterable[Pattern]]
    """Which undeclared collections are streamed."""
    ops_database: str = "ops"
    """How the database of Scout's own state is called in this deployment."""
