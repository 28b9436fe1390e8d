"""One JSON line per delivery, in the shape that Cloud Logging reads."""

import sys
from datetime import datetime
from typing import Any, Literal

import orjson

Severity = Literal["INFO", "WARNING", "ERROR"]


def line(severity: Severity, message: str, **fields: Any) -> None:
    """Write one line: a constant sentence and its variables; never payloads or personal data."""
    sys.stdout.buffer.write(orjson.dumps({"severity": severity, "message": message, **fields}, default=_text) + b"\n")
    sys.stdout.buffer.flush()


def _text(value: Any) -> str:
    return value.isoformat() if isinstance(value, datetime) else str(value)
