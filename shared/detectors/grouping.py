"""One cause, one opportunity: findings that have one root are put under the one that says it best.

Two kinds of relation. Detectors that overlap declare which of them yields to which. Findings of one cause and direction
form a tree along the lineage of their entities (channel before source before page, campaign before ad group): the
highest one leads, unless one child of it holds most of the change; then that child does, and so on down.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from shared.detectors.declaration import Detector
from shared.detectors.entities import Entities
from shared.detectors.names import Table
from shared.detectors.records import Finding
from shared.opportunities.lifecycle import identity

MOST = 0.7
"""A child that holds this share of its parent's change is the cause; the parent only shows it."""
TOO_MUCH = 1.5
"""What fell by more than this many times its parent fell for reasons of its own: it explains nothing of the parent."""
FAMILIES = {"conversions": "sales", "revenue": "sales"}
"""Causes that are one to people: what is not converted is not earned."""
LINES = (
    ("property", "channel", "source_medium", "landing_page"),
    ("property", "channel", "source_medium", "page"),
    ("property", "device", "browser"),
    ("property", "country"),
    ("property", "plan"),
)
"""Kinds of entities that each make up the whole site, the broader first: a part that moved as its whole did. A page is
no part of another one, entered or not.
"""
PARENTS = {
    "channel": ("channel",),
    "source": ("source_medium",),
    "device": ("device",),
    "landing_page": ("landing_page", "page"),
    "page": ("page", "landing_page"),
    "step": ("funnel_step",),
    "campaign": ("campaign",),
    "ad_group": ("ad_group",),
    "keyword": ("keyword",),
    "content_id": ("content",),
    "hub_id": ("content",),
    "email_list": ("email_list",),
    "automation": ("automation",),
}
"""Label -> the entity types whose ids it holds."""


def grouped(findings: list[Finding], table: Table, detectors: Iterable[Detector]) -> list[Finding]:
    """The same findings; those that follow from another have `part_of`, those that lead list them in their evidence."""
    declared = {detector.id: detector for detector in detectors}
    lineage = _Lineage(findings, table)
    of_detector: dict[str, list[int]] = defaultdict(list)
    for place, finding in enumerate(findings):
        of_detector[finding.detector_id].append(place)
    leads: dict[int, int] = {}
    for place, finding in enumerate(findings):
        others = (other for name in declared[finding.detector_id].yields_to for other in of_detector[name])
        over = next((other for other in others if other != place and lineage.is_same(place, other)), None)
        if over is not None:
            leads[place] = over
    families: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, finding in enumerate(findings):
        if finding.cause is not None and place not in leads:
            families[FAMILIES.get(finding.cause, finding.cause), finding.direction].append(place)
    for members in families.values():
        leads |= _led(members, findings, lineage)
    return _linked(findings, leads)


class _Lineage:
    """Which entities findings belong to."""

    def __init__(self, findings: list[Finding], table: Table) -> None:
        self._findings = findings
        places = {kind: _places(table.entities(kind)) for kind in {one.entity_type for one in findings}}
        self._labels = [
            _labels(table.entities(one.entity_type), places[one.entity_type].get(one.entity_id)) for one in findings
        ]

    def is_of(self, child: int, parent: int) -> bool:
        """True where a label of the child holds the parent's id."""
        above = self._findings[parent]
        return any(
            above.entity_id == value and above.entity_type in PARENTS.get(label, ())
            for label, value in self._labels[child].items()
        )

    def is_of_another(self, child: int, parent: int) -> bool:
        """True where a label of the child names another entity of the parent's kind: it is no part of this one."""
        kind = self._findings[parent].entity_type
        return any(kind in PARENTS.get(label, ()) for label in self._labels[child]) and not self.is_of(child, parent)

    def is_same(self, one: int, other: int) -> bool:
        """True where two findings are of one entity, or of one that the other is known by."""
        first, second = self._findings[one], self._findings[other]
        same_id = first.entity_id == second.entity_id
        if same_id and (first.entity_type == second.entity_type or _same_place(first, second)):
            return True
        return self.is_of(one, other) or self.is_of(other, one)


def _places(entities: Entities) -> dict[str, int]:
    return {one: place for place, one in enumerate(entities.ids)}


