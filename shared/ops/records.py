"""Scout's own state, in a Firestore database that no trigger watches: nothing here can loop."""

from collections.abc import Iterable, Mapping
from datetime import date, datetime
from typing import Any, Literal

from pydantic import Field

from shared.schema.record import Collection, Json, Key, Personal, Record, Table

NO_DAY = "unreadable"
"""The day, in ledgers, of documents whose day is none: Firestore takes no empty key."""


def iso_day(value: Any) -> str:
    """A document's day as ledgers know it: ISO, or NO_DAY."""
    try:
        return value if date.fromisoformat(value).isoformat() == value else NO_DAY
    except (TypeError, ValueError):
        return NO_DAY


class DeadLetter(Record):
    """One event that was set aside: why, and where its bytes are."""

    dead_letter_id: Key[str]
    function: str
    reason: str = Field(description="Name of the error, as in shared/errors.py.")
    message: str = Field(description="What happened, in words; never the event's contents.")
    fields: Json = {}
    event_id: str
    subject: str = Field("", description="Document path or topic.")
    tenant_id: str | None = None
    object_name: str = Field(description="Object in the dead-letter bucket that holds the event as it came.")
    size_bytes: int = Field(0, ge=0, description="Of the event's body.")
    status: Literal["waiting", "replayed", "superseded"] = Field(
        "waiting", description="Superseded: its document has changed since, which another event tells of."
    )
    set_aside_at: datetime
    attempts: int = Field(0, ge=0, description="How often it was replayed and failed again; reason is the newest.")
    tried_at: datetime | None = Field(None, description="When it failed again.")
    replayed_at: datetime | None = Field(None, description="When it was settled: what it tells of is durable.")
    correlation_id: str = ""

    collection = Collection(
        "dead_letters",
        database="ops",
        # Each field with the order, not each combination: Firestore merges indexes that end alike.
        indexes=tuple((field, "-set_aside_at") for field in ("status", "tenant_id", "reason", "function")),
    )


class Progress(Record):
    """How far one run is: a sync, an ETL, a detector run, a backfill, a migration."""

    run_id: Key[str]
    kind: str = Field(description="sync, etl, detectors, backfill, ...")
    tenant_id: str
    status: Literal["requested", "running", "done", "failed"]
    step: str = Field("", description="What it is doing now, in words.")
    done: int = Field(0, ge=0)
    total: int | None = Field(None, ge=0, description="None while unknown.")
    counts: dict[str, int] = {}
    error: str | None = Field(None, description="Scout's own sentence, or the name of a library's error.")
    requested_by: Personal[str] = ""
    started_at: datetime
    updated_at: datetime
    finished_at: datetime | None = None

    collection = Collection(
        "progress",
        database="ops",
        indexes=(("tenant_id", "-started_at"), ("tenant_id", "kind", "-started_at"), ("kind", "-started_at")),
    )


class Arrivals(Record):
    """The ledger of one sync for one collection: how many documents of each day it wrote, how many it found there."""

    run_id: Key[str]
    tenant_id: str
    source: str
    collection_name: str
    pages: dict[str, dict[str, int]] = Field(
        description="Documents written by ISO day: of the slice at work, by its name, and of all `before` it."
    )
    unchanged: dict[str, dict[str, int]] = Field({}, description="The same of documents that were there already.")
    unwritten: dict[str, dict[str, int]] = Field({}, description="The same of documents that Firestore does not take.")
    unwritten_documents: list[str] = Field([], description="The first of these by name, and why.")
    reported: int | None = Field(None, ge=0, description="Rows that the source said there are, where it says so.")
    complete: bool = Field(False, description="True once every page of the collection was written.")
    failed: str | None = Field(None, description="Why the source refused the rest of the collection, where it did.")
    arrived: int | None = Field(None, description="Documents that became rows, once the ETL has looked.")
    lost: int | None = Field(None, description="Rows that were reported, or written, and are in no metrics.")
    unaggregated: int = Field(0, description="Of these, rows that are in their table.")
    started_at: datetime | None = Field(None, description="When the sync began: none of its documents is older.")
    finished_at: datetime

    def days(self) -> dict[str, int]:
        """ISO day, or NO_DAY, -> documents that the sync wrote."""
        return summed(self.pages.values())

    def days_unchanged(self) -> dict[str, int]:
        """ISO day, or NO_DAY, -> documents that were there as the source gave them."""
        return summed(self.unchanged.values())

    def days_unwritten(self) -> dict[str, int]:
        """ISO day, or NO_DAY, -> documents that Firestore does not take."""
        return summed(self.unwritten.values())

    # Each field with the order: Firestore merges indexes that end alike.
    collection = Collection(
        "arrivals",
        database="ops",
        indexes=(("tenant_id", "-finished_at"), ("source", "-finished_at")),
        unindexed=("pages", "unchanged", "unwritten"),
    )


