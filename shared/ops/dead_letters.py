"""Setting events aside: nothing that fails for good is lost, and nothing loops."""

import hashlib
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Literal

import orjson

from shared.errors import AppError, Rejected
from shared.ops.records import DeadLetter
from shared.schema.ports import Documents, Objects

LETTER_ID = re.compile(r"[0-9a-f]{32}")
After = tuple[datetime, str]
"""Behind which letter a page begins: when it was set aside, and its id."""


class EventGone(Rejected):
    """The set-aside event's bytes are no more: erased, or past the bucket's retention."""


@dataclass(frozen=True)
class Wanted:
    """Which letters: those of which all that is given is true. `since` is included, `until` is not."""

    tenant_id: str | None = None
    reason: str | None = None
    function: str | None = None
    since: datetime | None = None
    until: datetime | None = None


@dataclass(frozen=True)
class Waiting:
    """The letters that wait: how many, and a page of them, newest first."""

    count: Callable[[], int]
    page: Callable[[After | None, int], list[DeadLetter]]


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
        replay_of: str = "",
    ) -> DeadLetter:
        """Keep an event with its reason; an event that is a replay goes back to the function's letter `replay_of`.

        Of a topic every function that listens gets the replay: what another rejects is a letter of its own.

        A repeat is harmless: the object's name and the summary's id come from function, event and reason. The
        bytes come first: a crash in between leaves an object without a summary, and the redelivery adds it.
        """
        again = self.failed_again(replay_of, function, error) if LETTER_ID.fullmatch(replay_of) else None
        if again is not None:
            return again
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
            size_bytes=len(body),
            set_aside_at=self._now(),
            correlation_id=correlation_id,
        )
        self._documents.create(_path(dead_letter_id), letter.document())
        return letter

    def event(self, letter: DeadLetter) -> tuple[dict[str, str], bytes]:
        """Headers and body of a set-aside event as they came; EventGone where the object is no more."""
        kept = self._objects.get(letter.object_name)
        if kept is None:
            raise EventGone("the event's bytes are gone", object_name=letter.object_name)
        values = orjson.loads(kept)
        return values["headers"], values["body"].encode("latin-1")

    def settle(self, letter: DeadLetter, status: Literal["replayed", "superseded"]) -> None:
        """Note that a letter waits no more, unless it failed again since it was read, or was erased."""

        def settled(values: dict[str, Any] | None) -> dict[str, Any] | None:
            if values is None or values["status"] != "waiting" or values.get("attempts", 0) != letter.attempts:
                return None
            return {**values, "status": status, "replayed_at": self._now()}

        self._documents.transact(_path(letter.dead_letter_id), settled)

    def failed_again(self, dead_letter_id: str, function: str, error: AppError) -> DeadLetter | None:
        """Note that a letter failed once more, and why; None where the function has no such letter (any more)."""

        def failed(values: dict[str, Any] | None) -> dict[str, Any] | None:
            if values is None or values["function"] != function:
                return None
            return {
                **values,
                "status": "waiting",
                "reason": error.reason,
                "message": error.message,
                "fields": _plain(error.fields),
                "attempts": values.get("attempts", 0) + 1,
                "tried_at": self._now(),
                "replayed_at": None,
            }

        values = self._documents.transact(_path(dead_letter_id), failed)
        return DeadLetter.model_validate(values) if values else None

    def waiting(self, wanted: Wanted = Wanted()) -> Waiting:
        """The letters that wait of those that are wanted."""
        where: list[tuple[str, str, Any]] = [("status", "==", "waiting")]
        if wanted.tenant_id is not None:
            where.append(("tenant_id", "==", wanted.tenant_id))
        if wanted.reason is not None:
            where.append(("reason", "==", wanted.reason))
        if wanted.function is not None:
            where.append(("function", "==", wanted.function))
        if wanted.since is not None:
            where.append(("set_aside_at", ">=", wanted.since))
        if wanted.until is not None:
            where.append(("set_aside_at", "<", wanted.until))
        return Waiting(
            count=lambda: self._documents.count("dead_letters", where=where),
            page=lambda after, limit: _letters(
                self._documents.find(
                    "dead_letters",
                    where=where,
                    order_by="-set_aside_at",
                    limit=limit,
                    after=(after[0], _path(after[1])) if after else None,
                )
            ),
        )

    def count(self, tenant_id: str | None = None) -> int:
        """How many wait, of one tenant or of all."""
        return self.waiting(Wanted(tenant_id=tenant_id)).count()

    def reasons(self, wanted: Wanted = Wanted()) -> dict[str, int]:
        """How many wait by reason, counted by the server; the most first."""
        names = {wanted.reason} if wanted.reason else _reasons(Rejected)
        counts = {name: self.waiting(replace(wanted, reason=name)).count() for name in sorted(names)}
        # Of an error that the code has no more.
        counts["others"] = self.waiting(wanted).count() - sum(counts.values())
        return {name: count for name, count in sorted(counts.items(), key=lambda item: -item[1]) if count > 0}


def _path(dead_letter_id: str) -> str:
    return f"dead_letters/{dead_letter_id}"


def _letters(found: Iterator[tuple[str, dict[str, Any]]]) -> list[DeadLetter]:
    return [DeadLetter.model_validate(values) for _, values in found]


def _reasons(kind: type[AppError]) -> set[str]:
    return {kind.__name__}.union(*(_reasons(below) for below in kind.__subclasses__()))


def _plain(fields: Mapping[str, Any]) -> dict[str, Any]:
    plain: dict[str, Any] = orjson.loads(orjson.dumps(dict(fields), default=str))
    return plain
