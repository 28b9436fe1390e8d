"""Access tokens of Google accounts over real HTTP: one exchange for many requests, and clear words where it fails."""

import json
from collections.abc import Iterator
from datetime import date

import httpx
import pytest

from infra.local.vendors.google_oauth import ACCESS_TOKEN, CLIENT_ID, CLIENT_SECRET, LASTS_SECONDS, REFRESH_TOKEN
from shared.adapters.google_oauth import MARGIN_SECONDS, Account, GoogleOAuth
from shared.errors import CredentialsRefused, Unavailable
from tests.support.vendor import Answer, vendor
from tests.support.vendors import Vendors, vendors

GOOD = {"client_id": CLIENT_ID, "client_secret": CLIENT_SECRET, "refresh_token": REFRESH_TOKEN}
ACCOUNT = Account(**GOOD)


@pytest.fixture(scope="module")
def google() -> Iterator[Vendors]:
    with vendors(date(2026, 11, 21), "google_oauth") as running:
        yield running


@pytest.fixture
def exchanges(google: Vendors):
    """How many tokens were asked for since the test began."""
    before = len(google.served("google_oauth"))
    return lambda: len(google.served("google_oauth")) - before


def test_a_token_is_kept_until_shortly_before_it_ends(google: Vendors, exchanges):
    now = 0.0
    accounts = GoogleOAuth(f"{google.address}/token", clock=lambda: now)
    assert accounts.token(ACCOUNT) == accounts.token(ACCOUNT) == ACCESS_TOKEN
    now = LASTS_SECONDS - MARGIN_SECONDS - 1
    accounts.token(ACCOUNT)
    assert exchanges() == 1
    now += 2
    accounts.token(ACCOUNT)
    assert exchanges() == 2


@pytest.mark.parametrize(
    ("changed", "reason"),
    [({"refresh_token": "revoked"}, "invalid_grant"), ({"client_secret": "other"}, "invalid_client")],
)
def test_an_account_that_google_takes_no_more_is_told_by_googles_name_of_it(
    google: Vendors, exchanges, changed, reason
):
    with pytest.raises(CredentialsRefused) as refused:
        GoogleOAuth(f"{google.address}/token").token(Account(**(GOOD | changed)))
    assert refused.value.fields["reason_given"] == reason
    assert exchanges() == 1
    assert not any(secret in str(refused.value.fields) for secret in (GOOD | changed).values())


def test_what_may_pass_is_tried_again(google: Vendors, exchanges):
    google.control("google_oauth", fail_next=[503], retry_after_seconds=0)
    assert GoogleOAuth(f"{google.address}/token").token(ACCOUNT) == ACCESS_TOKEN
    assert exchanges() == 2


def test_an_answer_without_a_token_is_unavailable():
    with vendor() as odd:
        odd.answers = [Answer({"token_type": "Bearer"})]
        with pytest.raises(Unavailable, match="gave no token"):
            GoogleOAuth(odd.address).token(ACCOUNT)


@pytest.mark.parametrize(
    ("credentials", "wrong"),
    [
        ("no JSON at all", []),
        (json.dumps({**GOOD, "client_secret": ""}), ["client_secret"]),
        (json.dumps({"client_id": CLIENT_ID, "secret-name": "x"}), ["client_secret", "refresh_token"]),
    ],
)
def test_credentials_that_cannot_be_read_name_what_is_wrong_and_no_value(credentials: str, wrong: list[str]):
    with pytest.raises(CredentialsRefused) as refused:
        Account.read(credentials)
    assert refused.value.fields == {
        "expected": "JSON: client_id, client_secret, refresh_token",
        "fields_wrong": wrong,
    }


def test_a_token_that_ends_before_its_time_is_exchanged_once_more(google: Vendors, exchanges):
    with vendor() as api:
        auth = GoogleOAuth(f"{google.address}/token").auth(json.dumps(GOOD))
        api.answers = [Answer({}, status=401), Answer({"n": 1})]
        with httpx.Client(auth=auth, trust_env=False) as client:
            assert client.get(api.address).json() == {"n": 1}
            api.answers = [Answer({}, status=401)]
            assert client.get(api.address).status_code == 401
        assert [asked.headers["authorization"] for asked in api.asked] == [f"Bearer {ACCESS_TOKEN}"] * 4
    assert exchanges() == 3
