"""Writing a source's pages into its raw collections, and removing what it reports no more."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from shared.errors import Rejected
from shared.schema.ports import Documents, Values
from shared.sources.gone import with_gone
from shared.sources.ledger import Tally, Written
from shared.sources.source import Feed, Page, Pull, Source
from shared.sources.states import said

SAME_BUT_FOR = frozenset(("sync_run_id", "synced_at"))
"""What tells one sync from the next, and not one document from another: a document like that is not written again."""
Named = list[tuple[str, Values]]


class RawDocuments:
    """The raw collections of all sources."""

    def __init__(self, documents: Documents) -> None:
        self._documents = documents

    def is_bare(self, feed: Feed, tenant_id: str) -> bool:
        """True where the collection holds nothing yet."""
        return not any(self._documents.find(feed.collection.at(tenant_id=tenant_id), limit=1))

    def write(
        self, feed: Feed, tenant_id: str, page: Page, stamp: Mapping[str, Any], bare: bool, tally: Tally
    ) -> Written:
        """Write a page; bare: its collection held nothing when the run came to it; tally: what the slice told before.

        A document that Firestore does not take is left out, and costs no other.
        """
        named = {feed.at(tenant_id, name): {**fields, **stamp} for name, fields in page.documents}

        def put(documents: Named) -> Mapping[str, Values]:
            if feed.mutable:
                # A webhook may have brought what is newer than this page.
                return self._documents.put_newer(documents, "synced_at", SAME_BUT_FOR)
            if bare:
                # To look what is there would only cost.
                self._documents.put_many(documents)
                return {}
            # What is told once stays as it is, whatever differs.
            but_for = SAME_BUT_FOR.union(*(fields for _, fields in documents)) if feed.once else SAME_BUT_FOR
            return self._documents.put_changed(documents, but_for)

        kept, refused = _narrowed(put, list(named.items()))
        # What this very run wrote before it was repeated counts as written: the log has it under this run. What is
        # given once more, as by lists that shift while they are read, counts once.
        mine = {path for path, fields in kept.items() if fields.get("sync_run_id") == stamp["sync_run_id"]}
        again = kept.keys() & tally.told
        if tally.began_at is not None and not feed.restates:
            # Slices before it told these. Of what is restated they left out what this one begins with.
            again |= {path for path in mine if kept[path]["synced_at"] < tally.began_at}
        there = kept.keys() - mine - again
        written = named.keys() - refused.keys() - there - again
        tally.told |= written | there
        return Written(
            written=[named[path].get("date") for path in written],
            unchanged=[named[path].get("date") for path in there],
            unwritten=[named[path].get("date") for path in refused],
            unwritten_documents=[f"{path.rpartition('/')[2]}: {why}"[:300] for path, why in refused.items()],
        )

    def pages(self, source: Source, feed: Feed, pull: Pull, position: str) -> Iterator[Page]:
        """Pages of a feed, and of what is gone."""
        return with_gone(source, self._documents, feed, pull, position)

    def drop(self, feed: Feed, pull: Pull, gone: Iterable[str], asked_at: datetime) -> int:
        """Delete what the source had no more when it was asked, unless it was written later; the number deleted."""
        paths = [feed.at(pull.tenant_id, name) for name in gone]
        return sum(self._documents.delete_older(path, "synced_at", asked_at) for path in paths)

    def remove(self, feed: Feed, pull: Pull, complete: Mapping[str, set[str]]) -> int:
        """Delete the rows of whole days that the source reports no more, of the same account.

        GA4 attributes recent sessions anew: without this the old row would be counted beside the new. A day of which
        nothing is reported removes nothing: a source that reports no row at all is more likely broken than right.
        """
        collection, removed = feed.collection.at(tenant_id=pull.tenant_id), 0
        for day, names in complete.items():
            reported = {feed.at(pull.tenant_id, name) for name in names}
            for path, fields in list(self._documents.find(collection, where=[("date", "==", day)])):
                same = all(fields.get(each) == getattr(pull.settings, each) for each in feed.account)
                if same and path not in reported:
                    self._documents.delete(path)
                    removed += 1
        return removed


def _narrowed(
    put: Callable[[Named], Mapping[str, Values]], documents: Named
) -> tuple[dict[str, Values], dict[str, str]]:
    """What was there already of the documents that were put, and why each of the others was refused."""
    try:
        return dict(put(documents)), {}
    except Rejected as error:
        if len(documents) == 1:
            return {}, {documents[0][0]: said(error)}
    halves = len(documents) // 2
    first, second = (_narrowed(put, half) for half in (documents[:halves], documents[halves:]))
    return first[0] | second[0], first[1] | second[1]
