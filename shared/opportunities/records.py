"""Opportunities: what detectors found worth acting on, and what people decided about it."""

from datetime import date, datetime
from typing import Annotated, Literal, get_args

from pydantic import BaseModel, Field

from shared.schema.record import (
    Caches,
    ClientValues,
    ClientWritable,
    Collection,
    Immutable,
    Json,
    Key,
    Namespace,
    Personal,
    Record,
    Table,
)

Status = Literal["new", "in_progress", "completed", "dismissed", "snoozed", "closed"]
PersonsStatus = Literal["new", "in_progress", "completed", "dismissed", "snoozed"]
"""What a person may set; `closed` is the system's word: nobody found it again."""
NOTE_CHARACTERS = 2000
Severity = Literal["low", "medium", "high", "critical"]
Direction = Literal["down", "up", "level"]


class EstimatedValue(BaseModel, frozen=True):
    """Worth of acting, per month; or the reason why none can be claimed."""

    low: float | None = None
    mid: float | None = None
    high: float | None = None
    currency: str | None = None
    formula: str | None = None
    reason: str | None = Field(None, description="Why no value is claimed; None where one is.")


class Opportunity(Record):
    """One thing worth acting on, found by one detector for one entity of one tenant."""

    opportunity_id: Key[str] = Field(description="hash(tenant, detector, entity, direction).")
    tenant_id: str
    opportunity_type: str = Field(description="The detector's family, or one of spec 2's names.")
    detector_id: str
    title: str
    entity_type: str
    entity_id: str
    keyword: str = Field("", description="The keyword, where the entity is one.")
    direction: Direction
    confidence_score: float = Field(ge=0, le=1)
    severity: Severity
    estimated_value: EstimatedValue
    estimated_traffic: int | None = None
    estimated_difficulty: float | None = None
    recommendation: str
    evidence: Json = Field(description="Windows, counts, test, q-value: what reproduces the finding.")
    content_id: str | None = None
    status: ClientWritable[Annotated[Status, ClientValues(get_args(PersonsStatus))]] = "new"
    note: ClientWritable[Personal[str | None]] = Field(None, max_length=NOTE_CHARACTERS)
    decided_at: datetime | None = Field(None, description="When a person last set status or note.")
    decided_by: Personal[str | None] = Field(None, description="Who did.")
    run_id: str = Field(description="The run whose finding this is.")
    as_of: date = Field(description="The last day that the newest finding judged.")
    judged_as_of: date | None = Field(None, description="The last day of the newest run that judged it, found or not.")
    judged_at: datetime | None = Field(None, description="When that run finished; orders runs of the same day.")
    clear_runs: int = Field(0, ge=0, description="Days in a row whose runs did not find it again.")
    detected_at: datetime = Field(description="When it was found first, or first again long after it was closed.")
    created_at: Immutable[datetime]
    updated_at: datetime
    closed_at: datetime | None = None

    collection = Collection(
        "tenants/{tenant_id}/opportunities",
        indexes=(("status", "-detected_at"), ("detector_id", "-detected_at")),
    )
    table = Table(
        "aso_tenant_{tenant_id}.opportunities",
        partition_by="detected_at",
        cluster_by=("status", "opportunity_type"),
    )
    caches = Caches(Namespace("aso_opportunities:{tenant_id}", ttl_seconds=240))
