"""Which detectors may judge. "No data" is never "no finding": what cannot be judged says why."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import date

from shared.detectors.compiler import statements_of
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector
from shared.detectors.homes import sources_of
from shared.detectors.judgement import Judged, rank
from shared.detectors.metrics import SOURCES
from shared.detectors.records import Finding

FUNNEL = ("funnel_step", "funnel_step_device", "funnel")
"""Entity types whose id or label `step` is the event that the step reaches."""


@dataclass
class Mutes:
    """What the data-quality detectors found so far, and what follows for the others."""

    coverage: Coverage
    refused: Mapping[str, str] = field(default_factory=dict)
    failed: Mapping[str, str] = field(default_factory=dict)
    off: frozenset[str] = frozenset()
    reasons: dict[str, str] = field(default_factory=dict)
    _missing: dict[str, list[date]] = field(default_factory=dict)
    _stale: set[str] = field(default_factory=set)
    _stopped: set[str] = field(default_factory=set)
    _dampened: dict[str, float] = field(default_factory=dict)
    _doubted: dict[str, float] = field(default_factory=dict)

    def silences(self, detector: Detector) -> bool:
        """True where the detector must not judge; the reason is kept."""
        reason = self._reason(detector)
        if reason is not None:
            self.reasons[detector.id] = reason
        return reason is not None

    def heard(self, detector: Detector, judged: Judged) -> Judged:
        """A detector's findings as they stand beside those before; what they mean for the next is remembered."""
        if detector.mutes == "days":
            self._missing |= {found.entity_id: _dates(found) for found in judged.findings}
        if detector.mutes == "source":
            self._stale |= {found.entity_id for found in judged.findings}
        if detector.mutes == "event":
            self._stopped |= {found.entity_id for found in judged.findings}
        for dampened, share in detector.dampens.items():
            for found in judged.findings:
                loss = share if isinstance(share, float) else float(found.evidence["numbers"].get(share) or 0)
                # Of several findings on one thing the gravest counts, whichever was found last.
                left, of = max(1 - loss, 0.0), found.entity_id if dampened == "source" else dampened
                factors = self._doubted if dampened == "source" else self._dampened
                factors[of] = min(factors.get(of, 1.0), left)
        findings = [self._dampen(found) for found in judged.findings if not self._event_stopped(found)]
        return replace(judged, findings=findings)

    def unheard(self) -> list[str]:
        """Entities, `type:id`, that were not judged although their detector was."""
        return sorted(f"funnel_step:{event}" for event in self._stopped)

    def _reason(self, detector: Detector) -> str | None:
        if detector.id in self.off:
            return "switched off in the tenant's settings"
        if detector.id in self.refused:
            return f"the tenant's settings are refused: {self.refused[detector.id]}"
        failed = [name for name in statements_of(detector) if name in self.failed]
        if failed:
            return f"its statement failed: {self.failed[failed[0]]}"
        lacking = self.coverage.lacking(detector)
        if lacking is not None:
            return lacking
        for source in sources_of(detector):
            if source in self._stale:
                return f"{source} has not arrived in time"
            for name in detector.windows:
                span = self.coverage.resolved(detector.span(name))
                days = [day for day in self._missing.get(source, []) if span.holds((self.coverage.as_of - day).days)]
                if span.in_days and days:
                    listed = ", ".join(day.isoformat() for day in sorted(days))
                    return f"{source} has no rows on {listed}, in window {name}"
        return None

    def _event_stopped(self, found: Finding) -> bool:
        """A step of the funnel whose own event is no longer counted has not got worse, on no device either."""
        step = found.evidence["numbers"].get("step")
        return found.entity_type in FUNNEL and bool({found.entity_id, step} & self._stopped)

    def _dampen(self, found: Finding) -> Finding:
        doubts = [self._doubted[source] for source in SOURCES.get(found.entity_type, ()) if source in self._doubted]
        factor = min([self._dampened.get(found.entity_type, 1.0), *doubts])
        if factor == 1.0:
            return found
        confidence = round(found.confidence_score * factor, 4)
        ranking = rank(found.estimated_value, confidence)
        return found.model_copy(update={"confidence_score": confidence, "ranking": ranking})


def _dates(found: Finding) -> list[date]:
    """The days that dq_missing_day's evidence names."""
    return [date.fromisoformat(day) for day in found.evidence.get("missing_days", [])]
