import base64

import orjson
import pytest

from shared.errors import BadRequest, TooLarge
from shared.runtime.envelope import BODY_LIMIT, open_envelope


def push(data: object, **message: object) -> bytes:
    return orjson.dumps({"message": {"data": data, **message}, "subscription": "projects/p/subscriptions/s"})


def encoded(body: bytes) -> str:
    return base64.b64encode(body).decode()


def test_plain_json_is_the_body():
    envelope = open_envelope(b'{"x": 1}')
    assert (envelope.body, envelope.pushed) == ({"x": 1}, False)


def test_nothing_at_all_is_an_empty_body():
    assert open_envelope(b"").body == {}


def test_push_envelope_is_unwrapped():
    envelope = open_envelope(push(encoded(b'{"x": 1}'), messageId="7", attributes={"correlation_id": "c"}))
    assert (envelope.body, envelope.pushed, envelope.event_id) == ({"x": 1}, True, "7")
    assert (envelope.subscription, envelope.attributes) == ("projects/p/subscriptions/s", {"correlation_id": "c"})


def test_body_that_merely_has_a_message_is_no_push():
    assert open_envelope(b'{"message": {"data": "x"}}').pushed is False


@pytest.mark.parametrize(
    ("raw", "field"),
    [
        (b"{", "body"),
        (b"[]", "body"),
        (b"\xff", "body"),
    ],
)
def test_what_cannot_be_read_names_the_part(raw: bytes, field: str):
    with pytest.raises(BadRequest) as refused:
        open_envelope(raw)
    assert refused.value.fields["field"] == field


@pytest.mark.parametrize("data", ["no base64!", encoded(b"{"), encoded(b"5"), 7])
def test_data_that_cannot_be_read_leaves_what_names_the_message(data: object):
    envelope = open_envelope(push(data, messageId="7"))
    assert (envelope.pushed, envelope.event_id, envelope.body) == (True, "7", {})
    assert envelope.unreadable is not None
    assert envelope.unreadable.fields["field"] == "message.data"


def test_body_above_the_limit_is_too_large():
    with pytest.raises(TooLarge):
        open_envelope(b'{"x": "' + b"x" * BODY_LIMIT + b'"}')


def test_message_of_the_full_size_fits_its_envelope():
    body = b'{"x": "' + b"x" * (BODY_LIMIT - 10) + b'"}'
    assert len(open_envelope(push(encoded(body))).body["x"]) == BODY_LIMIT - 10


def test_body_above_the_limit_is_too_large_even_where_it_is_not_json():
    with pytest.raises(TooLarge):
        open_envelope(b"a" * (BODY_LIMIT + 1))
    with pytest.raises(BadRequest):
        open_envelope(b"a" * BODY_LIMIT)
