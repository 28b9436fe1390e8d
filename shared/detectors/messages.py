"""Messages of detector runs."""

from datetime import date
from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class DetectorsAsked(Message):
    """What people ask: a run, or a question about one detector."""

    tenant_id: TenantId | None = None
    tenant_ids: list[TenantId] = Field([], max_length=1000, description="Operators: a run of each of these tenants.")
    as_of: date | None = Field(None, description="The last day judged, inclusive; left out: the last settled one.")
    explain: str | None = Field(None, description="A detector's id: answer its SQL, windows, guards and thresholds.")


class DetectorsRequested(Message):
    """Run the catalogue for one tenant. It takes EtlFinished too, whose `run_id` is the ETL's."""

    topic: ClassVar[str] = "detectors-requested"

    tenant_id: TenantId
    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
    as_of: date | None = None


class DetectorRunFinished(Message):
    """The findings of a run are in `detector_findings`, its account in ops `detector_runs/{run_id}`."""

    topic: ClassVar[str] = "detector-run-finished"

    tenant_id: TenantId
    run_id: str
