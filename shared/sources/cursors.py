"""How far each feed of a tenant's source was pulled, of which of the vendor's accounts."""

from collections.abc import Sequence
from datetime import date, timedelta

from shared.ops.records import Cursor
from shared.schema.ports import Documents
from shared.sources.catalogue import SourceKind
from shared.sources.source import Feed

SETTLES_WITHIN = timedelta(days=30)
"""A day of which a feed that lags gives nothing for so long has nothing."""


class Cursors:
    """The cursors of feeds. They never go back, but with an account that was not pulled yet."""

    def __init__(self, ops: Documents) -> None:
        self._ops = ops

    def due(self, tenant_id: str, kind: SourceKind, feed: Feed, account: str, today: date) -> date:
        """Since when a feed is due; where nothing of the account was pulled yet, its history."""
        until = self._until(tenant_id, kind.name, feed, account)
        if until is None:
            return today - timedelta(days=kind.history_days)
        return until - timedelta(days=kind.restated_days)

    def move(self, tenant_id: str, source: str, feed: Feed, account: str, began: date, newest: date | None) -> None:
        """Note that a feed was pulled as far as it goes, by a sync that began on a day; newest: the last day it gave.

        What changed while it was pulled is due again. Of a feed that lags, days after the newest are still to come.
        """
        until = began
        if feed.lags:
            settled = began - SETTLES_WITHIN
            until = min(began, max(newest + timedelta(days=1), settled) if newest else settled)
        until = max(until, self._until(tenant_id, source, feed, account) or until)
        cursor = Cursor(
            tenant_id=tenant_id,
            source=source,
            collection_name=feed.collection.name,
            synced_until=until.isoformat(),
            account=account,
        )
        self._ops.put(_path(tenant_id, source, feed), cursor.document())

    def part(self, tenant_id: str, source: str, feeds: Sequence[Feed]) -> None:
        """Forget the cursor of all feeds once each has its own: one that is added later begins with its history."""
        of_all = _path(tenant_id, source)
        if self._ops.get(of_all) and all(self._ops.get(_path(tenant_id, source, feed)) for feed in feeds):
            self._ops.delete(of_all)

    def _until(self, tenant_id: str, source: str, feed: Feed, account: str) -> date | None:
        # One without a collection is of all, and of an account that nobody noted: so they were kept once.
        found = self._ops.get(_path(tenant_id, source, feed)) or self._ops.get(_path(tenant_id, source))
        if found is None or (found.get("account") or account) != account:
            return None
        return date.fromisoformat(found["synced_until"])


def _path(tenant_id: str, source: str, feed: Feed | None = None) -> str:
    return f"cursors/{tenant_id}:{source}" + (f":{feed.collection.name}" if feed else "")
