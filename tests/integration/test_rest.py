"""Vendors' JSON over real HTTP: patience with what may pass, and words for what may not."""

from collections.abc import Iterator
from datetime import date
from typing import Any

import pyrate_limiter.limiter
import pytest
from pyrate_limiter.clocks import MonotonicClock

from shared.adapters.activecampaign import ActiveCampaignSource
from shared.adapters.rest import ATTEMPTS, LONGEST_PAUSE_SECONDS, Reason, Rest
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.deadline import seconds_left, within
from shared.sources.source import Pull
from shared.tenants.records import SourceSettings
from tests.support.vendor import Answer, Vendor, vendor

GOOD = Answer({"n": 1})
SECRET = "key-that-nobody-may-see"


@pytest.fixture
def played() -> Iterator[Vendor]:
    with vendor() as server:
        yield server


def rest(played: Vendor, **options: Any) -> Rest:
    return Rest("Vendor", played.address, {"authorization": f"Bearer {SECRET}"}, **options)


def test_a_question_carries_the_credentials_and_its_parameters(played: Vendor):
    played.answers = [GOOD]
    assert rest(played).get("/things", {"limit": 2}) == {"n": 1}
    (asked,) = played.asked
    assert (asked.method, asked.path, asked.parameters) == ("GET", "/things", {"limit": "2"})
    assert asked.headers["authorization"] == f"Bearer {SECRET}"


@pytest.mark.parametrize(
    "bad",
    [
        Answer(status=429, headers={"Retry-After": "0"}),
        Answer(status=500, headers={"Retry-After": "0"}),
        Answer(status=503, headers={"Retry-After": "Wed, 21 Oct 2015 07:28:00 GMT"}),
        Answer({"n": 12345}, cut=4),
        Answer(b"<html>a proxy's own words</html>"),
    ],
    ids=["429", "500", "503 with a date", "cut off", "not JSON"],
)
def test_what_may_pass_is_tried_again(played: Vendor, bad: Answer):
    played.answers = [bad, GOOD]
    assert rest(played).get("/things") == {"n": 1}
    assert len(played.asked) == 2


def test_an_answer_that_does_not_come_is_tried_again(played: Vendor):
    played.answers = [Answer({}, wait=0.4), GOOD]
    assert rest(played, call_seconds=0.1).get("/things") == {"n": 1}


def test_what_stays_away_is_unavailable_after_a_few_tries(played: Vendor):
    played.answers = [Answer(status=503, headers={"Retry-After": "0"})]
    with pytest.raises(Unavailable, match="Vendor is not available"):
        rest(played).get("/things")
    assert len(played.asked) == ATTEMPTS


@pytest.mark.parametrize(("said", "told"), [("3600", 3_600.0), ("9" * 400, LONGEST_PAUSE_SECONDS)])
def test_an_answer_to_come_back_later_than_one_can_wait_is_unavailable_at_once_and_tells_when(
    played: Vendor, said: str, told: float
):
    played.answers = [Answer(status=429, headers={"Retry-After": said})]
    with pytest.raises(Unavailable) as unavailable:
        rest(played, patience_seconds=0.5).get("/things")
    assert unavailable.value.fields["retry_after_seconds"] == told
    assert len(played.asked) == 1


@pytest.mark.parametrize("status", [401, 403])
def test_credentials_that_are_refused_are_told_and_not_tried_again(played: Vendor, status: int):
    played.answers = [Answer({"error": SECRET}, status=status)]
    with pytest.raises(CredentialsRefused) as refused:
        rest(played).get("/things")
    assert len(played.asked) == 1
    assert SECRET not in f"{refused.value.message} {refused.value.fields}"


def test_what_is_refused_for_good_says_so_in_the_vendors_words(played: Vendor):
    played.answers = [Answer({"error": "no such field"}, status=400)]
    with pytest.raises(Rejected, match="Vendor refused the request") as refused:
        rest(played).post("/things", {"a": 1})
    assert refused.value.fields["cause"] == '{"error":"no such field"}'
    assert len(played.asked) == 1
    assert played.asked[0].body == b'{"a":1}'


def test_a_form_is_posted_as_one(played: Vendor):
    played.answers = [GOOD]
    assert rest(played).post_form("/token", {"grant_type": "refresh_token", "client_id": "a b"}) == {"n": 1}
    (asked,) = played.asked
    assert asked.headers["content-type"] == "application/x-www-form-urlencoded"
    assert asked.body == b"grant_type=refresh_token&client_id=a+b"


def test_the_vendors_own_name_of_an_error_is_told(played: Vendor):
    played.answers = [Answer({"error": {"code": "not_enabled", "words": SECRET}}, status=403)]
    with pytest.raises(CredentialsRefused) as refused:
        rest(played, reason=lambda body: Reason(code=body["error"]["code"])).get("/things")
    assert refused.value.fields == {"status_given": 403, "reason_given": "not_enabled"}


def test_an_error_that_says_when_it_is_over_is_waited_for(played: Vendor):
    played.answers = [Answer({"wait": 0}, status=403), GOOD]
    asked = rest(played, reason=lambda body: Reason(passes=True, pause_seconds=body["wait"]))
    assert asked.get("/things") == {"n": 1}
    played.answers = [Answer({"wait": 3600}, status=429)]
    with pytest.raises(Unavailable):
        asked.get("/things")
    assert len(played.asked) == 3


def test_a_server_that_is_not_there_is_unavailable(played: Vendor):
    with pytest.raises(Unavailable):
        Rest("Vendor", "http://127.0.0.1:1", {}, patience_seconds=0.1).get("/things")


def test_who_waits_for_an_answer_shortens_the_patience_of_every_question(played: Vendor):
    played.answers = [Answer(status=429, headers={"Retry-After": "30"})]
    patient = rest(played, patience_seconds=3600)
    with within(20), pytest.raises(Unavailable):
        patient.get("/things")
    assert len(played.asked) == 1


def test_time_that_is_over_leaves_a_last_second_and_is_not_made_longer():
    with within(-60), within(3600):
        assert seconds_left(20) == 1
    assert seconds_left(20) == 20


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """The limiter's clock, in milliseconds, which its waits move on."""
    now = [0]

    def sleep(seconds: float) -> None:
        now[0] += round(seconds * 1000)

    monkeypatch.setattr(MonotonicClock, "now", lambda self: now[0])
    monkeypatch.setattr(pyrate_limiter.limiter, "sleep", sleep)
    return now


def test_no_more_is_asked_in_a_second_than_the_vendor_allows(played: Vendor, clock: list[int]):
    played.answers, paced = [GOOD], rest(played, per_second=3)
    at = []
    for _ in range(10):
        paced.get("/things")
        at.append(clock[0])
    assert at[:3] == [0, 0, 0]
    assert all(later - earlier >= 1000 for earlier, later in zip(at, at[3:], strict=False))


def test_tenants_of_one_account_of_activecampaign_share_its_five_requests_a_second(played: Vendor, clock: list[int]):
    played.answers = [GOOD]
    source = ActiveCampaignSource.connect(f"{played.address}/{{account}}")
    at: dict[str, list[int]] = {"one": [], "another": []}
    for account in at:
        for number in range(12):
            settings = SourceSettings(account_id=account)
            source.check(Pull(f"tenant_{number}", "run", date(2026, 1, 1), settings, SECRET))
            at[account].append(clock[0])
    assert all(later - earlier >= 1000 for each in at.values() for earlier, later in zip(each, each[5:], strict=False))
    assert at["another"][0] == at["one"][-1], "another account has its own"
