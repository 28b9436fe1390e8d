"""What is streamed besides declared records, and how far each current table is merged: Scout's own state."""

from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

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
    error: str | None = Field(None, description="Why the last try failed, if it did: it is tried again when due.")
    tail_from: datetime = Field(description="Every change appended before is in the base.")
    started_at: datetime
    finished_at: datetime
    compacted_until: datetime | None = Field(None, description="Hours before hold each change once.")

    collection = Collection("merges", database="ops")


class RefusedDocument(BaseModel, frozen=True):
    """A document that is not in the view, and why; never its values."""

    name: str
    reason: str


class Backfill(Record):
    """One run that copies what a collection holds into its changelog."""

    run_id: Key[str]
    collection_path: str = Field(description="`tenants/demo/things`, or with placeholders left for a group.")
    database: str = "(default)"
    tenant_id: str = Field("", description="Empty where it copies more than one tenant's.")
    since: str | None = Field(None, description="ISO date or time: only documents whose `field` is not before it.")
    field: str | None = None
    slices_wanted: int = Field(0, ge=0, description="0: by the number of documents.")
    status: Literal["requested", "copying", "done"] = "requested"
    documents: int = Field(0, ge=0, description="As Firestore counted them at the read time.")
    plan: str = Field("", description="Of several processes that plan at once the first decides: its slices count.")
    slice_count: int = Field(0, ge=0)
    read_at: datetime | None = Field(None, description="What it reads is what Firestore held at this moment.")
    notes: list[str] = Field([], description="What a person should know, in words.")
    portions: dict[str, int] = Field({}, description="Changelog -> in how many portions it takes the staged rows.")
    published: dict[str, int] = Field({}, description="Changelog -> portions that it has taken.")
    merged: list[str] = Field([], description="Changelogs that were merged after that.")
    read: int = 0
    staged: int = 0
    added: int = 0
    already_there: int = 0
    refused: int = 0
    refused_documents: list[RefusedDocument] = Field([], description="The first 20.")
    started_at: datetime
    finished_at: datetime | None = None

    collection = Collection("backfills", database="ops")


class StagedRows(BaseModel, frozen=True):
    """Rows of one slice for one table, in a pending stream that may be committed already."""

    table: str = Field(description="`dataset.table` of the changelog that they are for.")
    names: dict[str, str] = Field(description="Values of the placeholders that name the dataset.")
    stream: str
    rows: int


class BackfillSlice(Record):
    """One part of a run: documents from `low` to `high`, by name or by a field."""

    slice_id: Key[str] = Field(description="`<run_id>:<plan>:<number>`; the rest of one that was cut: with its `low`.")
    run_id: str
    plan: str
    by: Literal["name", "time", "text"] = "name"
    low: str = Field("", description="The first one, included; a full name, an ISO time or the text.")
    high: str = Field("", description="Excluded; empty: open.")
    status: Literal["planned", "recorded", "done"] = "planned"
    read_at: datetime | None = None
    staged: list[StagedRows] = []
    read: int = 0
    refused: int = 0
    refused_documents: list[RefusedDocument] = []

    collection = Collection("backfill_slices", database="ops")
