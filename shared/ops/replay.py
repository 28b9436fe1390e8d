"""Delivering again what was set aside, once its cause is mended.

A letter is settled only when what it tells of is durable: a crash in between delivers it once more, which is as
harmless as any repeat of its event. Letters that fail again wait on with the newest reason. While something is
Unavailable the run stops; the next one begins anew and finds only what still waits. What is NotNow waits on by itself.
"""

import asyncio
import secrets
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from concurrent.futures import Executor, ThreadPoolExecutor
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from shared.errors import NotNow, Rejected, Unavailable
from shared.ops.dead_letters import After, DeadLetters, Wanted
from shared.ops.leases import Leases
from shared.ops.messages import ReplayAsked, ReplayRequested
from shared.ops.progress import ProgressBook
from shared.ops.records import DeadLetter
from shared.schema.batches import batches
from shared.schema.ports import Publisher

T = TypeVar("T")
Outcome = Literal["replayed", "superseded"]
Redeliver = Callable[[DeadLetter, Mapping[str, str], bytes], Awaitable[Outcome]]
"""Delivers one event again, by its letter, headers and body. Rejected and Unavailable as when it came."""
OpenRedelivery = Callable[[], AbstractContextManager[Redeliver]]

BATCH_LETTERS = 500
# With the events' bytes and their rows about three times this is held.
BATCH_BYTES = 16_000_000
UNKNOWN_BYTES = 1_000_000
"""Taken for a letter that does not say how large its event is."""
THREADS = 32
LEASE_SECONDS = 600.0
SLICE_SECONDS = 240.0
"""After this long a run hands over to its next slice, well inside the function's timeout."""


class Failed(Rejected):
    """A replay met a bug; `cause` is its kind."""


@dataclass
class Replayed:
    """What became of the letters of a run; `stopped` says why it ended early."""

    replayed: int = 0
    superseded: int = 0
    rejected: Counter[str] = field(default_factory=Counter)
    later: int = 0
    after: After | None = None
    """The last letter that was taken."""
    more: bool = False
    """True where the time was up."""
    stopped: Unavailable | None = None

    @property
    def taken(self) -> int:
        """Letters that the run has seen to."""
        return sum(self.counts().values())

    def counts(self) -> dict[str, int]:
        """As progress shows them."""
        rejected = self.rejected.total()
        return {"replayed": self.replayed, "superseded": self.superseded, "rejected": rejected, "later": self.later}


class Replay:
    """Replays letters: a slice at a time as a function, or all that is wanted at once."""

    def __init__(
        self,
        letters: DeadLetters,
        redelivery: OpenRedelivery,
        progress: ProgressBook,
        leases: Leases,
        publisher: Publisher,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._letters = letters
        self._redelivery = redelivery
        self._progress = progress
        self._leases = leases
        self._publisher = publisher
        self._clock = clock

    def ask(self, asked: ReplayAsked, requested_by: str) -> str:
        """Ask for a run; its id."""
        run_id = f"replay-{asked.tenant_id or 'all'}-{secrets.token_hex(4)}"
        self._progress.request(run_id, "replay", asked.tenant_id or "", requested_by)
        self._publisher.publish(ReplayRequested(run_id=run_id, **asked.model_dump()))
        return run_id

    def work(self, request: ReplayRequested) -> dict[str, object]:
        """Replay one slice, and ask for the next. Unavailable where it had to stop, or another worker has the slice.

        A repeat finds only what still waits.
        """
        with self._leases.hold(f"replay:{request.run_id}", LEASE_SECONDS) as held:
            if not held:
                raise Unavailable("another worker replays these letters", run_id=request.run_id)
            with self._progress.track(request.run_id, "replay", request.tenant_id or "") as tracker:
                before = dict(tracker.progress.counts)

                def heard(found: Replayed) -> None:
                    counts = {name: before.get(name, 0) + count for name, count in found.counts().items()}
                    tracker.step("replaying", done=sum(counts.values()), counts=counts)

                found = self.run(request.wanted(), request.limit, request.after(), SLICE_SECONDS, heard)
                if found.stopped is not None:
                    raise found.stopped
                if found.more and found.after is not None:
                    left = None if request.limit is None else request.limit - found.taken
                    at, name = found.after
                    self._publisher.publish(
                        request.model_copy(update={"limit": left, "after_at": at, "after_id": name})
                    )
                    tracker.pause()
        return {**found.counts(), "reasons": dict(found.rejected), "more": found.more}

    def run(
        self,
        wanted: Wanted,
        limit: int | None = None,
        after: After | None = None,
        seconds: float | None = None,
        heard: Callable[[Replayed], None] = lambda found: None,
    ) -> Replayed:
        """Replay what waits, newest first, behind `after`; `heard` is told after each batch."""
        return asyncio.run(self._run(wanted, limit, after, seconds, heard))

    async def _run(
        self,
        wanted: Wanted,
        limit: int | None,
        after: After | None,
        seconds: float | None,
        heard: Callable[[Replayed], None],
    ) -> Replayed:
        found, waiting = Replayed(after=after), self._letters.waiting(wanted)
        until = None if seconds is None else self._clock() + seconds
        with ThreadPoolExecutor(THREADS) as threads, self._redelivery() as redeliver:
            while found.stopped is None:
                size = BATCH_LETTERS if limit is None else min(BATCH_LETTERS, limit - found.taken)
                page = waiting.page(found.after, size) if size else []
                if not page:
                    break
                for batch in batches(page, _size, BATCH_BYTES):
                    await self._replay(batch, redeliver, threads, found)
                    heard(found)
                    if found.stopped is not None:
                        break
                    found.after = (batch[-1].set_aside_at, batch[-1].dead_letter_id)
                    if until is not None and self._clock() > until:
                        found.more = found.taken != limit
                        return found
        return found

    async def _replay(
        self, batch: Sequence[DeadLetter], redeliver: Redeliver, threads: Executor, found: Replayed
    ) -> None:
        """All of a batch at once: their rows are committed together."""
        ended = await asyncio.gather(*(self._one(letter, redeliver, threads) for letter in batch))
        for outcome in ended:
            if isinstance(outcome, NotNow):
                found.later += 1
            elif isinstance(outcome, Unavailable):
                found.stopped = outcome
            elif isinstance(outcome, Rejected):
                found.rejected[outcome.reason] += 1
            elif outcome == "superseded":
                found.superseded += 1
            else:
                found.replayed += 1

    async def _one(
        self, letter: DeadLetter, redeliver: Redeliver, threads: Executor
    ) -> Outcome | Rejected | Unavailable:
        async def call(work: Callable[..., T], *arguments: object) -> T:
            return await asyncio.get_running_loop().run_in_executor(threads, work, *arguments)

        try:
            try:
                outcome = await redeliver(letter, *await call(self._letters.event, letter))
            except Unavailable:
                raise
            except Exception as error:  # noqa: BLE001  a letter that meets a bug holds up no other
                bug = Failed("a bug met the replay", cause=type(error).__name__)
                failure = error if isinstance(error, Rejected) else bug
                await call(self._letters.failed_again, letter.dead_letter_id, letter.function, failure)
                return failure
            await call(self._letters.settle, letter, outcome)
        except Unavailable as error:
            return error
        return outcome


def _size(letter: DeadLetter) -> int:
    return letter.size_bytes or UNKNOWN_BYTES
