"""Firestore values as JSON and back, without loss; and as Python values for validation.

Shapes that JSON has no type for, each a map of exactly these keys (the first three are those of the extension
firestore-bigquery-export, so views written for its tables keep working):

    timestamp   {"_seconds": 1, "_nanoseconds": 5000}      bytes       {"_base64": "aGk="}
    geopoint    {"_latitude": 1.0, "_longitude": 2.0}      reference   {"_reference": "projects/p/databases/..."}
    vector      {"_values": [1.0, 2.0]}                    non-finite  {"_double": "NaN"}

A document's own map that happens to have such keys is wrapped: {"_map": {...}}. An integer is written in full
digits, a double always with a point or an exponent. Everything here works on raw protobuf: proto-plus is 9x slower.
"""

import math
from base64 import b64decode, b64encode
from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Any

from google.events.cloud import firestore as events

from shared.errors import BadRequest
from shared.schema.times import EPOCH

Value = events.Value.pb()
Fields = Mapping[str, Any]
"""A document's fields: names to raw protobuf values."""

PLAIN = frozenset(("string_value", "integer_value", "boolean_value"))
"""Kinds of values that are written as they are."""
ALIKE = frozenset((str, int, float, bool, type(None)))
"""Types of encoded values that are Python's too."""
TAGS = frozenset(
    frozenset(keys)
    for keys in (
        ("_seconds", "_nanoseconds"),
        ("_latitude", "_longitude"),
        ("_values",),
        ("_base64",),
        ("_reference",),
        ("_double",),
        ("_map",),
    )
)


def encode_fields(fields: Fields) -> dict[str, Any]:
    """A document's fields as what a JSON writer takes; the document itself is never wrapped."""
    encoded = {}
    # By key: a protobuf map's items() is a Python generator. Scalars inline: they are most of what there is.
    for name in fields:
        value = fields[name]
        kind = value.WhichOneof("value_type")
        encoded[name] = getattr(value, kind) if kind in PLAIN else encode(value)
    return encoded


def encode(value: Any) -> Any:
    """One raw protobuf value as what a JSON writer takes."""
    kind = value.WhichOneof("value_type")
    if kind == "string_value":
        return value.string_value
    if kind == "integer_value":
        return value.integer_value
    if kind == "double_value":
        return _double(value.double_value)
    if kind == "boolean_value":
        return value.boolean_value
    if kind == "timestamp_value":
        at = value.timestamp_value
        return {"_seconds": at.seconds, "_nanoseconds": at.nanos}
    if kind == "map_value":
        fields = value.map_value.fields
        if is_vector(fields):
            return {"_values": [_double(item.double_value) for item in fields["value"].array_value.values]}
        encoded = encode_fields(fields)
        return {"_map": encoded} if len(encoded) <= 2 and frozenset(encoded) in TAGS else encoded
    if kind == "array_value":
        return [encode(item) for item in value.array_value.values]
    if kind == "bytes_value":
        return {"_base64": b64encode(value.bytes_value).decode("ascii")}
    if kind == "reference_value":
        return {"_reference": value.reference_value}
    if kind == "geo_point_value":
        point = value.geo_point_value
        return {"_latitude": point.latitude, "_longitude": point.longitude}
    if kind is None:
        # One that came after this release: set aside, to be replayed by one that knows it, rather than taken for null.
        raise BadRequest("a value of a kind that is not known")
    return None


def decode_fields(encoded: Mapping[str, Any]) -> dict[str, Any]:
    """The raw protobuf values of a document that `encode_fields` wrote."""
    return {name: decode(item) for name, item in encoded.items()}


def decode(encoded: Any) -> Any:
    """The raw protobuf value that `encode` wrote; BadRequest where nothing it writes looks like this."""
    value = Value()
    if encoded is None:
        value.null_value = 0
    elif isinstance(encoded, bool):
        value.boolean_value = encoded
    elif isinstance(encoded, int):
        value.integer_value = encoded
    elif isinstance(encoded, float):
        value.double_value = encoded
    elif isinstance(encoded, str):
        value.string_value = encoded
    elif isinstance(encoded, list):
        value.array_value.SetInParent()
        value.array_value.values.extend(decode(item) for item in encoded)
    elif isinstance(encoded, dict):
        _decode_map(encoded, value)
    else:
        raise BadRequest("not a value that was streamed", got=type(encoded).__name__)
    return value


