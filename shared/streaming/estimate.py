"""What a backfill will read, write and cost, before it does."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice

from shared.errors import Rejected
from shared.streaming.change import read_document
from shared.streaming.parts import DOCUMENTS_PER_SLICE, bounds, wanted_documents
from shared.streaming.records import Backfill, BackfillSlice
from shared.streaming.scan import Document, Scan
from shared.streaming.service import row_of
from shared.streaming.streams import Stream
from shared.streaming.transforms import NO_KEYS, HashKeys

SAMPLE = 100
NOTED_ON = "2026-11-21"
MEGABYTE = 1_000_000


@dataclass(frozen=True)
class Price:
    """A list price in USD: of a multi-region, as the page had it on the day; a single region costs less."""

    usd: float
    per: float
    amount: str
    """`per` as a person writes it."""
    unit: str
    source: str
    noted_on: str = NOTED_ON


FIRESTORE_READS = Price(0.06, 100_000, "100,000", "document read", "https://cloud.google.com/firestore/pricing")
BIGQUERY_WRITES = Price(
    0.025, 2**30, "GiB", "byte written by the Storage Write API", "https://cloud.google.com/bigquery/pricing"
)
BIGQUERY_QUERIES = Price(6.25, 2**40, "TiB", "byte read by a statement", "https://cloud.google.com/bigquery/pricing")


@dataclass(frozen=True)
class Cost:
    """One line of the bill."""

    what: str
    amount: int
    usd: float
    price: Price


@dataclass(frozen=True)
class Estimate:
    """What is expected of a run. Free quotas are not taken off."""

    collection: str
    database: str
    documents: int
    reads: int
    rows: int
    bytes: int
    slices: int
    costs: tuple[Cost, ...]

    @property
    def usd(self) -> float:
        """All together."""
        return sum(cost.usd for cost in self.costs)


def estimate(run: Backfill, stream: Stream, scan: Scan, keys: HashKeys = NO_KEYS) -> Estimate:
    """What a run would read, write and cost: documents are counted, sizes are those of the first hundred."""
    documents = sum(scan.count(stream, None, where) for where in wanted_documents(run.since, run.field))
    sizes = [size for size in (_size(document, stream, keys) for document in _sample(run, stream, scan)) if size]
    slices = run.slices_wanted or 1 + documents // DOCUMENTS_PER_SLICE
    size = int(documents * sum(sizes) / len(sizes)) if sizes else 0
    # A read for each document, for each thousand that are counted, and for what is looked at to find slices.
    reads = documents + len(sizes) + (1 + documents // 1_000) * (2 if slices == 1 else 2 + 4 * slices)
    # Rows are written to the staging table, read from there into the log, and read from there by the merge.
    return Estimate(
        collection=run.collection_path,
        database=run.database,
        documents=documents,
        reads=reads,
        rows=documents,
        bytes=size,
        slices=slices,
        costs=(
            _cost("Firestore reads", reads, FIRESTORE_READS),
            _cost("BigQuery bytes written", size, BIGQUERY_WRITES),
            _cost("BigQuery bytes queried", 2 * size, BIGQUERY_QUERIES),
        ),
    )


def _cost(what: str, amount: int, price: Price) -> Cost:
    return Cost(what, amount, round(amount * price.usd / price.per, 4), price)


def _sample(run: Backfill, stream: Stream, scan: Scan) -> Iterable[Document]:
    by = "name" if run.since is None else "time"
    part = BackfillSlice.model_validate({"slice_id": "", "run_id": "", "plan": "", "by": by, "low": run.since or ""})
    slice_, where = bounds(part, run.field)
    for page in islice(scan.pages(stream, slice_, scan.moment(stream.database), size=SAMPLE, where=where), 1):
        yield from page


def _size(document: Document, stream: Stream, keys: HashKeys) -> int:
    try:
        change = read_document(document, "")
        return len(row_of(change, stream.record, stream.names_of(change.path), keys).data)
    except Rejected:
        return 0
