"""Copying what a collection already holds into its changelog, beside the live stream.

Each row repeats the version of the write that made the document (its update_time), so a copy can never overwrite or
bring back anything: whatever happens live has a higher version, and the view and the merge take the highest. All
documents are read as they were at one moment. Firestore keeps such moments for an hour (7 days with point-in-time
recovery): where a long run outlives that, it goes on with a new one and says so in its notes, which is harmless for the
same reason. A document that changes between the two moments has its change in the live stream.

A kill at any point costs some reading, never a row:

    slice planned -> rows in a pending stream -> stream recorded -> committed -> done
                     seen by nobody              |  a kill here: committed again, which does nothing twice
                     a kill: read again

When every slice is done, one statement takes the staged rows that are new into the log; a repeat of it, or of the whole
run, finds nothing new.
"""

import secrets
from datetime import UTC, datetime

from shared.errors import BadRequest, Forbidden, NotFound, TenantNotProvisioned, Unavailable
from shared.schema.names import NOT_A_NAME
from shared.schema.record import PLACEHOLDER
from shared.streaming.backfill_turn import COUNTS, Heard, Means, Turn, path_of
from shared.streaming.estimate import Estimate, estimate
from shared.streaming.messages import BackfillAsked, BackfillRequested
from shared.streaming.parts import moment
from shared.streaming.records import Backfill
from shared.streaming.streams import Stream, stream_of
from shared.streaming.tables import dataset_of

LEASE_SECONDS = 600.0
TURN_SECONDS = 240.0
"""After this long a run lets go and is taken up again, well inside the lease and a function's timeout."""


class Backfills:
    """Runs backfills."""

    def __init__(self, means: Means) -> None:
        self._means = means

    def estimate(self, asked: BackfillAsked) -> Estimate:
        """What a run would read, write and cost."""
        run, stream = self._asked(asked)
        return estimate(run, stream, self._means.scan, self._means.keys)

    def start(self, asked: BackfillAsked, requested_by: str = "") -> Backfill:
        """Note a run; `work` does it."""
        run, _ = self._asked(asked)
        self._means.ops.put(path_of(run), run.document())
        self._means.progress.request(run.run_id, "backfill", run.tenant_id, requested_by)
        return run

    def ask(self, asked: BackfillAsked, requested_by: str) -> Backfill | Estimate:
        """Ask for a run, which then goes on by messages; with `dry_run` the estimate.

        Forbidden where a tenant asks, or is named, and the collection is not the tenant's.
        """
        if asked.tenant_id is not None:
            self._allow(asked, f"tenants/{asked.tenant_id}/")
        if asked.dry_run:
            return self.estimate(asked)
        run = self.start(asked, requested_by)
        self._means.publisher().publish(BackfillRequested(run_id=run.run_id))
        return run

    def go_on(self, request: BackfillRequested) -> dict[str, int]:
        """Take a run up for a turn, and ask for the next one."""
        run = self.work(request.run_id)
        if run.status != "done":
            self._means.publisher().publish(request)
        return {name: getattr(run, name) for name in COUNTS}

    def get(self, run_id: str) -> Backfill:
        """A run; NotFound where there is none of that id."""
        values = self._means.ops.get(f"backfills/{run_id}")
        if values is None:
            raise NotFound("no such run", field="run_id")
        return Backfill.model_validate(values)

    def work(self, run_id: str, seconds: float = TURN_SECONDS, heard: Heard = lambda done, total: None) -> Backfill:
        """Take a run up, for about so long; done where its status is then `done`, else it is to be called again.

        Two processes that work on the same run do work twice and nothing else; two runs of one collection exclude each
        other. Unavailable while another run works.
        """
        run = self.get(run_id)
        if run.status == "done":
            return run
        resource = f"backfill:{run.database}:{run.collection_path.replace('/', ':')}"
        with self._means.leases.hold(resource, LEASE_SECONDS, holder=run_id) as held:
            if not held:
                other = (self._means.ops.get(f"leases/{resource}") or {}).get("holder", "")
                raise Unavailable("another backfill of this collection is running, or was killed", run_id=other)
            with self._means.progress.track(run_id, "backfill", run.tenant_id) as tracker:
                return Turn(self._means, run, tracker, seconds, heard).take()

    def _allow(self, asked: BackfillAsked, own: str) -> None:
        """Both the path and what it means must be the tenant's: a group may lie anywhere."""
        mine = asked.collection.startswith(own)
        if not mine or not f"{self._asked(asked)[1].parent}/".startswith(own):
            raise Forbidden("the collection is not the tenant's", field="collection", expected=f"{own}...")

    def _asked(self, asked: BackfillAsked) -> tuple[Backfill, Stream]:
        if (asked.since is None) != (asked.field is None):
            missing = "field" if asked.field is None else "since"
            raise BadRequest(
                "since and field belong together",
                errors=[{"field": missing, "expected": "since and field, or neither"}],
            )
        if asked.since is not None:
            moment(asked.since)
        stream = stream_of(asked.collection, asked.database, self._means.patterns.load())
        self._check_dataset(stream)
        last = NOT_A_NAME.sub("", asked.collection.rpartition("/")[2])[:60]
        run = Backfill(
            run_id=f"backfill-{last}-{secrets.token_hex(4)}",
            collection_path=asked.collection,
            database=asked.database,
            tenant_id=stream.names.get("tenant_id", ""),
            since=asked.since,
            field=asked.field,
            slices_wanted=asked.slices,
            started_at=datetime.now(UTC),
        )
        return run, stream

    def _check_dataset(self, stream: Stream) -> None:
        """TenantNotProvisioned where the one dataset of a stream does not exist. A stream may have many, or make it."""
        if stream.record.table is None or not PLACEHOLDER.search(stream.record.table.dataset):
            return
        try:
            dataset = dataset_of(stream.record, stream.names)
        except KeyError:
            return
        if not self._means.warehouse.exists(dataset):
            raise TenantNotProvisioned("the dataset does not exist: provision the tenant first", dataset=dataset)
