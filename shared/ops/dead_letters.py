"""Setting events aside: nothing that fails for good is lost, and nothing loops."""

import hashlib
from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

import orjson

from shared.errors import AppError
from shared.ops.records import DeadLetter
from shared.schema.ports import Documents, Objects


class DeadLetters:
    """The bucket of set-aside events and the summaries that people read."""

    def __init__(
        self, objects: Objects, documents: Documents, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._objects = objects
        self._documents = documents
        self._now = now

    def set_aside(
        self,
        *,
        function: str,
        event_id: str,
        error: AppError,
        headers: Mapping[str, str],
        body: bytes,
        subject: str = "",
        tenant_id: str | None = None,
        correlation_id: str = "",
    ) -> DeadLetter:
        """Keep an event with its reason.

        A repeat is harmless: the object's name and the summary's id come from function, event and reason. The
        bytes come first: a crash in between leaves an object without a summary, and the redelivery adds it.
        """
        identity = "\n".join((function, event_id or hashlib.sha256(body).hexdigest(), subject, error.reason))
        dead_letter_id = hashlib.sha256(identity.encode()).hexdigest()[:32]
        name = f"dead-letters/{function}/{dead_letter_id}.json"
        kept = {"function": function, "headers": dict(headers), "body": body.decode("latin-1")}
        self._objects.put_if_absent(name, orjson.dumps(kept))
        letter = DeadLetter(
            dead_letter_id=dead_letter_id,
            function=function,
            reason=error.reason,
            message=error.message,
            fields=_plain(error.fields),
            event_id=event_id,
            subject=subject,
            tenant_id=tenant_id,
            object_name=name,
            set_aside_at=self._now(),
            correlation_id=correlation_id,
        )
        self._documents.create(f"dead_letters/{dead_letter_id}", letter.document())
        return letter

    def event(self, letter: DeadLetter) -> tuple[dict[str, str], bytes]:
        """Headers and body of a set-aside event as they came; a LookupError where the object is gone."""
        kept = self._objects.get(letter.object_name)
        if kept is None:
            raise LookupError(letter.object_name)
        values = orjson.loads(kept)
        return values["headers"], values["body"].encode("latin-1")

    def count(self, tenant_id: str | None = None) -> int:
        """How many wait, of one tenant or of all."""
        where: list[tuple[str, str, Any]] = [("status", "==", "waiting")]
        if tenant_id is not None:
            where.append(("tenant_id", "==", tenant_id))
        return sum(1 for _ in self._documents.find("dead_letters", where=where))


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(fields), default=str))
    return plain
