"""A comparison from its first key to its last: in slices, resumable after a crash anywhere, in bounded memory."""

import hashlib
import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Protocol

from shared.comparison.comparer import DIFFERENCES, Entry, Side, Verdict, judge, look, pairs
from shared.comparison.records import Difference, Suspect, Verification
from shared.ops.progress import ProgressBook, Tracker
from shared.schema.ports import Documents
from shared.schema.times import timestamp_micros

LOOK_KEYS = 300
"""Keys that are looked at at once; of their content only hashes are kept."""
MOST_SUSPECTS = 500
SUSPECT_BYTES = 400_000
"""Suspects are kept in the verification's own document, which may have 1 MiB; a name may have 6 KiB."""
MOST_LOOKS = 3
MOST_KEPT = 10_000
CHECKPOINT_KEYS = 1_000
SAVE_SECONDS = 2.0
SNAPSHOT_AGE = timedelta(minutes=45)
"""Firestore reads the past for an hour; an older snapshot is taken anew, and the comparison goes on in it."""
CLOCKS_DIFFER = timedelta(minutes=5)
KIND = "verify"


class Comparand(Protocol):
    """What is compared: two sides, and when."""

    def moment(self) -> datetime:
        """A moment as of which the left side can be read."""
        ...

    def open(self, moment: datetime) -> tuple[Side, Side]:
        """The left side as of a moment, the right side as it is after it."""
        ...

    def count(self, moment: datetime) -> int:
        """About how many keys there are."""
        ...

    def close(self) -> None:
        """Let go of what `open` made."""
        ...


