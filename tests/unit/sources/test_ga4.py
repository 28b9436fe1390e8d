"""How long the GA4 adapter waits before it asks again."""

import time
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any

import pytest
import requests
from google.api_core import exceptions

from shared.adapters.ga4 import _pause

FAR = time.monotonic() + 3600


def refused(status: int, **headers: str) -> Exception:
    """An answer as Google's client raises it."""
    response: Any = requests.Response()
    response.status_code = status
    response.request = requests.Request("POST", "http://ga4.test/").prepare()
    response.headers.update({name.replace("_", "-"): value for name, value in headers.items()})
    error: Exception = exceptions.from_http_response(response)
    return error


def test_answer_that_says_when_to_come_back_is_believed():
    assert _pause(refused(429, retry_after="7"), FAR) == 7.0
    assert _pause(refused(503, retry_after="0"), FAR) == 0.0


def test_day_and_time_are_understood_too():
    soon = format_datetime(datetime.now(UTC) + timedelta(seconds=30), usegmt=True)
    assert 0 < _pause(refused(429, retry_after=soon), FAR) <= 30
    past = format_datetime(datetime.now(UTC) - timedelta(days=1), usegmt=True)
    assert _pause(refused(429, retry_after=past), FAR) == 0.0


def test_coming_back_too_late_is_no_use():
    assert _pause(refused(429, retry_after="3600"), time.monotonic() + 60) is False


@pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
def test_answer_that_does_not_say_is_followed_by_the_usual_pause(status: int):
    assert _pause(refused(status), FAR) is True
    assert _pause(refused(status, retry_after="soon"), FAR) is True


def test_lost_connection_is_followed_by_the_usual_pause():
    assert _pause(requests.exceptions.ConnectionError(), FAR) is True


@pytest.mark.parametrize("status", [400, 401, 403, 404])
def test_refusal_for_good_is_not_asked_again(status: int):
    assert _pause(refused(status, retry_after="1"), FAR) is False
