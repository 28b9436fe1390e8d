"""Leases: one worker at a time for a resource, with a deadline so that a crash frees it."""

import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

from shared.schema.ports import Documents


class Leases:
    """Leases on named resources."""

    def __init__(self, documents: Documents, now: Callable[[], datetime] = lambda: datetime.now(UTC)) -> None:
        self._documents = documents
        self._now = now

    @contextmanager
    def hold(self, resource: str, seconds: float, holder: str = "") -> Iterator[bool]:
        """Hold a lease for a block; yields False, without waiting, where somebody else has it.

        holder: who may take it again at any moment, as a run that died and is taken up by another process.
        """
        holder, path = holder or secrets.token_hex(8), f"leases/{resource}"

        def take(values: dict[str, Any] | None) -> dict[str, Any] | None:
            now = self._now()
            if values and values["holder"] not in ("", holder) and values["until"] > now:
                return None
            return {"resource": resource, "holder": holder, "until": now + timedelta(seconds=seconds)}

        def release(values: dict[str, Any] | None) -> dict[str, Any] | None:
            return {**values, "holder": ""} if values and values["holder"] == holder else None

        held = self._documents.transact(path, take) is not None
        try:
            yield held
        finally:
            if held:
                self._documents.transact(path, release)

    def is_held(self, resource: str) -> bool:
        """True while somebody has it."""
        values = self._documents.get(f"leases/{resource}")
        return values is not None and values["holder"] != "" and bool(values["until"] > self._now())