class Verifications:
    """Starts, reads and carries on comparisons."""

    def __init__(
        self,
        ops: Documents,
        progress: ProgressBook,
        now: Callable[[], datetime] = lambda: datetime.now(UTC),
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._ops = ops
        self._progress = progress
        self._now = now
        self._sleep = sleep

    def start(self, verification: Verification) -> Verification:
        """Note that a comparison was asked for; one that has begun under this id goes on instead."""
        self._ops.create(_path(verification.run_id), verification.document())
        return self.get(verification.run_id) or verification

    def get(self, run_id: str) -> Verification | None:
        """The comparison, or None."""
        values = self._ops.get(_path(run_id))
        return Verification.model_validate(values) if values else None

    def save(self, verification: Verification, **changes: object) -> Verification:
        """Write changes of a comparison."""
        changed = verification.model_copy(update={**changes, "updated_at": self._now()})
        self._ops.put(_path(changed.run_id), changed.document())
        return changed

    def differences(self, run_id: str, limit: int | None = None) -> Iterator[Difference]:
        """What a comparison found, in the order of keys."""
        for _, values in self._ops.find(f"{_path(run_id)}/differences", order_by="key", limit=limit):
            yield Difference.model_validate(values)

    def unsettled(self, run_id: str, limit: int) -> list[Difference]:
        """Differences that no repair has looked at."""
        found = self._ops.find(f"{_path(run_id)}/differences", where=[("status", "==", "found")], limit=limit)
        return [Difference.model_validate(values) for _, values in found]

    def put(self, run_id: str, difference: Difference) -> None:
        """Write one difference."""
        self._ops.put(f"{_path(run_id)}/differences/{difference.difference_id}", difference.document())

    def carry_on(
        self, verification: Verification, comparand: Comparand, enough: Callable[[], bool] = lambda: False
    ) -> Verification:
        """Compare from the cursor on, until the end or until `enough`; the comparison as it is then.

        A crash repeats what followed the last checkpoint: differences have fixed ids, counts are the checkpoint's.
        """
        if verification.status != "comparing":
            return verification
        with self._progress.track(verification.run_id, KIND, verification.tenant_id or "") as tracker:
            found = _Comparison(self, verification, comparand, tracker, self._now, self._sleep).run(enough)
            if found.status == "comparing":
                tracker.pause()
            else:
                comparand.close()
                tracker.finish(found.counts)
        return found


class _Comparison:
    """One slice of a comparison."""

    def __init__(
        self,
        book: Verifications,
        verification: Verification,
        comparand: Comparand,
        tracker: Tracker,
        now: Callable[[], datetime],
        sleep: Callable[[float], None],
    ) -> None:
        self._book = book
        self._state = verification
        self._comparand = comparand
        self._tracker = tracker
        self._now = now
        self._sleep = sleep
        self._counts = Counter(verification.counts)
        self._suspects = list(verification.suspects)
        self._doubtful: dict[str, bool] = {}
        self._saved_at = now()

    def run(self, enough: Callable[[], bool]) -> Verification:
        moment = self._moment = self._read_at(self._now())
        self._left, self._right = self._comparand.open(moment)
        since, until = timestamp_micros(moment), timestamp_micros(self._now() + CLOCKS_DIFFER)
        left_after, right_after, since_checkpoint = self._state.left_after, self._state.right_after, 0
        lefts = chain.from_iterable(self._left.pages(left_after))
        rights = chain.from_iterable(self._right.pages(right_after))
        self._tracker.step("comparing", total=self._tracker.progress.total or self._comparand.count(moment))
        for mine, other in pairs(lefts, rights):
            self._weigh(mine, other, since, until)
            left_after = mine.key if mine else left_after
            right_after = other.key if other else right_after
            since_checkpoint += 1
            if len(self._doubtful) >= LOOK_KEYS:
                self._look_at_doubtful()
            if since_checkpoint >= CHECKPOINT_KEYS:
                since_checkpoint = 0
                self._checkpoint(left_after, right_after)
                if enough() or self._now() - moment > SNAPSHOT_AGE:
                    return self._save(left_after, right_after)
        self._checkpoint(left_after, right_after)
        self._tracker.step("settling")
        while self._suspects:
            self._settle()
        return self._save(left_after, right_after, status="repairing" if self._state.repair else "done")

    def _read_at(self, now: datetime) -> datetime:
        read_at = self._state.read_at
        if read_at is None or now - read_at > SNAPSHOT_AGE:
            read_at = self._comparand.moment()
            self._state = self._book.save(self._state, read_at=read_at)
        return read_at

    def _weigh(self, left: Entry | None, right: Entry | None, since: int, until: int) -> None:
        kind, entry = judge(left, right, since, until), left or right
        # Of very many only the number matters any more, except where a look may find that nothing is wrong.
        counted = kind not in DIFFERENCES or (kind not in ("different", "refused") and self._kept() >= MOST_KEPT)
        if counted or entry is None:
            self._counts[kind] += 1
        else:
            self._doubtful[entry.key] = left is None

    def _look_at_doubtful(self) -> None:
        """Look at once: text that is only written otherwise is no reason to wait."""
        doubtful, self._doubtful = self._doubtful, {}
        now = self._now()
        for verdict in look(doubtful, self._left, self._right):
            if verdict.kind not in DIFFERENCES:
                self._counts[verdict.kind] += 1
            elif self._is_settled(verdict, doubtful[verdict.key], now):
                self._keep(verdict)
            else:
                self._suspects.append(Suspect(key=verdict.key, right_version=verdict.right_version, seen_at=now))

    def _is_settled(self, verdict: Verdict, was_absent: bool, now: datetime) -> bool:
        """False where a write that is on its way would explain it: one not older than the time it may take."""
        settled = now - timedelta(seconds=self._state.settle_seconds)
        if verdict.kind in ("missing", "stale"):
            return verdict.left_version <= timestamp_micros(settled)
        if verdict.kind == "extra":
            return was_absent and self._moment <= settled
        return True

    def _checkpoint(self, left_after: str, right_after: str) -> None:
        self._look_at_doubtful()
        self._look_again(self._due())
        while len(self._suspects) > MOST_SUSPECTS or sum(len(one.key) for one in self._suspects) > SUSPECT_BYTES:
            self._settle()
        self._tracker.step(done=self._compared(), counts=dict(self._counts))
        if (self._now() - self._saved_at).total_seconds() >= SAVE_SECONDS:
            self._save(left_after, right_after)

    def _settle(self) -> None:
        """Wait until the oldest suspects are due, and look at them again."""
        due_at = min(one.seen_at for one in self._suspects) + timedelta(seconds=self._state.settle_seconds)
        wait = (due_at - self._now()).total_seconds()
        if wait > 0:
            self._sleep(wait)
        self._look_again(self._due())

    def _due(self) -> list[Suspect]:
        settled = self._now() - timedelta(seconds=self._state.settle_seconds)
        return [one for one in self._suspects if one.seen_at <= settled][:LOOK_KEYS]

    def _look_again(self, due: Sequence[Suspect]) -> None:
        """Report whatever still differs and has not moved since the last look: what is behind but follows is well."""
        if not due:
            return
        before = {one.key: one for one in due}
        self._suspects = [one for one in self._suspects if one.key not in before]
        now = self._now()
        for verdict in look(list(before), self._left, self._right):
            suspect = before[verdict.key]
            if verdict.kind not in DIFFERENCES:
                self._counts[verdict.kind] += 1
            elif verdict.kind == "refused" or verdict.right_version == suspect.right_version:
                self._keep(verdict)
            elif suspect.looks < MOST_LOOKS:
                again = {"right_version": verdict.right_version, "seen_at": now, "looks": suspect.looks + 1}
                self._suspects.append(suspect.model_copy(update=again))
            else:
                self._counts["newer"] += 1

    def _keep(self, verdict: Verdict) -> None:
        if self._kept() < MOST_KEPT:
            self._book.put(
                self._state.run_id,
                Difference(
                    difference_id=hashlib.sha256(verdict.key.encode()).hexdigest()[:32],
                    key=verdict.key,
                    kind=verdict.kind,
                    left_version=verdict.left_version,
                    right_version=verdict.right_version,
                    reason=verdict.reason,
                    found_at=self._now(),
                    expires_at=self._state.expires_at,
                ),
            )
        self._counts[verdict.kind] += 1

    def _kept(self) -> int:
        return sum(self._counts[kind] for kind in DIFFERENCES)

    def _compared(self) -> int:
        return self._counts.total() + len(self._suspects)

    def _save(self, left_after: str, right_after: str, status: str = "comparing") -> Verification:
        self._saved_at, ended = self._now(), status != "comparing"
        self._state = self._book.save(
            self._state,
            status=status,
            # Names of documents are kept no longer than they are needed.
            left_after="" if ended else left_after,
            right_after="" if ended else right_after,
            suspects=list(self._suspects),
            counts=dict(self._counts),
            finished_at=self._saved_at if status == "done" else None,
        )
        return self._state


def _path(run_id: str) -> str:
    return f"verifications/{run_id}"
