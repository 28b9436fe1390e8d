"""What a tenant changes of the catalogue: thresholds, and which detectors are switched off."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from shared.detectors.compiler import Plan, compiled
from shared.detectors.declaration import Detector
from shared.tenants.records import Tenant

LARGEST = 1e9
"""Beyond any count, cost or ratio that is meant; what is worked out of larger ones would not fit a whole number."""


class Override(BaseModel):
    """One detector's: `{"enabled": false}`, or `{"thresholds": {"min_sessions": 500}}`."""

    model_config = ConfigDict(extra="forbid", frozen=True, allow_inf_nan=False)

    enabled: bool = True
    thresholds: dict[str, float] = {}


@dataclass(frozen=True)
class Catalogue:
    """The catalogue as one tenant wants it; `refused`: detector -> what is wrong with its override."""

    plan: Plan
    refused: Mapping[str, str] = field(default_factory=dict)
    switched_off: frozenset[str] = frozenset()


def overridden(plan: Plan, tenant: Tenant) -> Catalogue:
    """The catalogue with the tenant's overrides; compiled again only where a threshold differs."""
    if not tenant.detectors:
        return Catalogue(plan)
    refused, off, detectors = {}, set(), []
    for detector in plan.detectors:
        override, problem = read(detector, tenant.detectors.get(detector.id))
        if problem is not None:
            refused[detector.id] = problem
        if not override.enabled:
            off.add(detector.id)
        own = {**detector.thresholds, **override.thresholds}
        detectors.append(detector if own == detector.thresholds else detector.model_copy(update={"thresholds": own}))
    changed = plan if tuple(detectors) == plan.detectors else compiled(tuple(detectors))
    return Catalogue(changed, refused, frozenset(off))


def read(detector: Detector, values: Any) -> tuple[Override, str | None]:
    """A detector's override, or why it is refused; a refused one changes nothing."""
    if values is None:
        return Override(), None
    try:
        override = Override.model_validate(values)
    except ValidationError as error:
        problem = error.errors()[0]
        return Override(), f"override of {'.'.join(map(str, problem['loc'])) or 'the detector'}: {problem['msg']}"
    for name, value in override.thresholds.items():
        if name not in detector.thresholds:
            known = ", ".join(sorted(detector.thresholds)) or "none"
            return Override(), f"override of thresholds.{name}: it has no such threshold; it has {known}"
        if value < 0 <= detector.thresholds[name]:
            return Override(), f"override of thresholds.{name}: a number of at least 0 is expected"
        if abs(value) > LARGEST:
            return Override(), f"override of thresholds.{name}: a number of at most {LARGEST:,.0f} is expected"
    return override, None


def problems(detectors: tuple[Detector, ...], values: Mapping[str, Any]) -> dict[str, str]:
    """What is wrong with a tenant's overrides, by detector id."""
    known = {detector.id: detector for detector in detectors}
    found = {name: "no such detector" for name in values if name not in known}
    for name, detector in known.items():
        _, problem = read(detector, values.get(name))
        if problem is not None:
            found[name] = problem
    return found
