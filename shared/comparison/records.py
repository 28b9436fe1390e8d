"""Comparisons of two stores: how far each is, and what it found."""

from datetime import datetime, timedelta
from typing import Literal

from pydantic import BaseModel, Field

from shared.comparison.comparer import Kind
from shared.schema.record import Collection, Key, Record

KEPT_FOR = timedelta(days=30)


class Suspect(BaseModel, frozen=True):
    """One key that looked wrong, and is looked at again once a write on its way must have arrived."""

    key: str
    right_version: int
    seen_at: datetime
    looks: int = 1


class Verification(Record):
    """One comparison of two stores. Whatever precedes the cursors is compared, or waits among the suspects."""

    run_id: Key[str]
    subject: str = Field(description="What is compared: a collection's path.")
    database: str = "(default)"
    tenant_id: str | None = None
    repair: bool = Field(False, description="Repair what is found, once everything is compared.")
    settle_seconds: float = Field(60.0, ge=0, description="How long a write may be on its way.")
    status: Literal["comparing", "repairing", "done"] = "comparing"
    read_at: datetime | None = Field(None, description="The moment as of which the left side is read.")
    left_after: str = Field("", description="Last key of the left side that was compared.")
    right_after: str = Field("", description="Last key of the right side that was compared.")
    suspects: list[Suspect] = []
    counts: dict[str, int] = Field({}, description="Keys by kind, as in shared/comparison/comparer.py.")
    repairs: dict[str, int] = Field({}, description="Differences by what became of them.")
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None
    expires_at: datetime

    collection = Collection(
        "verifications", database="ops", indexes=(("tenant_id", "-started_at"),), ttl_field="expires_at"
    )


class Difference(Record):
    """One difference that a comparison found. Only the first ten thousand are kept; all are counted."""

    difference_id: Key[str] = Field(description="Hash of the key.")
    key: str = Field(description="Full name of the document.")
    kind: Kind
    left_version: int = Field(0, description="Microseconds since 1970; 0 where the left side has none.")
    right_version: int = Field(0, description="Microseconds since 1970; 0 where the right side has none.")
    reason: str = Field("", description="Why the right side refused it.")
    status: Literal["found", "repaired", "gone", "kept"] = Field(
        "found",
        description="gone: the sides agree by now; kept: repair may not, or cannot, mend it.",
    )
    note: str = ""
    found_at: datetime
    expires_at: datetime

    collection = Collection("verifications/{run_id}/differences", database="ops", ttl_field="expires_at")
