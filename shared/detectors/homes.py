"""Which detectors can find something yet: what each reads, and whether the ETL makes it."""

from shared.analytics.entities import ENTITIES
from shared.detectors import expression
from shared.detectors.declaration import Detector, feature
from shared.detectors.metrics import SOURCES

READ_BY = {"value_revenue": ("revenue", "conversions"), "value_conversions": ("revenue", "conversions")}
READ_BY |= {"position_impressions": ("position", "impressions")}
"""Derived metric -> what it is worked out of."""


def made() -> dict[str, frozenset[str]]:
    """Entity type -> the metrics and labels that the ETL makes of it."""
    return {entity.entity_type: frozenset({*entity.columns, *entity.keys} - {"attributes"}) for entity in ENTITIES}


def read(detector: Detector) -> dict[str, frozenset[str]]:
    """Entity type -> the metrics and labels that a detector reads of its own entities and of its parts."""
    found: dict[str, set[str]] = {detector.rows_of: set()}
    for text in detector.expressions().values():
        for name in expression.names(text):
            one = feature(detector, name)
            if one is not None and one.metric not in ("", "entity_id") and one.scope not in ("site", "rest"):
                found.setdefault(detector.type_of(one.scope), set()).update(READ_BY.get(one.metric, (one.metric,)))
    return {entity_type: frozenset(names) for entity_type, names in found.items()}


def waits_for(detector: Detector) -> dict[str, list[str]]:
    """Entity type -> what the detector needs of it and no ETL makes; empty where it can find something today."""
    there = made()
    lacking = {
        entity_type: sorted(names - there.get(entity_type, frozenset()) - {*detector.does_without})
        for entity_type, names in sorted(read(detector).items())
    }
    return {entity_type: names for entity_type, names in lacking.items() if names or entity_type not in there}


def sources_of(detector: Detector) -> list[str]:
    """The source tables that a detector stands on: its own entities' and its needed parts'."""
    if detector.stands_on:
        return sorted(detector.stands_on)
    types = [detector.rows_of, *detector.needed_parts]
    return sorted({source for entity_type in types for source in SOURCES.get(entity_type, ())})
