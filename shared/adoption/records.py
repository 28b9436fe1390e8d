"""What was adopted of the extension firestore-bigquery-export, and what stood there before: Scout's own state."""

from datetime import datetime

from pydantic import BaseModel, Field

from shared.schema.record import Collection, Key, Record


class ReplacedView(BaseModel):
    """A view under one of the extension's names that Scout's replaced; without a definition where there was none."""

    name: str
    kind: str = ""
    definition: str = ""


class Adoption(Record):
    """One changelog of the extension whose collection Scout streams now."""

    log: Key[str] = Field(description="`dataset.table` of the extension's changelog.")
    stream_id: str = Field(description="The pattern that streams the collection: a document of `streams`.")
    path: str
    database: str
    started_at: datetime
    built_at: datetime | None = Field(None, description="When the current table was last built from the log.")
    undone_at: datetime | None = None
    replaced: list[ReplacedView] = []

    collection = Collection("adoptions", database="ops")