def summed(counts: Iterable[Mapping[str, int]]) -> dict[str, int]:
    """Counts by day, added up."""
    found: dict[str, int] = {}
    for each in counts:
        for day, count in each.items():
            found[day] = found.get(day, 0) + count
    return found


class Cursor(Record):
    """How far one collection of a tenant's source was pulled."""

    tenant_id: Key[str]
    source: Key[str]
    collection_name: Key[str]
    synced_until: str = Field(description="ISO day: whatever is older was pulled.")
    account: str = Field("", description="Of which of the vendor's accounts; empty where the settings name none.")

    collection = Collection("cursors", database="ops")


class SyncRun(Record):
    """What one sync pulls since when, and at which of its slices it is: a repeat of an earlier one does nothing."""

    run_id: Key[str]
    tenant_id: str
    source: str
    asked_since: str | None = Field(None, description="The ISO day that somebody asked for.")
    account: str = Field("", description="The vendor's account that the settings named when it began.")
    since: dict[str, str] = Field({}, description="Collection -> ISO day since which it is pulled, once it has begun.")
    slice: int = Field(0, ge=0, description="The slice at work: each has a message of its own.")
    slice_began_at: datetime | None = Field(None, description="When it was first at that slice.")
    done: int = Field(0, ge=0, description="Documents of the slices before it.")
    handed_to: Json | None = Field(None, description="The message of the next slice, once there is one.")
    ended: bool = Field(False, description="True once all that it brought is told.")

    collection = Collection("sync_runs", database="ops")


class SourceState(Record):
    """How a tenant's source does: whether its credentials are taken, when it was last pulled, what went wrong."""

    tenant_id: Key[str]
    source: Key[str]
    state: Literal["connected", "refused", "failing"] = Field(
        description="connected: it answers. refused: it takes the credentials no more. failing: it does not answer."
    )
    message: str = Field("", description="What is wrong, and what to do, in words.")
    account: str = Field("", description="What the credentials open, as the vendor calls it, once it was asked.")
    since: datetime = Field(description="When it came into this state.")
    synced_at: datetime | None = Field(None, description="When the last sync ended well.")
    run_id: str = Field("", description="The run that saw it last.")
    again: bool = Field(False, description="True where that run is tried again by itself.")
    not_before: datetime | None = Field(None, description="When it may be asked again, where it said so.")
    updated_at: datetime

    collection = Collection("source_states", database="ops", indexes=(("tenant_id", "source"),))


class Lease(Record):
    """Who may work on a resource, until when."""

    resource: Key[str]
    holder: str
    until: datetime

    collection = Collection("leases", database="ops")


class StageCount(Record):
    """What one stage of one run took in, gave out and refused; in BigQuery for people to query."""

    run_id: Key[str]
    stage: Key[str] = Field(description="sync, stream, etl, map, detectors, opportunities.")
    subject: Key[str] = Field(description="Collection, entity type or detector.")
    tenant_id: str
    rows_in: int
    rows_out: int
    rows_refused: int
    note: str | None = None
    counted_at: datetime

    table = Table(
        "aso_tenant_{tenant_id}.stage_counts",
        partition_by="counted_at",
        cluster_by=("stage", "subject"),
        retention_days=800,
    )
