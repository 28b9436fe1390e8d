"""Funnel: steps, checkout, payments."""

from collections.abc import Iterator

from tests.support.detector_cases import DAYS, changed, ramp, steady
from tests.support.detectors import Row, series

FOUND = {("funnel_step_drop", "funnel_step", "view_item", "down")}


def found() -> Iterator[Row]:
    """One entity for each detector that it finds."""
    yield from series("funnel_step", "purchase", DAYS, steady(sessions=300, conversions=200.0))
    worse = changed({"sessions": 1_000, "conversions": 400.0}, {"sessions": 1_000, "conversions": 250.0})
    yield from series("funnel_step", "view_item", DAYS, worse)


def edge(more: int) -> Iterator[Row]:
    """The same effects, one unit below a guard's least volume (`more` = 0) or exactly on it (`more` = 1)."""
    few = ramp(199 + more, 7)
    yield from series("funnel_step", "purchase", DAYS, steady(sessions=300, conversions=200.0))
    yield from series(
        "funnel_step",
        "view_item",
        DAYS,
        lambda ago: {"sessions": few(ago) if ago < 7 else 100, "conversions": 1.0 if ago < 7 else 50.0},
    )
