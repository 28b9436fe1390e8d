"""Which migrations were applied where: Scout's own state."""

from datetime import datetime
from typing import Literal

from pydantic import Field

from shared.schema.record import Collection, Key, Record


class AppliedMigration(Record):
    """One migration of one tenant's tables, or of those that are everybody's."""

    migration_id: Key[str]
    target: Key[str] = Field(description="Tenant's id; `(shared)` for datasets of everybody.")
    tenant_id: str | None = Field(None, description="None where the target is `(shared)`.")
    status: Literal["running", "done", "failed", "confirmed"]
    steps_done: int = Field(0, ge=0)
    counts: dict[str, int] = Field({}, description="What the steps did: rows by step.")
    error: str | None = None
    kept: list[str] = Field([], description="Tables as they were before, until the migration is confirmed.")
    note: str = ""
    started_at: datetime
    finished_at: datetime | None = None

    collection = Collection("migrations", database="ops")