def python_fields(fields: Fields, names: Iterable[str], encoded: Mapping[str, Any]) -> dict[str, Any]:
    """The named fields as Python values, where the document has them; `encoded` is what `encode_fields` made of it."""
    found = {}
    for name in names:
        if name in encoded:
            item = encoded[name]
            found[name] = item if type(item) in ALIKE else python(fields[name])
    return found


def python(value: Any) -> Any:
    """One raw protobuf value as a Python value: timestamps aware, to the microsecond; references as their names."""
    kind = value.WhichOneof("value_type")
    if kind in ("string_value", "integer_value", "double_value", "boolean_value", "bytes_value", "reference_value"):
        return getattr(value, kind)
    if kind == "timestamp_value":
        at = value.timestamp_value
        return EPOCH + timedelta(seconds=at.seconds, microseconds=at.nanos // 1000)
    if kind == "map_value":
        fields = value.map_value.fields
        if is_vector(fields):
            return [item.double_value for item in fields["value"].array_value.values]
        return {name: python(fields[name]) for name in fields}
    if kind == "array_value":
        return [python(item) for item in value.array_value.values]
    if kind == "geo_point_value":
        return {"latitude": value.geo_point_value.latitude, "longitude": value.geo_point_value.longitude}
    return None


def micros(timestamp: Any) -> int:
    """A protobuf timestamp as microseconds since 1970: what a TIMESTAMP column holds."""
    return int(timestamp.seconds) * 1_000_000 + int(timestamp.nanos) // 1000


def _double(number: float) -> Any:
    if math.isfinite(number):
        return number
    return {"_double": "NaN" if math.isnan(number) else "Infinity" if number > 0 else "-Infinity"}


def is_vector(fields: Fields) -> bool:
    """True for the fields of a map that is a vector: how Firestore keeps one, under a key that no client may write."""
    # By `in` first: to index a protobuf map by a key that it lacks would add it.
    if len(fields) != 2 or not ("__type__" in fields and "value" in fields):
        return False
    numbers = fields["value"]
    return (
        fields["__type__"].string_value == "__vector__"
        and numbers.WhichOneof("value_type") == "array_value"
        and all(number.WhichOneof("value_type") == "double_value" for number in numbers.array_value.values)
    )


def _decode_map(encoded: dict[str, Any], value: Any) -> None:
    keys = frozenset(encoded) if len(encoded) <= 2 else frozenset()
    if keys not in TAGS:
        _fill(value, encoded)
    elif "_map" in keys:
        _fill(value, encoded["_map"])
    elif "_seconds" in keys:
        value.timestamp_value.seconds = encoded["_seconds"]
        value.timestamp_value.nanos = encoded["_nanoseconds"]
        value.timestamp_value.SetInParent()
    elif "_latitude" in keys:
        value.geo_point_value.latitude = encoded["_latitude"]
        value.geo_point_value.longitude = encoded["_longitude"]
        value.geo_point_value.SetInParent()
    elif "_base64" in keys:
        value.bytes_value = b64decode(encoded["_base64"])
    elif "_reference" in keys:
        value.reference_value = encoded["_reference"]
    elif "_double" in keys:
        value.double_value = float(encoded["_double"])
    else:
        fields = value.map_value.fields
        fields["__type__"].string_value = "__vector__"
        fields["value"].array_value.SetInParent()
        fields["value"].array_value.values.extend(decode(item) for item in encoded["_values"])


def _fill(value: Any, encoded: Mapping[str, Any]) -> None:
    value.map_value.SetInParent()
    for name, item in encoded.items():
        value.map_value.fields[name].CopyFrom(decode(item))
