"""Opportunities: what detectors found worth acting on, and what people decided about it."""

from datetime import date, datetime
from typing import Annotated, Any, Literal, get_args

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


Verdict = Literal["paid", "did_not_pay", "unclear"]


class EstimatedValue(BaseModel, frozen=True):
    """Worth of acting, per month; or the reason why none can be claimed."""

    low: float | None = None
    mid: float | None = None
    high: float | None = None
    currency: str | None = None
    formula: str | None = None
    reason: str | None = Field(None, description="Why no value is claimed; None where one is.")


class HistoryEntry(BaseModel, frozen=True):
    """One change of an opportunity's status. Its fields avoid SQL's reserved words (at, by, from, to)."""

    changed_at: datetime
    changed_by: Literal["person", "system"]
    from_status: str
    to_status: str
    why: str = ""


class Outcome(BaseModel, frozen=True):
    """Whether a completed opportunity paid: its metric before and after, beside what was left alone."""

    verdict: Verdict | None = Field(None, description="None where nothing can be said; `reason` says why.")
    reason: str | None = None
    metric: str | None = Field(None, description="conversions / sessions, revenue, ...")
    before_first: date | None = None
    before_last: date | None = None
    after_first: date | None = None
    after_last: date | None = None
    before: float | None = Field(None, description="The metric over the 28 days before.")
    after: float | None = Field(None, description="The metric over the 28 days after.")
    compared_with: Literal["peers", "site"] | None = None
    peers: int = Field(0, description="Entities of its type that were left alone and are of its size.")
    peers_change: float | None = Field(None, description="What they did meanwhile: -0.1 is 10 % less.")
    effect: float | None = Field(None, description="What it did beyond them: 0.2 is 20 % more.")
    effect_low: float | None = Field(None, description="Lower end of the 90 % interval.")
    effect_high: float | None = Field(None, description="Upper end of the 90 % interval.")
    gained_value: float | None = Field(None, description="A month; below 0 is lost.")
    gained_reason: str | None = Field(None, description="Why no gain is stated; None where one is.")
    currency: str | None = None
    as_of: date
    measured_at: datetime

    def document(self) -> dict[str, Any]:
        """The fields as Firestore stores them: dates as ISO text."""
        return {
            name: value.isoformat() if isinstance(value, date) and not isinstance(value, datetime) else value
            for name, value in self.model_dump().items()
        }


class Opportunity(Record):
    """One thing worth acting on, found by one detector for one entity of one tenant."""

    opportunity_id: Key[str] = Field(description="hash(tenant, detector, entity, direction).")
    tenant_id: str
    opportunity_type: str = Field(description="The detector's family, or one of spec 2's names.")
    detector_id: str
    title: str
    entity_type: str
    entity_id: str
    keyword: str = Field("", description="The keyword that it is about, where it is about one.")
    direction: Direction
    confidence_score: float = Field(ge=0, le=1)
    severity: Severity
    estimated_value: EstimatedValue
    estimated_traffic: int | None = None
    estimated_difficulty: float | None = None
    ranking: float = Field(0.0, description="Monthly value x confidence; 0 where no value is claimed.")
    change: float | None = Field(None, description="How much it is off, in the unit of its cause.")
    cause: str | None = Field(None, description="What moved: sessions, conversions, revenue, ...")
    part_of: str | None = Field(None, description="The opportunity that leads its root cause; None where it leads.")
    recommendation: str
    evidence: Json = Field(description="Windows, counts, test, q-value, children: what reproduces the finding.")
    content_id: str | None = None
    status: ClientWritable[Annotated[Status, ClientValues(get_args(PersonsStatus))]] = "new"
    note: ClientWritable[Personal[str | None]] = Field(None, max_length=NOTE_CHARACTERS)
    snoozed_until: ClientWritable[date | None] = Field(None, description="The day on which it is looked at again.")
    decided_at: datetime | None = Field(None, description="When a person last set status or note.")
    decided_by: Personal[str | None] = Field(None, description="Who did.")
    decided_change: float | None = Field(None, description="Its `change` when a person dismissed it.")
    completed_at: datetime | None = Field(None, description="When it was completed last.")
    outcome: Outcome | None = Field(None, description="What that brought, once it was measured.")
    history: list[HistoryEntry] = Field([], description="Changes of its status, the newest 50, oldest first.")
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


class DetectorHitRate(Record):
    """How often acting on what one detector found was measured to have paid."""

    detector_id: Key[str]
    tenant_id: str
    completed: int = Field(ge=0, description="Opportunities that people completed.")
    measured: int = Field(ge=0, description="Of these, those whose outcome has a verdict.")
    paid: int = Field(ge=0)
    did_not_pay: int = Field(ge=0)
    unclear: int = Field(ge=0, description="Measured, but not told apart from chance.")
    hit_rate: float | None = Field(None, ge=0, le=1, description="paid / measured; None until one is measured.")
    gained_value: float | None = Field(None, description="A month, summed over what paid and what did not.")
    currency: str | None = None
    updated_at: datetime

    collection = Collection("tenants/{tenant_id}/detector_hit_rates")
    table = Table("aso_tenant_{tenant_id}.detector_hit_rates", cluster_by=("detector_id",))
