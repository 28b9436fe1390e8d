"""Documents of what a source has no more: found by asking it, and removed.

Nothing is taken for gone because a list was short. Where a feed has come to its end, and more documents are stored than
the source says that it has, it is asked which of them it has, some at a time, and then about each that it leaves out by
itself; where it leaves out more than are still too many, nothing more is removed.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, cast

from shared.schema.ports import Documents
from shared.sources.source import Feed, Page, Pull, Source

EACH = 100
"""Documents that are asked about at once."""
ONE_BY_ONE = 25
"""Of them, those of a page that are asked about by themselves: so a slice can end between."""


class Holder(Protocol):
    """A source that can be asked what it has of a feed. Errors as of its pages."""

    def held(self, feed: Feed, pull: Pull) -> int | None:
        """How many there are; None where the source does not say."""
        ...

    def missing(self, feed: Feed, pull: Pull, ids: Sequence[str]) -> Sequence[str]:
        """Which of these it leaves out when it is asked about them, in their order; none where that is in doubt."""
        ...

    def is_gone(self, feed: Feed, pull: Pull, object_id: str) -> bool:
        """True where it says of this one that it is no more."""
        ...


@dataclass(frozen=True)
class Asked:
    """How far the source was asked, as a position: what it reported of the feed, how many documents are still too many
    (empty: not counted yet), and the last one that it was asked about.
    """

    reported: str
    too_many: str = ""
    after: str = ""

    @property
    def text(self) -> str:
        """A position to go on from."""
        return f"gone/{self.reported}/{self.too_many}/{self.after}"

    @classmethod
    def read(cls, position: str) -> "Asked | None":
        """What `text` wrote; None of a position of the feed itself."""
        return cls(*position.split("/", 3)[1:]) if position.startswith("gone/") else None


def with_gone(source: Source, documents: Documents, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
    """Pages of a feed, and, where it is `listed`, behind the last one those that say what is gone."""
    asked = Asked.read(position)
    if asked is None:
        for page in source.pages(feed, pull, position):
            if page.following is None and feed.listed:
                asked = Asked("" if page.reported is None else str(page.reported))
                page = replace(page, following=asked.text)
            yield page
    if asked is not None:
        yield from _gone(cast(Holder, source), documents, feed, pull, asked)


def _gone(source: Holder, documents: Documents, feed: Feed, pull: Pull, asked: Asked) -> Iterator[Page]:
    collection, reported = feed.collection.at(tenant_id=pull.tenant_id), int(asked.reported) if asked.reported else None
    account = {name: getattr(pull.settings, name) for name in feed.account}
    if not asked.too_many:
        held = source.held(feed, pull)
        where: list[tuple[str, str, str]] = []
        for name, value in account.items():
            where.append((name, "==", value))
        stored = documents.count(collection, where)
        asked = replace(asked, too_many=str(0 if held is None else stored - held))
    while int(asked.too_many) > 0:
        behind = (asked.after, feed.at(pull.tenant_id, asked.after)) if asked.after else None
        found = [fields for _, fields in documents.find(collection, order_by=feed.listed, limit=EACH, after=behind)]
        own = [fields[feed.listed] for fields in found if account.items() <= fields.items()]
        missing = source.missing(feed, pull, own) if own else []
        if not found or len(missing) > int(asked.too_many):
            break
        gone = [one for one in missing[:ONE_BY_ONE] if source.is_gone(feed, pull, one)]
        after = missing[ONE_BY_ONE - 1] if len(missing) > ONE_BY_ONE else found[-1][feed.listed]
        asked = replace(asked, too_many=str(int(asked.too_many) - len(gone)), after=after)
        yield Page([], asked.text, reported, gone)
    yield Page([], None, reported)
