"""Messages of detector runs."""

from datetime import date
from typing import ClassVar

from pydantic import Field

from shared.schema.message import Message
from shared.schema.names import TenantId


class DetectorsRequested(Message):
    """Run the catalogue for one tenant; `as_of` is the last day judged, inclusive."""

    topic: ClassVar[str] = "detectors-requested"

    tenant_id: TenantId
    as_of: date | None = None
    run_id: str | None = Field(None, pattern=r"^[\w.-]{1,100}$")


class DetectorsAsked(Message):
    """All that `run_detectors` takes: a request, the end of an ETL run, or a question about one detector."""

    tenant_id: TenantId | None = None
    as_of: date | None = None
    run_id: str | None = Field(None, pattern=r"^[\w.-]{1,100}$")
    explain: str | None = Field(None, description="A detector's id: answer its SQL, windows, guards and thresholds.")


class DetectorRunFinished(Message):
    """The findings of a run are in `detector_findings`, its account in ops `detector_runs/{run_id}`."""

    topic: ClassVar[str] = "detector-run-finished"

    tenant_id: TenantId
    run_id: str
