"""A vendor's JSON over HTTP: at its pace, with patience, and its answers in Scout's words."""

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import Any, TypeVar

import httpx
import orjson
import stamina
from pyrate_limiter import Duration, Limiter, Rate

from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.deadline import seconds_left

T = TypeVar("T")
ATTEMPTS = 5
PATIENCE_SECONDS = 60.0
CALL_SECONDS = 30.0
LONGEST_PAUSE_SECONDS = 86_400.0
SAID = 300
"""Characters that are kept of a vendor's own words: never its answer to a question about people."""


@dataclass(frozen=True)
class Reason:
    """What the body of an error says: the vendor's name of it, never its words, and when to come back.

    passes: True where it is over in time, whatever the status; pause_seconds: in how many seconds.
    """

    code: str | None = None
    passes: bool = False
    pause_seconds: float | None = None


class Later(Exception):
    """An answer that another try may mend; `pause_seconds` where it says when."""

    def __init__(self, cause: str, pause_seconds: float | None = None) -> None:
        super().__init__(cause)
        self.pause_seconds = pause_seconds


class Rest:
    """One vendor's API.

    vendor: its name in errors. headers: with the credentials, unless `auth` adds them. per_second: requests that it
    allows, of this process. reason: reads the body of an error, which is JSON.
    Raises CredentialsRefused (401, 403), Rejected (what else it refuses for good), or Unavailable once trying again
    (at the time that Retry-After says, or after growing pauses) would last longer than `patience_seconds`.
    """

    def __init__(
        self,
        vendor: str,
        address: str,
        headers: Mapping[str, str],
        *,
        auth: httpx.Auth | None = None,
        reason: Callable[[Any], Reason] = lambda body: Reason(),
        per_second: int | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._vendor = vendor
        self._patience_seconds = patience_seconds
        self._call_seconds = call_seconds
        self._limiter = Limiter(Rate(per_second, Duration.SECOND)) if per_second else None
        self._reason = reason
        self._http = httpx.Client(base_url=address, headers=dict(headers), auth=auth)

    def get(self, path: str, parameters: Mapping[str, Any] | None = None) -> Any:
        """The JSON that a GET answers."""
        return self._ask("GET", path, params=dict(parameters or {}))

    def post(self, path: str, body: Any) -> Any:
        """The JSON that a POST of JSON answers; only for questions that may be asked twice."""
        return self._ask("POST", path, json=body)

    def post_form(self, path: str, fields: Mapping[str, str]) -> Any:
        """The JSON that a POST of a form answers; only for questions that may be asked twice."""
        return self._ask("POST", path, data=dict(fields))

    def close(self) -> None:
        """Close its connections."""
        self._http.close()

    def _ask(self, method: str, path: str, **options: Any) -> Any:
        try:
            return patiently(lambda: self._once(method, path, options), self._patience_seconds)
        except Later as error:
            raise given_up(self._vendor, error) from error

    def _once(self, method: str, path: str, options: Mapping[str, Any]) -> Any:
        if self._limiter is not None:
            self._limiter.try_acquire(self._vendor)
        try:
            answer = self._http.request(method, path, timeout=seconds_left(self._call_seconds), **options)
        except httpx.RequestError as error:
            raise Later(type(error).__name__) from error
        if answer.is_error:
            raise self._refusal(answer)
        try:
            return orjson.loads(answer.content)
        except orjson.JSONDecodeError as error:
            # Cut off on its way, or a page of a proxy.
            raise Later("the answer is not JSON") from error

    def _refusal(self, answer: httpx.Response) -> Exception:
        reason = self._reason(_json(answer))
        if reason.passes or answer.status_code == httpx.codes.TOO_MANY_REQUESTS or answer.is_server_error:
            cause = f"HTTP {answer.status_code}" + (f" {reason.code}" if reason.code else "")
            pause = retry_after(answer.headers)
            return Later(cause, reason.pause_seconds if pause is None else pause)
        said = {"status_given": answer.status_code} | ({"reason_given": reason.code} if reason.code else {})
        if answer.status_code in (httpx.codes.UNAUTHORIZED, httpx.codes.FORBIDDEN):
            return CredentialsRefused(f"{self._vendor} refused the credentials", **said)
        return Rejected(f"{self._vendor} refused the request", **said, cause=_said(answer))


def patiently(ask: Callable[[], T], patience_seconds: float) -> T:
    """What `ask` answers, asked again after each Later: at the time that it says, or after growing pauses.

    The last Later is raised after five attempts, or once the next would be later than `patience_seconds` from now, or
    than somebody waits (shared/sources/deadline.py).
    """
    patience_seconds = seconds_left(patience_seconds)
    until = time.monotonic() + patience_seconds
    for attempt in stamina.retry_context(
        on=lambda error: _pause(error, until),
        attempts=ATTEMPTS,
        timeout=patience_seconds,
        wait_initial=0.5,
        wait_max=15.0,
    ):
        with attempt:
            return ask()
    raise AssertionError("stamina tries at least once")


def given_up(vendor: str, error: Later, **fields: Any) -> Unavailable:
    """A vendor that is not asked any more for now: with when it said to come back, at most a day."""
    pause = error.pause_seconds
    told = {} if pause is None else {"retry_after_seconds": min(pause, LONGEST_PAUSE_SECONDS)}
    return Unavailable(f"{vendor} is not available", cause=str(error), **told, **fields)


def _pause(error: Exception, until: float) -> bool | float:
    """Seconds to wait before trying again; True: as long as usual, False: trying again is no use before `until`."""
    if not isinstance(error, Later):
        return False
    if error.pause_seconds is None:
        return True
    return error.pause_seconds if time.monotonic() + error.pause_seconds <= until else False


def retry_after(headers: Mapping[str, str]) -> float | None:
    """What an answer's Retry-After says, in seconds from now; None where it says nothing that can be understood."""
    said = headers.get("Retry-After", "")
    if said.isdecimal():
        return float(said)
    try:
        return max(0.0, (parsedate_to_datetime(said) - datetime.now(UTC)).total_seconds())
    except (TypeError, ValueError):
        return None


def _json(answer: httpx.Response) -> Any:
    try:
        return orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        return None


def _said(answer: httpx.Response) -> str:
    return answer.text[:SAID]
