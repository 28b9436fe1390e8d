"""Documents as text that is equal exactly where they are, and the text's hash.

2 and 2.0 differ, so do 0.0 and -0.0, a field that is null and one that is missing, text and bytes; NaN equals itself;
times count to the microsecond. A hash is the MD5 of the text in hexadecimal digits: BigQuery's TO_HEX(MD5(data)) of a
column that holds such text, so that two stores are compared without moving what they hold.
"""

import math
from base64 import b64encode
from collections.abc import Callable, Mapping
from datetime import datetime
from hashlib import md5
from typing import Any

import orjson

from shared.errors import BadRequest

Normalise = Callable[[Any], Any]
"""What a store with fewer types keeps of a value: applied to both sides before they are compared."""

MICROSECOND = 1_000


def canonical(value: Any) -> bytes:
    """A value as JSON, keys in order. BadRequest names a type that no document has."""
    return orjson.dumps(typed(value), option=orjson.OPT_SORT_KEYS)


def fingerprint(text: bytes) -> str:
    """The hash of a canonical text: 32 hexadecimal digits."""
    return md5(text, usedforsecurity=False).hexdigest()


def typed(value: Any) -> Any:
    """A value as a JSON writer takes it, its type still told.

    Of documents as they are streamed (maps such as {"_base64": ...}, see shared/streaming/values.py), or of Python's
    own values, which become the same maps.
    """
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else {"_double": _name(value)}
    if isinstance(value, Mapping):
        if value.keys() == {"_seconds", "_nanoseconds"}:
            return {**value, "_nanoseconds": _to_microseconds(value["_nanoseconds"])}
        return {name: typed(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [typed(inner) for inner in value]
    if isinstance(value, bytes):
        return {"_base64": b64encode(value).decode("ascii")}
    if isinstance(value, datetime) and value.tzinfo is not None:
        # Not timestamp(): a float of seconds does not hold microseconds.
        return {
            "_seconds": math.floor(value.replace(microsecond=0).timestamp()),
            "_nanoseconds": value.microsecond * 1000,
        }
    raise BadRequest("no value of a document", got=type(value).__name__, expected="a time with its zone, bytes or JSON")


def _name(number: float) -> str:
    return "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"


def _to_microseconds(nanoseconds: Any) -> Any:
    return nanoseconds - nanoseconds % MICROSECOND if isinstance(nanoseconds, int) else nanoseconds
