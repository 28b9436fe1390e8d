"""One circuit breaker for whatever is called: what keeps failing is left alone, and callers hear so at once.

    closed      calls go through; FAILURES in a row, one after another, open it
    open        calls fail at once as Unavailable with `retry_after_seconds`, until the pause is over
    half-open   one call goes through: it closes the breaker, or opens it for a pause twice as long

Only Unavailable counts, and not NotNow: whoever answers is well. Its state is its process' own
(docs/decisions/0019-own-circuit-breaker.md says why that is enough).
"""

import random
import threading
import time
from collections.abc import Callable

from shared.errors import NotNow, Unavailable
from shared.runtime import log

FAILURES = 5
FIRST_PAUSE_SECONDS = 1.0
LONGEST_PAUSE_SECONDS = 60.0
PROBE_SECONDS = 60.0
"""A probe that nobody reports on, as its caller is gone, holds the others back no longer than this."""


class Breaker:
    """The breaker of one service; any thread may use it. `spread` in 0..1 shortens pauses, so that instances differ."""

    def __init__(
        self,
        service: str,
        clock: Callable[[], float] = time.monotonic,
        spread: Callable[[], float] = random.random,
    ) -> None:
        self.service = service
        self._clock = clock
        self._spread = spread
        self._lock = threading.Lock()
        self._failures = 0
        self._failed_at = float("-inf")
        self._pause = FIRST_PAUSE_SECONDS
        self._open_until: float | None = None
        self._probe: float | None = None

    @property
    def is_open(self) -> bool:
        """True while it is open or half-open."""
        return self._open_until is not None

    def enter(self) -> float:
        """Begin a call; what it returns goes to `succeeded`, `failed` or `ended`. Unavailable while it is open."""
        began = self._clock()
        if self._open_until is None:
            return began
        with self._lock:
            if self._open_until is None:
                return began
            if began < self._open_until:
                raise Unavailable(
                    "the service failed repeatedly and is left alone for a while",
                    service=self.service,
                    retry_after_seconds=round(self._open_until - began, 1),
                )
            self._probe, self._open_until = began, began + PROBE_SECONDS
        return began

    def ended(self, began: float, error: BaseException | None) -> None:
        """A call ended, well or with an error."""
        if isinstance(error, Unavailable) and not isinstance(error, NotNow):
            self.failed(began)
        else:
            self.succeeded(began)

    def succeeded(self, began: float) -> None:
        """The service answered."""
        if not self._failures:
            return
        with self._lock:
            if self._open_until is None:
                self._failures = 0
            elif began == self._probe:
                self._failures, self._pause = 0, FIRST_PAUSE_SECONDS
                self._open_until = self._probe = None
                log.line("INFO", "circuit breaker closed", service=self.service)

    def failed(self, began: float) -> None:
        """The service did not answer, or could not do it."""
        with self._lock:
            if self._open_until is not None:
                if began == self._probe:
                    self._open()
            elif began >= self._failed_at:
                # Calls under way together fail together, as when their connection breaks: that is one failure.
                self._failures += 1
                self._failed_at = self._clock()
                if self._failures >= FAILURES:
                    self._open()

    def _open(self) -> None:
        # Between half the pause and all of it.
        seconds = self._pause * (1 - self._spread() / 2)
        self._open_until, self._probe = self._clock() + seconds, None
        self._pause = min(2 * self._pause, LONGEST_PAUSE_SECONDS)
        log.line("WARNING", "circuit breaker open", service=self.service, seconds=round(seconds, 2))


class Breakers(dict[str, Breaker]):
    """The breakers of a process by what is called; each is made when it is first asked for."""

    def __missing__(self, service: str) -> Breaker:
        return self.setdefault(service, Breaker(service))
