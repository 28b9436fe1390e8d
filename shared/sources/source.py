"""What every source is to a sync: feeds of documents, given page by page from a position on.

A new source is one adapter of this port, the records that its documents become, and a declaration in catalogue.py.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cache
from typing import Any, Protocol

from shared.schema.record import Collection
from shared.schema.registry import streamed_records
from shared.sources.records import SourceRow
from shared.tenants.records import SourceSettings

DETAIL_DAYS = 35
"""How far back feeds go that are fine and many: detectors look 28 days back on such, from the last that has settled."""


@dataclass(frozen=True)
class Feed:
    """One kind of document that a source gives, and the record that it becomes.

    restates: the source gives whole days, in order, and may report a row of a recent day no more: it is removed then.
    mutable: its documents go on changing after their day, and others than syncs write them (webhooks): the newer stays.
    account: the fields that say which of the vendor's accounts a document is of, spelled as in SourceSettings.
    lags: it gives a day only some days later, and who knows when: days after the newest that came are still to come.
    once: its documents tell how things stood after a day: what was found first stays, and is not written again.
    listed: the field with a document's id, where the source can be asked what it has no more (shared/sources/gone.py).
    """

    record: type[SourceRow]
    restates: bool = False
    mutable: bool = False
    account: tuple[str, ...] = ()
    lags: bool = False
    once: bool = False
    listed: str = ""

    @property
    def collection(self) -> Collection:
        """Where its documents are written."""
        collection = self.record.collection
        if collection is None:
            raise TypeError(f"{self.record.__name__} declares no collection")
        return collection

    def at(self, tenant_id: str, name: str) -> str:
        """Where the document of this id is written; a slash in the id divides nothing."""
        return f"{self.collection.at(tenant_id=tenant_id)}/{name.replace('/', '%2F')}"


@dataclass(frozen=True)
class Pull:
    """What is pulled: one tenant's source since a day, in one run; `credentials` as Secret Manager holds them."""

    tenant_id: str
    run_id: str
    since: date
    settings: SourceSettings
    credentials: str = field(default="", repr=False)


@dataclass(frozen=True)
class Page:
    """One page: documents as (id, fields), where the next page begins, and how many the source says there are in all.

    Each document's fields hold `date` as ISO text, and not what every raw row carries: the sync adds that.
    `following` is None at the end, `reported` where the source does not say. gone: ids of documents to be removed.
    """

    documents: list[tuple[str, dict[str, Any]]]
    following: str | None
    reported: int | None
    gone: Sequence[str] = ()


class Source(Protocol):
    """One source. Unavailable where it does not answer, CredentialsRefused where it takes the credentials no more,
    Rejected where it refuses for good.
    """

    @property
    def feeds(self) -> Sequence[Feed]:
        """What it gives, in the order in which it is pulled."""
        ...

    def pages(self, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of one feed from a position on; "" is the beginning."""
        ...

    def check(self, pull: Pull) -> str:
        """Ask the smallest thing that needs the credentials; what they open, in the vendor's own name for it."""
        ...


@cache
def source_collections() -> tuple[str, ...]:
    """Names of the collections that syncs write to; their tables have the same."""
    declared = (record.collection for record in streamed_records() if issubclass(record, SourceRow))
    return tuple(sorted(collection.name for collection in declared if collection is not None))
