"""How far each current table is merged: Scout's own state."""

from datetime import datetime

from pydantic import Field

from shared.schema.record import Collection, Key, Record


class Merge(Record):
    """The last merge of one table that was completed."""

    view: Key[str] = Field(description="`dataset.table` of the view that everybody reads.")
    tail_from: datetime = Field(description="Every change appended before is in the base.")
    started_at: datetime
    finished_at: datetime
    compacted_until: datetime | None = Field(None, description="Hours before hold each change once.")

    collection = Collection("merges", database="ops")
