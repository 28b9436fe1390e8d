"""What Search Console's rows say of the tracked keywords: asked at the end of each of its syncs."""

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence
from datetime import date, timedelta

from shared.content.keywords import CHECKS_KEPT, KeywordStore, Observation
from shared.schema.ports import Documents, Values
from shared.sources.source import Pull

ASKED_AT_ONCE = 30
"""Values that one query of Firestore may compare a field with."""


class SearchRankings:
    """Brings the rankings of tracked keywords up to the newest day that Search Console has settled."""

    def __init__(self, documents: Documents, keywords: KeywordStore) -> None:
        self._documents = documents
        self._keywords = keywords

    def after(self, pull: Pull) -> dict[str, int]:
        """Write the days of a pull, whose rows are all there, into the keywords; how many of these changed.

        Twice is once, and a crash on the way is repeated with the sync: see KeywordStore.observe.
        """
        newest = self._newest(pull)
        if newest is None:
            return {}
        since = max(pull.since, newest - timedelta(days=CHECKS_KEPT - 1))
        tracked = self._keywords.tracked(pull.tenant_id)
        seen = (
            one
            for first in range(0, len(tracked), ASKED_AT_ONCE)
            for one in observations(self._rows(pull, tracked[first : first + ASKED_AT_ONCE], since))
        )
        told = self._keywords.observe(pull.tenant_id, seen)
        return {"keywords": told.changed, "keywords_malformed": told.malformed}

    def _newest(self, pull: Pull) -> date | None:
        rows = self._documents.find(f"tenants/{pull.tenant_id}/search_console_queries", order_by="-date", limit=1)
        return next((date.fromisoformat(fields["date"]) for _, fields in rows), None)

    def _rows(self, pull: Pull, queries: Sequence[str], since: date) -> Iterator[Values]:
        found = self._documents.find(
            f"tenants/{pull.tenant_id}/search_console_queries",
            where=[("query", "in", list(queries)), ("date", ">=", since.isoformat())],
        )
        return (fields for _, fields in found if fields.get("site_url") == pull.settings.site_url)


def observations(rows: Iterable[Values]) -> Iterator[Observation]:
    """Where each query stood on each day: the mean position by impressions, and the page that was shown most.

    Rows whose numbers cannot be read say nothing here; the stream refuses them where people see it.
    """
    shown: dict[tuple[str, str], dict[str, tuple[float, float]]] = defaultdict(dict)
    for row in rows:
        impressions, position = row.get("impressions"), row.get("position")
        if isinstance(impressions, int | float) and isinstance(position, int | float) and impressions > 0:
            shown[row["query"], row["date"]][row["page"]] = impressions, position
    for (query, day), pages in shown.items():
        impressions = sum(number for number, _ in pages.values())
        mean = sum(number * position for number, position in pages.values()) / impressions
        most = min(pages, key=lambda page: (-pages[page][0], page))
        yield Observation(query, date.fromisoformat(day), mean, most)
