"""Vendors' JSON over real HTTP: patience with what may pass, and words for what may not."""

from collections.abc import Iterator
from typing import Any

import pytest

from shared.adapters.rest import ATTEMPTS, LONGEST_PAUSE_SECONDS, Reason, Rest
from shared.errors import CredentialsRefused, Rejected, Unavailable
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
