"""Every place that may hold a tenant's data, from what is declared: the list that the erase list is held against."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

from shared.erasure.subject import Kind
from shared.schema.record import Mark, Record

BOTH: tuple[Kind, ...] = ("document", "tenant")
OPS = "ops"
NAMES_DOCUMENTS = frozenset(
    ("document_name", "document_names", "document_path", "documents", "key", "refused_documents", "subject")
)
"""Fields of Scout's own state that say which document it is about."""


@dataclass(frozen=True)
class Place:
    """One collection, table, cache namespace or bucket, and by which kinds of subject it must be erasable."""

    kind: str
    name: str
    erased_by: tuple[Kind, ...]
    record: type[Record] | None = field(default=None, compare=False)

    def __str__(self) -> str:
        return f"{self.kind} {self.name}"

    def has(self, name: str) -> bool:
        """True where the place's record has the field."""
        return self.record is not None and name in self.record.model_fields


def places(records: Iterable[type[Record]], buckets: Iterable[str] = ()) -> tuple[Place, ...]:
    """Every place of the records, and the buckets (by their setting's name)."""
    found = [place for record in records for place in _of(record)]
    return tuple(dict.fromkeys([*found, *(Place("bucket", name, BOTH) for name in buckets)]))


def _of(record: type[Record]) -> Iterator[Place]:
    if record.collection is not None:
        state = record.collection.database == OPS
        about_documents = not state or NAMES_DOCUMENTS & record.model_fields.keys()
        name = f"{record.collection.database}/{record.collection.path}"
        yield Place("collection", name, BOTH if about_documents else ("tenant",), record)
    if record.table is not None:
        by_document = record.streamed() or record.marked(Mark.PERSONAL)
        yield Place("table", record.table.name, BOTH if by_document else ("tenant",), record)
    for namespace in record.caches:
        yield Place("cache", namespace.key, BOTH, record)
