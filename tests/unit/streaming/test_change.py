"""What an event says about its document."""

import base64

import pytest

from shared.streaming.change import EventData, LeftOut, UnreadableEvent, about, read_change
from tests.support.streaming import BEGAN, VALID, event_body

MICROS = int(BEGAN.timestamp()) * 1_000_000
PATH = "tenants/demo/notes/a"
WRITE = event_body(PATH, VALID, at=10)


def read(body, time="2026-01-01T00:00:00Z"):
    return read_change(body, "e", time)


@pytest.mark.parametrize("body", [WRITE, base64.b64encode(WRITE), base64.b64encode(WRITE).decode()])
def test_protobuf_is_read_raw_and_as_the_emulators_base64(body):
    change = read(body)
    assert (change.operation, change.path, change.database) == ("CREATE", PATH, "(default)")
    assert change.document_name.endswith(f"/databases/(default)/documents/{PATH}")
    assert (change.version, change.deleted, change.timestamp) == (MICROS + 10, False, MICROS + 10)


def test_a_delete_has_the_version_of_what_it_deleted():
    change = read(event_body(PATH, old=VALID, old_at=10))
    assert (change.operation, change.version, change.deleted) == ("DELETE", MICROS + 10, True)


def test_a_delete_sorts_after_its_write_for_the_extensions_views_though_event_times_have_whole_seconds():
    assert read(event_body(PATH, old=VALID, old_at=10)).timestamp == MICROS + 11
    assert read(event_body(PATH, old=VALID, old_at=10), "2026-01-01T00:00:02Z").timestamp == MICROS + 2_000_000


def test_an_update_has_both_documents():
    change = read(event_body(PATH, VALID, VALID, at=20, old_at=10))
    assert (change.operation, change.version) == ("UPDATE", MICROS + 20)
    assert change.old_fields is not None


def test_a_write_that_changed_nothing_is_no_change():
    assert read(event_body(PATH, VALID, VALID, at=10, old_at=10)) is None


def test_a_delete_of_what_never_was_is_no_change():
    assert read(b"") is None
    assert read(event_body(PATH)) is None


@pytest.mark.parametrize("body", [b"\x0agarbage", b"{}", b"\xff\xff", b"\x0a\x03\x0a\x01x", "ä", 7])
def test_anything_else_is_unreadable(body):
    with pytest.raises(UnreadableEvent):
        read(body)


def test_a_delete_after_the_time_to_live_is_an_expiry():
    past = {**VALID, "expires_at": {"_seconds": int(BEGAN.timestamp()) - 1, "_nanoseconds": 0}}
    later = {**VALID, "expires_at": {"_seconds": int(BEGAN.timestamp()) + 60, "_nanoseconds": 0}}
    assert read(event_body(PATH, old=past, old_at=10)).expired("expires_at")
    assert not read(event_body(PATH, old=later, old_at=10)).expired("expires_at")
    assert not read(event_body(PATH, old=VALID, old_at=10)).expired("expires_at")
    assert not read(event_body(PATH, old=past, old_at=10)).expired(None)
    assert not read(event_body(PATH, past, past, at=20, old_at=10)).expired("expires_at")


NAME = f"projects/test-project/databases/(default)/documents/{PATH}"


def without(body, *parts, mask=()):
    """The event with parts left out: a document's fields and times, or all of it."""
    data = EventData()
    data.ParseFromString(body)
    for part in parts:
        document, _, what = part.partition(".")
        if what:
            for field in ("fields", "create_time", "update_time"):
                getattr(data, document).ClearField(field)
        else:
            data.ClearField(document)
    data.update_mask.field_paths.extend(mask)
    return data.SerializeToString()


BOTH = event_body(PATH, VALID, VALID, at=20, old_at=10)
GONE = event_body(PATH, old=VALID, old_at=10)


@pytest.mark.parametrize(
    "body",
    [
        without(WRITE, "value.fields"),
        without(BOTH, "value.fields"),
        without(BOTH, "value", mask=("title",)),
        without(BOTH, "value.fields", "old_value.fields"),
        without(GONE, "old_value.fields"),
        without(WRITE, "value"),
        b"",
    ],
    ids=["created", "updated", "updated, no value", "updated, neither", "deleted", "created, empty", "empty"],
)
def test_a_document_that_was_left_out_of_its_event_is_to_be_read_again(body):
    assert read_change(body, "e", None, NAME) == LeftOut("e", NAME)


def test_an_update_whose_old_document_was_left_out_has_none():
    change = read(without(BOTH, "old_value.fields"))
    assert (change.operation, change.old_fields) == ("UPDATE", None)
    assert change.fields["title"].string_value == "One"


def test_an_empty_document_was_not_left_out():
    assert read(event_body(PATH, {}, at=10)).operation == "CREATE"
    assert read(event_body(PATH, old={}, old_at=10)).operation == "DELETE"


def test_the_attributes_of_an_event_name_its_document():
    attributes = {"project": "test-project", "database": "(default)", "document": PATH}
    assert about(attributes) == about({f"ce-{name}": value for name, value in attributes.items()}, "ce-") == NAME
    assert about({"project": "test-project"}) == ""
