"""What the extension firestore-bigquery-export keeps of a document: its rows, adopted, are compared by no more.

Bytes are left out, NaN and the infinities are null, a reference is its path, and a number is what JavaScript makes of
it: 2 and 2.0 are one, and beyond 2^53 digits are lost.
"""

from typing import Any

LEFT_OUT = object()


def kept_by_the_extension(encoded: Any) -> Any:
    """A document's encoded fields as the extension would have written them; what it wrote stays as it is."""
    return _kept(encoded)


def _kept(value: Any) -> Any:
    if isinstance(value, bool) or value is None or isinstance(value, str):
        return value
    if isinstance(value, int | float):
        return float(value) + 0.0  # -0.0 becomes 0.0
    if isinstance(value, list):
        return [kept for kept in map(_kept, value) if kept is not LEFT_OUT]
    keys = value.keys()
    if keys == {"_base64"}:
        return LEFT_OUT
    if keys == {"_double"}:
        return None
    if keys == {"_reference"}:
        return str(value["_reference"]).partition("/documents/")[2]
    if keys == {"_map"}:
        return _fields(value["_map"])
    return _fields(value)


def _fields(values: dict[str, Any]) -> dict[str, Any]:
    return {name: kept for name, item in values.items() if (kept := _kept(item)) is not LEFT_OUT}
