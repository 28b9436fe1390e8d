"""Messages of replays."""

from datetime import datetime
from typing import ClassVar

from pydantic import AwareDatetime, Field

from shared.ops.dead_letters import After, Wanted
from shared.schema.message import Message
from shared.schema.names import TenantId


class ReplayAsked(Message):
    """What people ask: deliver again what was set aside and waits; what is left out selects all."""

    tenant_id: TenantId | None = Field(None, description="An operator who leaves it out means all letters.")
    reason: str | None = Field(None, pattern=r"^\w{1,100}$", description="Name of the error.")
    function: str | None = Field(None, pattern=r"^\w{1,100}$", description="Which function set it aside.")
    since: AwareDatetime | None = Field(None, description="Set aside then or later.")
    until: AwareDatetime | None = Field(None, description="Set aside before.")
    limit: int | None = Field(None, ge=1, description="How many letters at most, the newest first.")

    def wanted(self) -> Wanted:
        """The letters that are meant."""
        return Wanted(self.tenant_id, self.reason, self.function, self.since, self.until)


class ReplayRequested(ReplayAsked):
    """Replay in the run of this id; a continued slice goes on behind a letter, and `limit` is what is left of it."""

    topic: ClassVar[str] = "replay-requested"

    run_id: str = Field(pattern=r"^[\w.-]{1,100}$")
    after_at: datetime | None = None
    after_id: str = ""

    def after(self) -> After | None:
        """Behind which letter the slice begins."""
        return (self.after_at, self.after_id) if self.after_at else None
