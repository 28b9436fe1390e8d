"""What a detector does, for people: the answer to `explain`, and the pages of docs/detectors."""

from functools import cache
from typing import Any

from shared.detectors import overrides
from shared.detectors.catalogue import catalogue
from shared.detectors.compiler import compiled
from shared.detectors.declaration import Detector
from shared.detectors.homes import sources_of, waits_for
from shared.detectors.significance import TESTS
from shared.errors import NotFound
from shared.tenants.records import Tenant


def explain(detector_id: str, tenant: Tenant | None) -> dict[str, Any]:
    """A detector's declaration with its windows in days and the SQL that it compiles to on its own.

    Of a tenant: with its thresholds, and what is wrong with its override.
    """
    detector = next((one for one in catalogue() if one.id == detector_id), None)
    if detector is None:
        raise NotFound("no such detector", field="explain", expected="the id of a detector of the catalogue")
    override, refused = overrides.read(detector, tenant.detectors.get(detector_id) if tenant else None)
    thresholds = {**detector.thresholds, **override.thresholds}
    detector = detector.model_copy(update={"thresholds": thresholds})
    plan = compiled((detector,))
    dataset = f"aso_tenant_{tenant.tenant_id if tenant else 'TENANT'}"
    return {
        **detector.model_dump(mode="json", exclude_none=True),
        "enabled": override.enabled,
        "override_refused": refused,
        "before_as_of": {name: detector.span(name).model_dump() for name in detector.windows},
        "test_reference": TESTS[detector.test.name].reference,
        "statements": plan.sql(dataset),
    }


@cache
def pages() -> dict[str, str]:
    """docs/detectors: a page of each domain, and an index; by file name."""
    domains: dict[str, list[Detector]] = {}
    for detector in catalogue():
        domains.setdefault(detector.domain, []).append(detector)
    found = {"README.md": _index(domains)}
    for domain, detectors in domains.items():
        head = [
            f"# {_title(domain)} detectors",
            "",
            GENERATED.format(f"`shared/detectors/catalogue/{domain}.yaml`"),
            "",
        ]
        found[f"{domain}.md"] = "\n".join([*head, *(line for one in detectors for line in _page(one))])
    return found


GENERATED = "Generated from {} by `make generate`: do not edit."


def _index(domains: dict[str, list[Detector]]) -> str:
    number = sum(map(len, domains.values()))
    lines = [
        "# Detectors",
        "",
        GENERATED.format("`shared/detectors/catalogue`"),
        "",
        f"{number} detectors in {len(domains)} domains. A finding passes three gates in this order: its volume guard,",
        "its effect, and its test with the false discovery rate held over all entities that passed the guard. Windows",
        "count back from the last day judged. A tenant changes thresholds or switches a detector off in its document:",
        '`{"detectors": {"page_cvr_drop": {"enabled": true, "thresholds": {"min_sessions": 500}}}}`.',
        "",
    ]
    waiting = {one.id: waits_for(one) for detectors in domains.values() for one in detectors}
    number = sum(map(bool, waiting.values()))
    lines += [f"{number} of them wait for a source that is not synced yet: what each lacks is on its page.", ""]
    for domain, detectors in domains.items():
        lines += [f"## [{_title(domain)}]({domain}.md)", "", "| | finds | of | test |", "| --- | --- | --- | --- |"]
        lines += [
            f"| [{one.id}]({domain}.md#{one.id}) | {one.name}{_remark(one, waiting[one.id])} "
            f"| {one.entity_type} | {TESTS[one.test.name].reference} |"
            for one in detectors
        ]
        lines += [""]
    return "\n".join(lines)


def _remark(detector: Detector, waiting: dict[str, list[str]]) -> str:
    remarks = (["extended"] if detector.tier == "extended" else []) + (["waits"] if waiting else [])
    return f" ({', '.join(remarks)})" if remarks else ""


def _title(domain: str) -> str:
    return domain.replace("_", " ").capitalize()


def _page(detector: Detector) -> list[str]:
    test = detector.test
    gates = [f"p < {test.p:g}"] if test.p is not None else []
    gates += [f"q < {test.q:g}"] if test.q is not None and test.name != "none" else []
    thresholds = ", ".join(f"`{name}` {value:g}" for name, value in detector.thresholds.items())
    rows = [
        ("findings of", f"`{detector.entity_type}`, direction {detector.direction}"),
        ("windows", "; ".join(f"`{name}`: {_window(detector, name)}" for name in detector.windows)),
        ("thresholds", thresholds or "none"),
        ("only", f"`{detector.only}`" if detector.only else ""),
        ("guard", f"`{' '.join(detector.guard.split())}`"),
        ("effect", f"`{' '.join(detector.effect.split())}`"),
        ("test", f"{TESTS[test.name].reference} ({', '.join(gates) or 'no threshold'})"),
        ("value a month", f"`{detector.value.formula}`" if detector.value.formula else str(detector.value.none)),
        ("act", detector.recommendation),
        ("stands on", ", ".join(f"`{source}`" for source in sources_of(detector))),
        (
            "waits for",
            "; ".join(f"`{kind}`: {', '.join(names) or 'rows'}" for kind, names in waits_for(detector).items()),
        ),
        ("does without", ", ".join(f"`{name}`, where it is not measured" for name in detector.does_without)),
    ]
    names = [(name, f"`{rate.of}` / `{rate.per}`") for name, rate in detector.rates.items()]
    names += [(name, f"`{measure}`") for name, measure in detector.measures.items()]
    names += [(f"{name}_...", _part(detector, name)) for name in detector.parts]
    for name, peers in detector.peers.items():
        how = f"quantile {peers.quantile:g}" if peers.quantile is not None else peers.how
        names += [(name, f"{how} of `{peers.of}` over {peers.over}, among `{peers.among}`")]
    title = [f"## {detector.id}", "", f"{detector.name}.", "", "| | |", "| --- | --- |"]
    lines = [*title, *(f"| {name} | {text} |" for name, text in rows if text)]
    lines += [f"| where `{name}` is | {text} |" for name, text in names]
    return [*lines, "", *([detector.notes.strip(), ""] if detector.notes else [])]


def _part(detector: Detector, name: str) -> str:
    part = detector.parts[name]
    related = {"within": "of the same {}", "id": "whose id is the {}", "whose": "whose {} it is"}
    found = next((words.format(getattr(part, key)) for key, words in related.items() if getattr(part, key)), "all")
    return f"{part.entity_type}, {found}" + ("" if part.where == "TRUE" else f", where `{part.where}`")


def _window(detector: Detector, name: str) -> str:
    span = detector.span(name)
    match span.unit:
        case "mtd":
            return "the month so far"
        case "month":
            return f"{span.days} whole months, {span.first} to {span.last} months back"
        case "row":
            return f"its rows {span.first} to {span.last}, newest first"
    return f"{span.days} days, {span.first} to {span.last} days back"
