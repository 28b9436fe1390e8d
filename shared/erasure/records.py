"""The certificate of an erasure: what was asked, what each store held before and after, and which sweeps followed."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from shared.erasure.subject import Subject
from shared.schema.record import Collection, Key, Personal, Record


class Counted(BaseModel, frozen=True):
    """One part of one store."""

    before: int = Field(ge=0, description="Held when it was first looked at.")
    removed: int = Field(ge=0, description="Removed in all, by the erasure and its sweeps.")
    after: int = Field(ge=0, description="Held when it was last looked at.")


class Sweep(BaseModel, frozen=True):
    """One pass over all stores."""

    finished_at: datetime
    removed: int = Field(ge=0)
    waiting: dict[str, str] = Field({}, description="Store -> why it has to be tried again.")


class Erasure(Record):
    """One erasure and its proof. Once it is final it names nobody: of its subject only the hash is left."""

    erasure_id: Key[str]
    kind: Literal["document", "tenant"]
    subject_hash: str = Field(description="SHA-256 of erasure_id, newline, database, newline, path; in hex.")
    subject: Personal[str | None] = Field(description="Path that is erased; struck out once final.")
    database: str
    status: Literal["open", "final", "superseded"] = Field(
        "open", description="superseded: the tenant was provisioned again; what it has now is not touched."
    )
    requested_by: Personal[str]
    requested_at: datetime
    gone_at: datetime | None = Field(None, description="Firestore's time once it was gone there.")
    finished_at: datetime | None = Field(None, description="When no store held anything, before late arrivals.")
    final_at: datetime | None = None
    stores: dict[str, dict[str, Counted]] = Field({}, description="Store -> its parts -> counts.")
    statements: list[str] = Field([], description="SQL that was run, without values.")
    sweeps: list[Sweep] = Field([], description="The last 50 passes.")

    collection = Collection("erasures", database="ops")

    @property
    def left(self) -> int:
        """How much the stores held when they were last looked at."""
        return sum(part.after for parts in self.stores.values() for part in parts.values())

    @property
    def clean(self) -> bool:
        """True where the last pass left nothing, and no store has to be tried again."""
        return bool(self.sweeps) and not self.sweeps[-1].waiting and not self.left

    def about(self) -> Subject:
        """Whose data it erases. ValueError where that was struck out."""
        if self.subject is None:
            raise ValueError("the erasure is final: its subject was struck out")
        return Subject(self.kind, self.subject, self.database, self.gone_at)
