"""The router's memory on disk: each Firestore event before it is acknowledged, and what became of it.

`firestore.jsonl`: one line an event {id, received_at, trigger, headers, body_base64}, where the body is the raw
protobuf that production would deliver. `firestore-settled.jsonl`: one line a settled event {id, at, outcome}.
What stands in the first and not in the second is delivered again after a restart.
"""

from __future__ import annotations

import binascii
import os
import uuid
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Literal

import orjson

EVENTS = "firestore.jsonl"
SETTLED = "firestore-settled.jsonl"
Outcome = Literal["delivered", "dropped"]


@dataclass(slots=True)
class Event:
    """One event for one trigger, as the emulator posted it."""

    id: str
    trigger: str
    headers: Mapping[str, str]
    body: bytes
    attempts: int = 0


class Journal:
    """Appends to the two files. Lines reach the operating system before a method returns."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self._folder = folder
        for name in (EVENTS, SETTLED):
            _end_the_last_line(folder / name)
        self._events = os.open(folder / EVENTS, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._settled = os.open(folder / SETTLED, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)

    def receive(self, trigger: str, headers: Mapping[str, str], body: bytes) -> Event:
        """Record an event. `body` is raw protobuf, or its base64 text as the emulator sends it."""
        raw, text = _both_forms(body)
        event = Event(uuid.uuid4().hex, trigger, headers, raw)
        line = {
            "id": event.id,
            "received_at": _now(),
            "trigger": trigger,
            "headers": headers,
            "body_base64": text.decode("ascii"),
        }
        os.write(self._events, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))
        return event

    def settle(self, event: Event, outcome: Outcome) -> None:
        """Record that an event needs no further delivery."""
        line = {"id": event.id, "at": _now(), "outcome": outcome}
        os.write(self._settled, orjson.dumps(line, option=orjson.OPT_APPEND_NEWLINE))

    def unsettled(self) -> Iterator[Event]:
        """The events that an earlier router received and did not settle."""
        settled = {line["id"] for line in _lines(self._folder / SETTLED)}
        for line in _lines(self._folder / EVENTS):
            if line["id"] not in settled:
                body = binascii.a2b_base64(line["body_base64"])
                yield Event(line["id"], line["trigger"], line["headers"], body)

    def close(self) -> None:
        """Close the files."""
        os.close(self._events)
        os.close(self._settled)


def _both_forms(body: bytes) -> tuple[bytes, bytes]:
    try:
        return binascii.a2b_base64(body, strict_mode=True), body
    except binascii.Error:
        return body, binascii.b2a_base64(body, newline=False)


def _lines(path: Path) -> Iterator[dict[str, Any]]:
    with path.open("rb") as file:
        for line in file:
            try:
                yield orjson.loads(line)
            except orjson.JSONDecodeError:
                continue  # cut short by a kill: such an event was not acknowledged either


def _end_the_last_line(path: Path) -> None:
    if path.exists() and path.stat().st_size:
        with path.open("rb+") as file:
            file.seek(-1, os.SEEK_END)
            if file.read() != b"\n":
                file.write(b"\n")


def _now() -> str:
    return datetime.now(UTC).isoformat()