def _labels(entities: Entities, place: int | None) -> dict[str, str]:
    known = {} if place is None else {name: values[place] for name, values in entities.labels.items()}
    return {name: value for name, value in known.items() if value is not None}


def _same_place(first: Finding, second: Finding) -> bool:
    return {first.entity_type, second.entity_type} <= {"page", "landing_page"}


def _led(members: list[int], findings: list[Finding], lineage: _Lineage) -> dict[int, int]:
    """Finding -> the one that leads it, of one cause and direction."""
    parents = {child: parent for child in members if (parent := _parent(child, members, findings, lineage)) is not None}
    children: Mapping[int, list[int]] = defaultdict(list)
    for child, parent in parents.items():
        children[parent].append(child)
    leads: dict[int, int] = {}
    for root in (member for member in members if member not in parents):
        tree = _below(root, children)
        lead = root
        while (holder := _holder(lead, children[lead], findings)) is not None:
            lead = holder
        leads |= {member: lead for member in tree if member != lead}
    return leads


def _parent(child: int, members: list[int], findings: list[Finding], lineage: _Lineage) -> int | None:
    """The finding right above: one that a label names, else the broadest part of the site that moved alike."""
    named = [one for one in members if one != child and (lineage.is_of(child, one) or _entered(child, one, findings))]
    if named:
        return max(named, key=lambda one: _size(findings[one]))
    kind = findings[child].entity_type
    broader = next((line[: line.index(kind)] for line in LINES if kind in line), ())
    alike = [one for one in members if findings[one].entity_type in broader and not lineage.is_of_another(child, one)]
    return min(alike, key=lambda one: (broader.index(findings[one].entity_type), -_size(findings[one])), default=None)


def _entered(child: int, parent: int, findings: list[Finding]) -> bool:
    """True where a page fell as its entrances did."""
    page, landing = findings[child], findings[parent]
    return (page.entity_type, landing.entity_type) == ("page", "landing_page") and page.entity_id == landing.entity_id


def _below(root: int, children: Mapping[int, list[int]]) -> list[int]:
    found, waiting = [], [root]
    while waiting:
        one = waiting.pop()
        if one not in found:
            found.append(one)
            waiting += children[one]
    return found


def _holder(parent: int, children: list[int], findings: list[Finding]) -> int | None:
    """The child that holds most of its parent's change."""
    shares = [(share, child) for child in children if (share := _share(findings[child], findings[parent])) is not None]
    share, child = max((one for one in shares if one[0] <= TOO_MUCH), default=(0.0, -1))
    return child if share >= MOST else None


def _share(part: Finding, whole: Finding) -> float | None:
    """Of the whole's change, in the unit of their cause; in money where their causes differ."""
    one, other = (part.change, whole.change) if part.cause == whole.cause else (_worth(part), _worth(whole))
    return None if one is None or not other else one / other


def _worth(finding: Finding) -> float | None:
    return finding.estimated_value.mid


def _size(finding: Finding) -> float:
    return _worth(finding) or finding.change or 0.0


def _linked(findings: list[Finding], leads: Mapping[int, int]) -> list[Finding]:
    final = {place: _last(place, leads) for place in leads}
    children: dict[int, list[int]] = defaultdict(list)
    for place, lead in sorted(final.items()):
        if place != lead:
            children[lead].append(place)
    linked = []
    for place, finding in enumerate(findings):
        change: dict[str, Any] = {}
        if place in final and final[place] != place:
            change["part_of"] = identity(finding.tenant_id, findings[final[place]])
        if children[place]:
            listed = [_listed(findings[child], finding) for child in children[place]]
            listed.sort(key=lambda child: -(child["change"] or 0.0))
            change["evidence"] = {**finding.evidence, "children": listed}
        linked.append(finding.model_copy(update=change) if change else finding)
    return linked


def _last(place: int, leads: Mapping[int, int]) -> int:
    """Who leads at last; of detectors that yield to each other in a circle the one named first."""
    seen: list[int] = []
    while place in leads and place not in seen:
        seen.append(place)
        place = leads[place]
    return min(seen) if place in seen else place


def _listed(child: Finding, lead: Finding) -> dict[str, Any]:
    return {
        "detector_id": child.detector_id,
        "entity_type": child.entity_type,
        "entity_id": child.entity_id,
        "title": child.title,
        "change": child.change,
        "share": _share(child, lead),
    }
