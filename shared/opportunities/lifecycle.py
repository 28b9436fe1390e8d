"""The life of an opportunity: pure rules, no I/O.

Runs are ordered by (as_of, finished_at). Each rule takes what is stored and one run, and returns the fields to
store, or None where nothing changes; a repeated or late run therefore changes nothing. What a person decides is
carried through as it is, but for these rules:

    new, in_progress   three days of data that do not find it close it
    closed             found again it is new: the same within 14 days of data, detected afresh after that
    snoozed            silent, its evidence kept fresh, until its day; from then on a run that finds it makes it new,
                       and three days that do not close it. Without a day it stays so until a person says otherwise
    dismissed          stays so until its change is 1.5 times what it was when it was dismissed: then it is new
    completed          stays so while its outcome is not measured: what a detector compares still holds the days before
                       the fix. Found after that, the trouble is back or was never gone: it is new, detected afresh.
                       `completed_at` and `outcome` stay with it until it is completed again
    part of another    found as part of another's root cause it keeps its status, whatever that is, and gets no
                       document where it has none: people decide about the finding that leads

A browser may write status, note and snoozed_until by itself: the first run after sees a status that the history does
not, and writes down what `decide` would have. A stored document whose judgement cannot be read is pydantic's
ValidationError.
"""

import hashlib
from datetime import UTC, date, datetime
from typing import Any, get_args

import orjson
from pydantic import AwareDatetime, BaseModel

from shared.detectors.records import DetectorRun, Finding
from shared.opportunities.records import HistoryEntry, Opportunity, PersonsStatus

CLEAR_RUNS_TO_CLOSE = 3
REOPEN_WITHIN_DAYS = 14
REOPEN_AT_TIMES = 1.5
HISTORY_ENTRIES = 50
OPEN = ("new", "in_progress")
PERSONS = get_args(PersonsStatus)

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


def ranking(finding: Finding) -> float:
    """Monthly value x confidence: what the list is sorted by."""
    return finding.ranking or (finding.estimated_value.mid or 0.0) * finding.confidence_score


def moved(stored: Values, status: str, at: datetime, by: str, why: str = "") -> Values:
    """The fields that follow from a new status, whoever sets it: its history, and what it was about the old one."""
    entry = HistoryEntry.model_validate(
        {"changed_at": at, "changed_by": by, "from_status": _status(stored), "to_status": status, "why": why}
    )
    changes: Values = {"status": status, "history": [*_history(stored), entry.model_dump()][-HISTORY_ENTRIES:]}
    if status == "completed":
        changes |= {"completed_at": at, "outcome": None}
    elif stored.get("outcome") is None:
        changes["completed_at"] = None
    changes["decided_change"] = stored.get("change") if status == "dismissed" else None
    if status != "snoozed":
        changes["snoozed_until"] = None
    changes["closed_at"] = at if status == "closed" else None
    if _status(stored) == "closed":
        changes["clear_runs"] = 0
    return changes


def found(stored: Values | None, finding: Finding, run: DetectorRun, now: datetime) -> Values | None:
    """The opportunity after a run that found it."""
    fresh = _as_found(finding, run)
    if stored is None:
        return None if finding.part_of else _declared(fresh, finding, run, now)
    judgement = Judgement.model_validate(stored)
    if judgement.is_of_newer(run) or (finding.part_of and judgement.status == "closed"):
        return None
    before = {**stored, **_noticed(stored, now)}
    if judgement.status == "dismissed" and not isinstance(before.get("decided_change"), int | float):
        before["decided_change"] = finding.change if stored.get("change") is None else stored["change"]
    declared = _declared(fresh, finding, run, now)
    changes = {name: declared[name] for name in fresh}
    why = None if finding.part_of else _why_new(before, finding, run)
    if why is not None:
        if judgement.status == "completed" or (
            # Days of data, not of the calendar: a backfilled month counts as a month.
            judgement.status == "closed" and (run.as_of - judgement.day).days > REOPEN_WITHIN_DAYS
        ):
            changes["detected_at"] = finding.found_at
        changes |= moved(before, "new", now, "system", why) | {"clear_runs": 0}
    changes = {**before, **changes}
    # Another run over the same day that says the same is no news: no write, no trigger.
    silent = {"run_id", "judged_at"}
    if all(value == stored.get(name) for name, value in changes.items() if name not in silent):
        return None
    return {**changes, "updated_at": now}


