"""What ActiveCampaign's webhooks tell, and which are believed to be its own."""

from datetime import UTC, datetime, timedelta
from urllib.parse import urlencode

import pytest

from shared.errors import BadRequest, Unauthenticated
from shared.sources.activecampaign_webhook import MAX_AGE, notices
from shared.sources.webhook import Delivery

SECRET = "a-secret-of-thirty-two-characters"
NOW = datetime(2026, 11, 21, 12, tzinfo=UTC)
FORM = {
    "type": "subscribe",
    "date_time": "2026-11-21T05:58:00-06:00",
    "initiated_by": "contact",
    "list": "1",
    "contact[id]": "7",
    "contact[email]": "reader-7@example.com",
}


def delivery(secret: str | None = SECRET, body: bytes | None = None, **changes: str | None) -> Delivery:
    form = {name: value for name, value in (FORM | changes).items() if value is not None}
    sent = urlencode(form).encode() if body is None else body
    return Delivery(sent, {"content-type": "application/x-www-form-urlencoded"}, {"secret": secret} if secret else {})


@pytest.mark.parametrize(
    ("event", "told"),
    [
        ("subscribe", ["contacts/7"]),
        ("unsubscribe", ["contacts/7", "campaigns/12"]),
        ("update", ["contacts/7"]),
        ("bounce", ["contacts/7", "campaigns/12"]),
        ("sent", ["campaigns/12"]),
        ("open", ["campaigns/12"]),
        ("click", ["campaigns/12"]),
        ("deal_add", []),
    ],
)
def test_an_event_tells_which_objects_to_fetch(event: str, told: list[str]):
    found = notices(delivery(type=event, **{"campaign[id]": "12"}), SECRET, NOW)
    assert [one.object_id for one in found] == told
    assert {one.event_type for one in found} <= {event}


@pytest.mark.parametrize("campaign", [None, "0", ""])
def test_who_leaves_without_a_campaign_is_fetched_alone(campaign: str | None):
    found = notices(delivery(type="unsubscribe", **{"campaign[id]": campaign}), SECRET, NOW)
    assert [one.object_id for one in found] == ["contacts/7"]


def test_the_same_words_are_the_same_event_and_others_are_another():
    [one], [again] = notices(delivery(), SECRET, NOW), notices(delivery(), SECRET, NOW + timedelta(hours=1))
    [other] = notices(delivery(date_time="2026-11-21T05:58:01-06:00"), SECRET, NOW)
    assert one == again
    assert one.event_id != other.event_id


@pytest.mark.parametrize(
    ("given", "secret"),
    [("other", SECRET), (None, SECRET), ("", SECRET), ("", ""), (None, ""), ("naïve", SECRET), ("s" * 31, "s" * 31)],
)
def test_an_address_without_the_secret_is_nobodys(given: str | None, secret: str):
    with pytest.raises(Unauthenticated) as refused:
        notices(delivery(given), secret, NOW)
    assert SECRET not in f"{refused.value.message} {refused.value.fields}"


def test_what_is_long_ago_is_a_copy_and_what_is_just_not_is_taken():
    at = datetime.fromisoformat(FORM["date_time"])
    assert notices(delivery(), SECRET, at + MAX_AGE)
    with pytest.raises(Unauthenticated, match="long ago"):
        notices(delivery(), SECRET, at + MAX_AGE + timedelta(seconds=1))


def test_a_time_without_a_zone_and_no_time_are_taken():
    assert notices(delivery(date_time="2026-11-21 05:58:00"), SECRET, NOW)
    assert notices(delivery(date_time=None), SECRET, NOW)


@pytest.mark.parametrize(
    ("changes", "field"),
    [
        ({"type": None}, "type"),
        ({"date_time": "yesterday"}, "date_time"),
        ({"contact[id]": None}, "contact[id]"),
        ({"contact[id]": "7/../8"}, "contact[id]"),
        ({"contact[id]": "٧"}, "contact[id]"),
        ({"type": "open"}, "campaign[id]"),
        ({"body": b"\xff\xfe"}, "body"),
        ({"body": b""}, "type"),
        ({"body": b'{"type": "subscribe"}'}, "type"),
    ],
)
def test_a_form_that_cannot_be_read_is_answered_with_the_fields_name(changes: dict[str, object], field: str):
    with pytest.raises(BadRequest) as bad:
        notices(delivery(**changes), SECRET, NOW)  # type: ignore[arg-type]
    assert [error["field"] for error in bad.value.fields["errors"]] == [field]
