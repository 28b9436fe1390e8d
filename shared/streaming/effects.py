"""What follows once rows are durable: caches forget, subscribers hear. Once per batch, not per row."""

import asyncio
from collections.abc import Callable, Iterable, Sequence
from typing import Protocol

from shared.schema.message import Message
from shared.streaming.messages import changed
from shared.streaming.rows import Row


class Forgetting(Protocol):
    """The part of a cache that is needed here."""

    def forget(self, scopes: Iterable[str]) -> int:
        """Forget scopes."""
        ...


class Publishing(Protocol):
    """The part of Pub/Sub that is needed here."""

    def publish(self, message: Message) -> str:
        """Publish one message."""
        ...


class Effects:
    """Forgets and publishes for the records that declare a cache or a topic; the others cost nothing."""

    def __init__(self, cache: Callable[[], Forgetting], publisher: Callable[[], Publishing]) -> None:
        self._cache = cache
        self._publisher = publisher

    async def follow(self, rows: Sequence[Row]) -> None:
        """Forget, then publish, for rows of one table. Unavailable where either fails: the events are retried."""
        record = rows[0].record
        scopes = {space.scope(**row.names) for space in record.caches for row in rows}
        if scopes:
            # First: whoever hears of the change must not read the old value.
            await asyncio.to_thread(self._cache().forget, scopes)
        if record.published_as:
            await asyncio.to_thread(self._publish, record.published_as, rows)

    def _publish(self, topic: str, rows: Sequence[Row]) -> None:
        collection = rows[0].record.collection
        tenants: dict[str | None, list[str]] = {}
        for row in rows:
            tenants.setdefault(row.names.get("tenant_id"), []).append(row.document_id)
        for tenant_id, documents in tenants.items():
            self._publisher().publish(
                changed(topic)(
                    collection=collection.name if collection else "",
                    tenant_id=tenant_id,
                    document_ids=tuple(dict.fromkeys(documents)),
                )
            )
