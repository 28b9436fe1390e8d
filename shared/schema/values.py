"""When two documents are the same."""

from collections.abc import Collection, Mapping
from typing import Any


def same_values(one: Mapping[str, Any], other: Mapping[str, Any], but_for: Collection[str] = ()) -> bool:
    """True where both have the same fields with the same values, `but_for` aside; 1, 1.0 and True are not the same."""
    return {*one} - {*but_for} == {*other} - {*but_for} and all(
        _same(one[name], other[name]) for name in one if name not in but_for
    )


def _same(one: Any, other: Any) -> bool:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        return same_values(one, other)
    if isinstance(one, list | tuple) and isinstance(other, list | tuple):
        return len(one) == len(other) and all(map(_same, one, other))
    if isinstance(one, bool | int | float) or isinstance(other, bool | int | float):
        # NaN is the one value that is not equal to itself.
        return type(one) is type(other) and (one == other or (one != one and other != other))
    return bool(one == other)
