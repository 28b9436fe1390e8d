"""What is streamed besides declared records, and how far each current table is merged: Scout's own state."""

from datetime import datetime

from pydantic import Field

from shared.schema.record import Collection, Json, Key, Record
from shared.streaming.typed_view import LearnedColumn


class StreamPattern(Record):
    """Collections that are streamed since somebody said so, without a deployment."""

    stream_id: Key[str]
    pattern: Json = Field(description="As an entry of shared/streaming/collections.yaml.")
    adopted_log: str | None = Field(None, description="`dataset.table` of the extension's changelog that was adopted.")
    created_at: datetime

    collection = Collection("streams", database="ops")


class StreamedTable(Record):
    """The tables of one undeclared collection of one dataset, made when its first document was seen."""

    view: Key[str] = Field(description="`dataset.table` of the view that everybody reads.")
    pattern: Json = Field(description="The pattern that took the collection then.")
    names: dict[str, str] = Field(description="Values of the pattern's placeholders that name dataset and table.")
    tenant_id: str | None = None
    columns: list[LearnedColumn] = Field([], description="Typed columns, in the order in which they were learned.")
    view_columns: int = Field(-1, description="How many of them the view has; -1 before there is one.")
    created_at: datetime

    collection = Collection("streamed_tables", database="ops")


class Merge(Record):
    """The last merge of one table that was completed."""

    view: Key[str] = Field(description="`dataset.table` of the view that everybody reads.")
    record: str = Field("", description="Name of the declared record; empty where `streamed_tables` has it.")
    names: dict[str, str] = Field({}, description="Values of the placeholders that name the dataset.")
    next_at: datetime | None = Field(None, description="When it is due again: later and later while nothing changes.")
    quiet_merges: int = Field(0, description="How many in a row found nothing.")
    tail_from: datetime = Field(description="Every change appended before is in the base.")
    started_at: datetime
    finished_at: datetime
    compacted_until: datetime | None = Field(None, description="Hours before hold each change once.")

    collection = Collection("merges", database="ops")
