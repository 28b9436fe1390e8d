"""One figure, side by side with its alternative, as one JSON line."""

import statistics
from collections.abc import Callable
from dataclasses import dataclass

import orjson


@dataclass(frozen=True)
class Figure:
    """What a bench found. `value` and `against_value` are medians; n, min and max are of our own runs."""

    name: str
    value: float
    unit: str
    against: str | None
    against_value: float | None
    ratio: float | None
    n: int
    min: float
    max: float

    def line(self) -> str:
        """The JSON line."""
        return orjson.dumps(self).decode()


def compare(
    name: str,
    unit: str,
    ours: Callable[[], float],
    against: str | None = None,
    theirs: Callable[[], float] | None = None,
    runs: int = 3,
) -> Figure:
    """Run both sides in turn, so that whatever else the machine does meets both."""
    own: list[float] = []
    other: list[float] = []
    for _ in range(runs):
        own.append(ours())
        if theirs is not None:
            other.append(theirs())
    value = statistics.median(own)
    against_value = statistics.median(other) if other else None
    return Figure(
        name=name,
        value=round(value, 3),
        unit=unit,
        against=against,
        against_value=round(against_value, 3) if against_value is not None else None,
        ratio=round(value / against_value, 2) if against_value else None,
        n=runs,
        min=round(min(own), 3),
        max=round(max(own), 3),
    )
