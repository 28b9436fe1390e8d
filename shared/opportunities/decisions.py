"""What a person decides about an opportunity."""

from collections.abc import Callable
from datetime import UTC, date, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import BadRequest, NotFound
from shared.opportunities.lifecycle import moved
from shared.opportunities.records import NOTE_CHARACTERS, PersonsStatus
from shared.schema.ports import Documents


class Decision(BaseModel):
    """A new status, a new note, or both; a note of null removes it. A snooze names the day until which it lasts."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: PersonsStatus | None = None
    note: str | None = Field(None, max_length=NOTE_CHARACTERS)
    snoozed_until: date | None = None

    @model_validator(mode="after")
    def _says_something(self) -> Self:
        if self.status is None and "note" not in self.model_fields_set:
            raise ValueError("status or note is needed")
        return self


def decide(
    documents: Documents,
    tenant_id: str,
    opportunity_id: str,
    decision: Decision,
    decided_by: str,
    now: Callable[[], datetime] = lambda: datetime.now(UTC),
) -> dict[str, Any]:
    """Store a decision beside what a run may be writing at the same moment; the opportunity's new fields.

    NotFound where there is no such opportunity; BadRequest where a snooze has no day to come.
    The same decision again changes nothing.
    """
    _check(decision, now().astimezone(UTC).date())
    missing = False
    result: dict[str, Any] = {}

    def change(stored: dict[str, Any] | None) -> dict[str, Any] | None:
        nonlocal missing, result
        missing = stored is None
        if stored is None:
            return None
        wanted: dict[str, Any] = {}
        if decision.status is not None:
            wanted["status"] = decision.status
        if decision.snoozed_until is not None:
            wanted["snoozed_until"] = decision.snoozed_until.isoformat()
        if "note" in decision.model_fields_set:
            wanted["note"] = decision.note or None
        result = stored
        if all(stored.get(name) == value for name, value in wanted.items()):
            return None
        if {"status", "snoozed_until"} & {name for name, value in wanted.items() if stored.get(name) != value}:
            why = f"until {wanted['snoozed_until']}" if "snoozed_until" in wanted else ""
            wanted |= {**moved(stored, wanted["status"], now(), "person", why), **wanted}
        result = {**stored, **wanted, "decided_at": now(), "decided_by": decided_by, "updated_at": now()}
        return result

    documents.transact(f"tenants/{tenant_id}/opportunities/{opportunity_id}", change)
    if missing:
        raise NotFound("no such opportunity", field="opportunity_id", expected="the id of an opportunity of the tenant")
    return result


def _check(decision: Decision, today: date) -> None:
    """BadRequest where a snooze has no day that lies ahead, or a day comes without a snooze."""
    until = decision.snoozed_until
    if decision.status != "snoozed" and until is not None:
        raise BadRequest("only a snooze has a day", field="snoozed_until", expected="left out unless status is snoozed")
    if decision.status == "snoozed" and (until is None or until <= today):
        said = "a snooze needs the day until which it lasts" if until is None else "the day of the snooze is not ahead"
        raise BadRequest(said, field="snoozed_until", expected="a day after today (UTC), such as 2026-03-31")
