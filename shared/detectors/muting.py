"""Which detectors may judge. "No data" is never "no finding": what cannot be judged says why."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector
from shared.detectors.judgement import Judged
from shared.detectors.metrics import SOURCES
from shared.detectors.records import Finding
from shared.tenants.records import Tenant


@dataclass
class Mutes:
    """What the data-quality detectors found so far, and what follows for the others."""

    coverage: Coverage
    tenant: Tenant
    reasons: dict[str, str] = field(default_factory=dict)
    _missing: dict[str, list[date]] = field(default_factory=dict)
    _stopped: set[str] = field(default_factory=set)
    _dampened: dict[str, float] = field(default_factory=dict)

    def silences(self, detector: Detector) -> bool:
        """True where the detector must not judge; the reason is kept."""
        reason = self._reason(detector)
        if reason is not None:
            self.reasons[detector.id] = reason
        return reason is not None

    def heard(self, detector: Detector, judged: Judged) -> Judged:
        """A detector's findings as they stand beside those before; what they mean for the next is remembered."""
        if detector.mutes == "source_table":
            self._missing |= {found.entity_id: _dates(found) for found in judged.findings}
        if detector.mutes == "event":
            self._stopped |= {found.entity_id for found in judged.findings}
        for entity_type, share in detector.dampens.items():
            for found in judged.findings:
                self._dampened[entity_type] = 1 - float(found.evidence["numbers"].get(share) or 0)
        findings = [self._dampen(found) for found in judged.findings if not self._event_stopped(found)]
        return replace(judged, findings=findings)

    def unheard(self) -> list[str]:
        """Entities, `type:id`, that were not judged although their detector was."""
        return sorted(f"funnel_step:{event}" for event in self._stopped)

    def _reason(self, detector: Detector) -> str | None:
        if self._settings(detector.id).get("enabled") is False:
            return "switched off in the tenant's settings"
        lacking = self.coverage.lacking(detector)
        if lacking is not None:
            return lacking
        source = SOURCES.get(detector.rows_of, "")
        for name in detector.windows:
            span = detector.span(name)
            held = [day for day in self._missing.get(source, []) if span.holds((self.coverage.as_of - day).days)]
            if held:
                days = ", ".join(day.isoformat() for day in sorted(held))
                return f"{source} has no rows on {days}, in window {name}"
        return None

    def _settings(self, detector_id: str) -> Mapping[str, object]:
        found = self.tenant.detectors.get(detector_id)
        return found if isinstance(found, Mapping) else {}

    def _event_stopped(self, found: Finding) -> bool:
        """A step of the funnel whose own event, or the event before it, is no longer counted has not got worse."""
        return found.entity_type == "funnel_step" and found.entity_id in self._stopped

    def _dampen(self, found: Finding) -> Finding:
        factor = self._dampened.get(found.entity_type, 1.0)
        if factor == 1.0:
            return found
        return found.model_copy(update={"confidence_score": round(found.confidence_score * factor, 4)})


def _dates(found: Finding) -> list[date]:
    """The days that dq_missing_day's evidence names."""
    return [date.fromisoformat(day) for day in found.evidence.get("missing_days", [])]
