"""What a detector run leaves behind: its findings, and which detectors it ran."""

from datetime import date, datetime

from pydantic import Field

from shared.opportunities.records import Direction, EstimatedValue, Severity
from shared.schema.record import Collection, Json, Key, Record, Table


class Finding(Record):
    """One entity that one detector found in one run."""

    run_id: Key[str]
    detector_id: Key[str]
    entity_type: Key[str]
    entity_id: Key[str]
    direction: Key[Direction]
    tenant_id: str
    as_of: date
    opportunity_type: str
    title: str
    confidence_score: float
    severity: Severity
    estimated_value: EstimatedValue
    recommendation: str
    evidence: Json
    p_value: float | None = None
    q_value: float | None = None
    change: float | None = Field(
        None, gt=0, description="How much it is off, in the unit of its cause; grows as it gets worse."
    )
    cause: str | None = Field(None, description="What moved: sessions, conversions, revenue, ...")
    part_of: str | None = Field(
        None, description="Opportunity id of the finding that leads this one's root cause; None where it leads itself."
    )
    keyword: str = Field("", description="The keyword it is about, where it is about one.")
    content_id: str | None = Field(None, description="The content it is about, where it is about one.")
    estimated_traffic: int | None = Field(None, description="Visits a month that acting may bring.")
    estimated_difficulty: float | None = Field(None, description="How hard acting is, as its source rates it.")
    ranking: float = Field(0.0, description="Monthly value x confidence; 0 where no value is claimed.")
    found_at: datetime

    table = Table(
        "aso_tenant_{tenant_id}.detector_findings",
        partition_by="as_of",
        cluster_by=("run_id", "detector_id"),
        retention_days=800,
    )


class DetectorRun(Record):
    """One run of the catalogue over one tenant: what ran, what was muted and why."""

    run_id: Key[str]
    tenant_id: str
    as_of: date
    ran: list[str] = Field(description="Detectors that judged.")
    muted: dict[str, str] = Field(description="Detector -> why it did not judge.")
    unheard: list[str] = Field([], description="Entities, `type:id`, whose own data could not be judged.")
    candidates: int = Field(ge=0, description="Entities that passed a volume guard, over all detectors.")
    findings: int = Field(ge=0)
    statements: int = Field(ge=0)
    finished_at: datetime

    collection = Collection("detector_runs", database="ops", indexes=(("tenant_id", "-finished_at"),))
