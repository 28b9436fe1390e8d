"""The life of an opportunity: pure rules, no I/O.

Runs are ordered by (as_of, finished_at). Each rule takes what is stored and one run, and returns the fields to
store, or None where nothing changes; a repeated or late run therefore changes nothing. What a person decides
(status, note and when) is carried through as it is and never written, but for `new` and `in_progress`, which are still
the system's to close. A stored document whose judgement cannot be read is pydantic's ValidationError.
"""

import hashlib
from datetime import UTC, date, datetime
from typing import Any

import orjson
from pydantic import AwareDatetime, BaseModel

from shared.detectors.records import DetectorRun, Finding
from shared.opportunities.records import Opportunity

CLEAR_RUNS_TO_CLOSE = 3
REOPEN_WITHIN_DAYS = 14
OPEN = ("new", "in_progress")

Values = dict[str, Any]


class Judgement(BaseModel):
    """What a run reads of a stored opportunity: where it stands, and which run says so."""

    status: Any = "new"
    as_of: date
    judged_as_of: date | None = None
    judged_at: AwareDatetime | None = None
    clear_runs: int | None = None

    @property
    def day(self) -> date:
        """The last day of the newest run that judged it."""
        return self.judged_as_of or self.as_of

    def is_of_newer(self, run: DetectorRun) -> bool:
        """True where this run, or a newer one, has already judged the opportunity."""
        judged_at = self.judged_at or datetime.min.replace(tzinfo=UTC)
        return (self.day, judged_at) >= (run.as_of, run.finished_at)


def identity(tenant_id: str, finding: Finding) -> str:
    """The id of the opportunity that a finding belongs to, the same on every day."""
    parts = [tenant_id, finding.detector_id, finding.entity_type, finding.entity_id, finding.direction]
    return hashlib.sha256(orjson.dumps(parts)).hexdigest()[:32]


def found(stored: Values | None, finding: Finding, run: DetectorRun, now: datetime) -> Values | None:
    """The opportunity after a run that found it."""
    judgement = None if stored is None else Judgement.model_validate(stored)
    if judgement is not None and judgement.is_of_newer(run):
        return None
    fresh = _as_found(finding, run)
    if judgement is not None and judgement.status == "closed":
        fresh |= {"status": "new", "closed_at": None}
        # Days of data, not of the calendar: a backfilled month counts as a month.
        if (run.as_of - judgement.day).days > REOPEN_WITHIN_DAYS:
            fresh["detected_at"] = finding.found_at
    declared = Opportunity(
        **{"detected_at": finding.found_at, **fresh},
        opportunity_id=identity(run.tenant_id, finding),
        created_at=now,
        updated_at=now,
    ).document()
    if stored is None:
        return declared
    changes = {name: declared[name] for name in fresh}
    # Another run over the same day that says the same is no news: no write, no trigger.
    silent = {"run_id", "judged_at"}
    if all(value == stored.get(name) for name, value in changes.items() if name not in silent):
        return None
    return {**stored, **changes, "updated_at": now}


def not_found(stored: Values | None, run: DetectorRun, now: datetime) -> Values | None:
    """The opportunity after a run that judged it and did not find it again.

    Runs over one day count once: looking three times at the same figures is one observation.
    """
    if stored is None:
        return None
    judgement = Judgement.model_validate(stored)
    if judgement.status not in OPEN or judgement.is_of_newer(run):
        return None
    clear_runs = judgement.clear_runs or 0
    if clear_runs and judgement.day == run.as_of:
        return None
    changes: Values = {
        "clear_runs": clear_runs + 1,
        "judged_as_of": run.as_of.isoformat(),
        "judged_at": run.finished_at,
        "updated_at": now,
    }
    if clear_runs + 1 >= CLEAR_RUNS_TO_CLOSE:
        changes |= {"status": "closed", "closed_at": now}
    return {**stored, **changes}


def _as_found(finding: Finding, run: DetectorRun) -> Values:
    """The fields that the system owns, as a finding says them."""
    return {
        "tenant_id": run.tenant_id,
        "opportunity_type": finding.opportunity_type,
        "detector_id": finding.detector_id,
        "title": finding.title,
        "entity_type": finding.entity_type,
        "entity_id": finding.entity_id,
        "keyword": finding.entity_id if finding.entity_type == "keyword" else "",
        "direction": finding.direction,
        "confidence_score": finding.confidence_score,
        "severity": finding.severity,
        "estimated_value": finding.estimated_value,
        "recommendation": finding.recommendation,
        "evidence": finding.evidence,
        "run_id": run.run_id,
        "as_of": run.as_of,
        "judged_as_of": run.as_of,
        "judged_at": run.finished_at,
        "clear_runs": 0,
    }
