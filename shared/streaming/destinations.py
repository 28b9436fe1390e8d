"""Where documents of a subject are in BigQuery, and ever were: what is declared, what was streamed, what was adopted.

A pattern may be changed, removed or undone; the tables that it made stay, with what they hold. Each has a note in
`streamed_tables` from before its first row, each adopted log one in `adoptions`: nothing takes those away but the
erasure of their tenant. Notes may be older than what the code takes for a pattern: no more of one is read than needed.
"""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from itertools import chain, zip_longest
from typing import Any

from shared.erasure.store import Needs
from shared.erasure.subject import Subject
from shared.schema.record import GROUP, PLACEHOLDER
from shared.schema.registry import records


@dataclass(frozen=True)
class Destination:
    """A dataset that documents of a collection go to, or went to."""

    path: str
    """The collection's, with placeholders; empty where nobody can tell any more."""
    database: str
    """Of Firestore; empty where nobody can tell any more."""
    dataset: str
    """With placeholders."""
    adopted_log: str = ""
    """`dataset.table` of the extension's changelog, where one was adopted."""

    def known(self, subject: Subject) -> dict[str, str] | None:
        """The placeholders' values, as far as the subject's path tells; None where none of its documents go there."""
        if subject.kind == "document" and self.database not in ("", subject.database):
            return None
        return on_the_way(self.path, subject.path) if self.path else {}

    def shape(self, known: Mapping[str, str]) -> re.Pattern[str]:
        """The expression of the dataset's names; placeholders whose value is not known stand for any."""
        parts = PLACEHOLDER.split(self.dataset)  # text and placeholders in turn
        texts, values = parts[::2], [re.escape(known[each]) if each in known else r"\w+" for each in parts[1::2]]
        return re.compile("".join(re.escape(text) + value for text, value in zip_longest(texts, values, fillvalue="")))


def destinations(needs: Needs, subject: Subject) -> tuple[Destination, ...]:
    """Every one that may hold something of the subject; `known` tells those that do not."""
    found = [
        Destination(each.collection.path, each.collection.database, each.table.dataset)
        for each in records()
        if each.collection and each.table
    ]
    found += [Destination(each.path, each.database, _dataset(each.table)) for each in needs.patterns()]
    return tuple(dict.fromkeys([*found, *_streamed(needs, subject), *_adopted(needs)]))


def databases_of(needs: Needs, subject: Subject, places: Iterable[Destination]) -> list[str]:
    """Firestore databases that the subject's documents are in, or were."""
    if subject.kind == "document":
        return [subject.database]
    return sorted({*needs.databases, *(each.database for each in places if each.database)})


def on_the_way(collection: str, path: str) -> dict[str, str] | None:
    """The placeholders' values where documents of a collection are, or lie below, the document; None elsewhere."""
    if collection.startswith(GROUP):
        return {}
    expected, parts = collection.split("/"), path.split("/")
    if len(expected) < len(parts) - 1:
        return None
    known = {}
    for part, value in zip(expected, parts, strict=False):
        if part.startswith("{"):
            known[part[1:-1]] = value
        elif part != value:
            return None
    return known


def place_of(pattern: Any) -> tuple[str, str]:
    """Path and database of a pattern, perhaps written by hand; empty where it does not say."""
    return _text(pattern, "path"), _text(pattern, "database", "(default)")


def _streamed(needs: Needs, subject: Subject) -> Iterator[Destination]:
    """Of tables that were ever made; not those of other tenants, which are many."""
    ops, tenant_id = needs.ops(), subject.tenant_id
    if tenant_id:
        own = ops.find("streamed_tables", where=[("tenant_id", "==", tenant_id)])
        notes = chain(own, ops.find("streamed_tables", where=[("tenant_id", "==", None)]))
    else:
        notes = chain(ops.find("streamed_tables"))
    for _, note in notes:
        path, database = place_of(note.get("pattern"))
        dataset = _dataset(note["view"])
        declared = Destination(path, database, _dataset(_text(note.get("pattern"), "table")))
        # The name with placeholders tells nobody's id, unless the note does not agree with itself.
        agrees = declared.shape({}).fullmatch(dataset)
        yield declared if agrees else Destination(path, database, dataset)


def _adopted(needs: Needs) -> Iterator[Destination]:
    for _, note in needs.ops().find("streams"):
        if log := note.get("adopted_log"):
            yield Destination(*place_of(note.get("pattern")), _dataset(log), log)
    for _, note in needs.ops().find("adoptions"):
        yield Destination(note["path"], note["database"], _dataset(note["log"]), note["log"])


def _text(pattern: Any, name: str, absent: str = "") -> str:
    value = pattern.get(name, absent) if isinstance(pattern, Mapping) else ""
    return value if isinstance(value, str) else ""


def _dataset(table: str) -> str:
    return table.partition(".")[0]