def not_found(stored: Values | None, run: DetectorRun, now: datetime) -> Values | None:
    """The opportunity after a run that judged it and did not find it again.

    Runs over one day count once: looking three times at the same figures is one observation.
    """
    if stored is None:
        return None
    judgement = Judgement.model_validate(stored)
    if judgement.is_of_newer(run):
        return None
    noticed = _noticed(stored, now)
    before = {**stored, **noticed}
    # Of what a person took up again after it was closed the days in a row begin anew.
    clear_runs = 0 if "clear_runs" in noticed else judgement.clear_runs or 0
    counted = clear_runs and judgement.day == run.as_of
    if counted or not (judgement.status in OPEN or _is_over(before, run)):
        return {**before, "updated_at": now} if noticed else None
    changes: Values = {
        "clear_runs": clear_runs + 1,
        "judged_as_of": run.as_of.isoformat(),
        "judged_at": run.finished_at,
        "updated_at": now,
    }
    if clear_runs + 1 >= CLEAR_RUNS_TO_CLOSE:
        changes |= moved(before, "closed", now, "system", f"not found on {CLEAR_RUNS_TO_CLOSE} days in a row")
    return {**before, **changes}


def _why_new(stored: Values, finding: Finding, run: DetectorRun) -> str | None:
    """Why an opportunity that is not open is new again, in words; None where it stays what it is."""
    status = stored.get("status")
    if status == "closed":
        return "found again"
    if status == "snoozed" and _is_over(stored, run):
        return f"found again after it was snoozed until {stored['snoozed_until']}"
    if status == "completed" and stored.get("outcome") is not None:
        return "found again after its outcome was measured"
    if status == "dismissed" and finding.change is not None:
        then = stored.get("decided_change")
        if isinstance(then, int | float) and finding.change >= REOPEN_AT_TIMES * then > 0:
            return f"{finding.cause or 'the change'} grew from {_number(then)} to {_number(finding.change)}"
    return None


def _noticed(stored: Values, now: datetime) -> Values:
    """What a client changed by itself, as `decide` would have written it; nothing where all is written down."""
    status, history = stored.get("status", "new"), _history(stored)
    known = history[-1].get("to_status") if history else "new"
    if status not in PERSONS or status == known:
        return {}
    # Documents of before there was a history say when they were decided.
    decided_at = stored.get("decided_at")
    at = decided_at if not history and isinstance(decided_at, datetime) else now
    found = moved({**stored, "status": known}, status, at, "person", "noticed by a run")
    return {name: value for name, value in found.items() if name != "status"}


def _is_over(stored: Values, run: DetectorRun) -> bool:
    """True where it is snoozed and the run is of its day or a later one."""
    until = stored.get("snoozed_until")
    if stored.get("status") != "snoozed" or not isinstance(until, str):
        return False
    try:
        return max(run.as_of, run.finished_at.astimezone(UTC).date()) >= date.fromisoformat(until)
    except ValueError:
        return False


def _status(stored: Values) -> str:
    status = stored.get("status", "new")
    return status if isinstance(status, str) else "new"


def _history(stored: Values) -> list[Values]:
    held = stored.get("history")
    return [entry for entry in held if isinstance(entry, dict)] if isinstance(held, list) else []


def _number(value: float) -> str:
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _declared(fresh: Values, finding: Finding, run: DetectorRun, now: datetime) -> Values:
    return Opportunity(
        **fresh,
        opportunity_id=identity(run.tenant_id, finding),
        detected_at=finding.found_at,
        created_at=now,
        updated_at=now,
    ).document()


def _as_found(finding: Finding, run: DetectorRun) -> Values:
    """The fields that the system owns, as a finding says them."""
    return {
        "tenant_id": run.tenant_id,
        "opportunity_type": finding.opportunity_type,
        "detector_id": finding.detector_id,
        "title": finding.title,
        "entity_type": finding.entity_type,
        "entity_id": finding.entity_id,
        "keyword": finding.keyword or (finding.entity_id if finding.entity_type == "keyword" else ""),
        "content_id": finding.content_id,
        "estimated_traffic": finding.estimated_traffic,
        "estimated_difficulty": finding.estimated_difficulty,
        "direction": finding.direction,
        "change": finding.change,
        "cause": finding.cause,
        "part_of": finding.part_of,
        "ranking": ranking(finding),
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
