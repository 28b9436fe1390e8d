"""What a detector does, for people: the answer to `explain`, and docs/detectors.md."""

from typing import Any

from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled
from shared.detectors.declaration import Detector
from shared.detectors.significance import TESTS
from shared.errors import NotFound


def explain(detector_id: str, table: str) -> dict[str, Any]:
    """A detector's declaration with its windows in days and the SQL that it compiles to on its own."""
    detector = next((one for one in catalogue() if one.id == detector_id), None)
    if detector is None:
        raise NotFound("no such detector", field="explain", expected="the id of a detector of the catalogue")
    plan = compiled((detector,))
    return {
        **detector.model_dump(mode="json", exclude_none=True),
        "days_before_as_of": {name: detector.span(name).model_dump() for name in detector.windows},
        "test_reference": TESTS[detector.test.name].reference,
        "statements": {"coverage": plan.coverage(table), "features": plan.features(table)},
        "parameters": ["as_of", "spans", "calendar", *plan.date_names()],
    }


def pages() -> str:
    """docs/detectors.md, from the declarations."""
    head = [
        "# Detectors",
        "",
        "Generated from `shared/detectors/catalogue` by `make generate`: do not edit.",
        "",
        "A finding passes three gates in this order: its volume guard, its effect, and its test with the false",
        "discovery rate held over all entities that passed the guard. Windows count back from the last day judged.",
        "",
    ]
    return "\n".join([*head, *(line for detector in catalogue() for line in _page(detector))])


def _page(detector: Detector) -> list[str]:
    test = detector.test
    gates = [f"p < {test.p:g}"] if test.p is not None else []
    gates += [f"q < {test.q:g}"] if test.q is not None and test.name != "none" else []
    thresholds = ", ".join(f"`{name}` {value:g}" for name, value in detector.thresholds.items())
    rows = [
        ("domain", detector.domain),
        ("findings of", f"`{detector.entity_type}`, direction {detector.direction}"),
        ("windows", "; ".join(f"`{name}`: {_window(detector, name)}" for name in detector.windows)),
        ("thresholds", thresholds or "none"),
        ("guard", f"`{' '.join(detector.guard.split())}`"),
        ("effect", f"`{' '.join(detector.effect.split())}`"),
        ("test", f"{TESTS[test.name].reference} ({', '.join(gates) or 'no threshold'})"),
        ("value a month", f"`{detector.value.formula}`" if detector.value.formula else str(detector.value.none)),
        ("act", detector.recommendation),
    ]
    names = [(name, f"`{rate.of}` / `{rate.per}`") for name, rate in detector.rates.items()]
    names += [(name, f"`{measure}`") for name, measure in detector.measures.items()]
    names += [
        (name, f"quantile {peers.quantile:g} of `{peers.of}` over {peers.over}, among `{peers.among}`")
        for name, peers in detector.peers.items()
    ]
    lines = [f"## {detector.id}", "", f"{detector.name}.", "", "| | |", "| --- | --- |"]
    lines += [f"| {name} | {text} |" for name, text in rows]
    lines += [f"| where `{name}` is | {text} |" for name, text in names]
    return [*lines, "", *([detector.notes.strip(), ""] if detector.notes else [])]


def _window(detector: Detector, name: str) -> str:
    span = detector.span(name)
    return f"{span.days} days, {span.first} to {span.last} days back"
