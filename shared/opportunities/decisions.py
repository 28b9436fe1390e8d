"""What a person decides about an opportunity."""

from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from shared.errors import NotFound
from shared.opportunities.records import NOTE_CHARACTERS, PersonsStatus
from shared.schema.ports import Documents


class Decision(BaseModel):
    """A new status, a new note, or both; a note of null removes it."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    status: PersonsStatus | None = None
    note: str | None = Field(None, max_length=NOTE_CHARACTERS)

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

    NotFound where there is no such opportunity. The same decision again changes nothing.
    """
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
        if "note" in decision.model_fields_set:
            wanted["note"] = decision.note or None
        result = stored
        if all(stored.get(name) == value for name, value in wanted.items()):
            return None
        if stored["status"] == "closed" and "status" in wanted:
            wanted |= {"closed_at": None, "clear_runs": 0}
        result = {**stored, **wanted, "decided_at": now(), "decided_by": decided_by, "updated_at": now()}
        return result

    documents.transact(f"tenants/{tenant_id}/opportunities/{opportunity_id}", change)
    if missing:
        raise NotFound("no such opportunity", field="opportunity_id", expected="the id of an opportunity of the tenant")
    return result
