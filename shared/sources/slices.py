"""A long sync is cut into slices; a day that a slice cuts in two is pulled whole again."""

from collections.abc import Callable

from shared.errors import Rejected
from shared.ops.progress import Tracker
from shared.ops.records import NO_DAY, iso_day
from shared.sources.ledger import Written
from shared.sources.source import Page

SLICE_SECONDS = 240
"""After this long a sync hands over to its next slice, well inside the function's timeout."""


class Days:
    """Which days of a feed are known whole while its pages come in the order of days.

    A slice that goes on somewhere in the middle may begin with the end of a day whose beginning it never saw: its first
    day is never called complete. began_at: where the slice began in this feed; None where it began in one before.
    """

    def __init__(self, began_at: str | None) -> None:
        self._began_at = began_at
        self._cut: str | None = None
        self._open: dict[str, set[str]] = {}
        self._opened_at: dict[str, str] = {}

    def complete(self, page: Page, position: str) -> dict[str, set[str]]:
        """Days -> ids of their documents, of those days that end with this page."""
        for name, fields in page.documents:
            day = iso_day(fields.get("date"))
            if day == NO_DAY:
                # In the order of days it may stand anywhere.
                continue
            if self._began_at and self._cut is None:
                self._cut = day
            self._open.setdefault(day, set()).add(name)
            self._opened_at.setdefault(day, position)
        last = max(self._open, default=None) if page.following is not None else None
        done = {day: self._open.pop(day) for day in list(self._open) if day != last}
        for day in done:
            self._opened_at.pop(day)
        done.pop(self._cut or "", None)
        return done

    def resume_at(self, position: str) -> str:
        """Where to go on so that the open day is seen whole: at the page in which it began.

        Where that is where this slice began the day is too long for one slice: then it goes on at `position`, and
        nothing is removed of that day.
        """
        # Days come in order, so at most one is open.
        began = next(iter(self._opened_at.values()), position)
        return position if began == self._began_at else began


class Slice:
    """What one slice has done, and whether its time is over."""

    def __init__(self, clock: Callable[[], float], tracker: Tracker, base: int) -> None:
        self._clock, self._tracker, self._base = clock, tracker, base
        self._started = clock()
        self.written = self.unchanged = self.unwritten = self.pages = self.removed = 0
        self.refused: list[Rejected] = []

    def wrote(self, told: Written) -> None:
        """A page was written."""
        self.pages += 1
        self.written += len(told.written)
        self.unchanged += len(told.unchanged)
        self.unwritten += len(told.unwritten)
        self._tracker.step(done=self.done, counts={"documents": self.done})

    @property
    def done(self) -> int:
        """Documents of the run as far as it is."""
        return self._base + self.written + self.unchanged

    @property
    def is_over(self) -> bool:
        """True once the next slice should take over."""
        return self._clock() - self._started > SLICE_SECONDS

    @property
    def counts(self) -> dict[str, int]:
        """Documents written, that were there, that Firestore does not take, pages, documents removed, collections that
        were refused.
        """
        return {
            "documents": self.written,
            "unchanged": self.unchanged,
            "unwritten": self.unwritten,
            "pages": self.pages,
            "removed": self.removed,
            "refused": len(self.refused),
        }
