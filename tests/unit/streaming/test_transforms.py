"""What a declaration keeps from leaving does not leave: not in a column, not in `data`, not in `old_data`."""

import hashlib
import hmac
from datetime import date
from typing import Annotated, Any

import orjson
import pytest
from google.cloud.firestore_v1.types import Document
from hypothesis import given, settings
from hypothesis import strategies as st
from pydantic import BaseModel, ValidationError, field_validator

from infra.generate import entry
from shared.schema.bigquery import columns
from shared.schema.record import (
    Collection,
    Dropped,
    Hashed,
    Json,
    Key,
    Mark,
    Masked,
    Record,
    Renamed,
    Table,
    Transforms,
    Undeclared,
)
from shared.streaming.change import read_change
from shared.streaming.rows import document_text
from shared.streaming.service import row_of
from shared.streaming.steps import names_of, steps_of
from shared.streaming.streams import Pattern, stream_of
from shared.streaming.tables import typed_columns
from shared.streaming.transforms import HashKeyMissing, HashKeys, hashed, masked, sent
from shared.streaming.values import Value, decode_fields, encode_fields
from shared.streaming.wire import log_wire
from tests.support.streaming import event_body
from tests.unit.streaming.test_values import SCALARS, VALUES

KEYS = HashKeys("a secret of the tests, 32 characters")
NAMES = {"tenant_id": "demo", "document_id": "a"}
PATH = "tenants/demo/people/a"


class Contact(BaseModel):
    """A nested value."""

    kind: str
    email: Hashed[str | None] = None
    phone: Masked[str] | None = None
    note: Dropped[str] = ""
    town: Annotated[str, Renamed("city")] = ""


class Person(Record):
    """Somebody."""

    person_id: Key[str]
    email: Hashed[str]
    phones: list[Masked[str]] = []
    ssn: Dropped[str] = ""
    name: Annotated[Masked[str], Renamed("short_name")] = ""
    born_on: Hashed[date] | None = None
    aliases: Hashed[list[str]] = []
    home: Contact | None = None
    contacts: list[Contact] = []
    by_kind: dict[str, Contact] = {}
    papers: Hashed[Json] = {}
    extra: Json = {}
    city: str = ""

    collection = Collection("tenants/{tenant_id}/people")
    table = Table("aso_tenant_{tenant_id}.people")
    transforms = Transforms(
        drop=("extra.card", "seen.`at.home`"), hash=("extra.owners.email",), rename=(("seen.zip", "postcode"),)
    )


class Things(Undeclared):
    """A collection that nobody declared."""

    collection = Collection("tenants/{tenant_id}/things")
    table = Table("aso_tenant_{tenant_id}.things")
    transforms = Transforms(
        drop=("secret", "deep.*.secret"), hash=("who", "deep.who"), mask=("call", "list.call"), rename=(("old", "new"),)
    )


FULL: dict[str, Any] = {
    "person_id": "a",
    "email": "jane@example.com",
    "phones": ["+49 170 1234567"],
    "ssn": "078-05-1120",
    "name": "Jane van der Doe",
    "born_on": "1990-02-03",
    "aliases": ["jd", "jd", "x"],
    "home": {"kind": "home", "email": "jane@example.com", "phone": "030 1234567", "note": "rings twice", "town": "Ulm"},
    "contacts": [{"kind": "work", "email": None, "phone": "030 7654321"}],
    "by_kind": {"work": {"kind": "work", "email": "jane@example.com"}},
    "papers": {"b": 1, "a": [2.0]},
    "extra": {"card": "4111-1111", "owners": [{"email": "jane@example.com", "n": 2.0}], "n": 9007199254740993},
    "seen": {"at.home": "Long Street 1", "zip": "10115"},
    "city": "Bonn",
}


def decoded(fields, record=Person, old=None, keys=KEYS, names=NAMES):
    """The row of a document, and its columns."""
    change = read_change(event_body(PATH, fields, old, at=10, old_at=5), "e", "2026-01-01T00:00:00Z")
    row = row_of(change, record, names, keys)
    return row, log_wire(record).read(row.data)


def hash_of(text, tenant="demo"):
    secret = hmac.digest(b"a secret of the tests, 32 characters", f"scout/{tenant}".encode(), "sha256")
    return hmac.new(secret, text.encode(), hashlib.sha256).hexdigest()


def test_typed_columns_hold_what_may_leave():
    row, found = decoded(FULL)
    jane = hash_of('"jane@example.com"')
    assert row.refused_reason is None
    assert (found.email, found.short_name, found.city) == (jane, "*** Doe", "Bonn")
    assert found.born_on == hash_of('"1990-02-03"')
    assert list(found.aliases) == [hash_of('"jd"'), hash_of('"jd"'), hash_of('"x"')]
    assert list(found.phones) == ["***567"]
    assert found.papers == hash_of('{"a":[2.0],"b":1}')
    assert (found.home.kind, found.home.email, found.home.phone, found.home.city) == ("home", jane, "***67", "Ulm")
    assert (found.contacts[0].phone, found.contacts[0].HasField("email")) == ("***21", False)
    assert orjson.loads(found.by_kind) == {"work": {"kind": "work", "email": jane}}
    assert orjson.loads(found.extra) == {"owners": [{"email": jane, "n": 2.0}], "n": 9007199254740993}


def test_data_and_old_data_hold_the_same_and_the_names_of_columns():
    _, found = decoded(FULL, old=FULL)
    data = orjson.loads(found.data)
    assert found.old_data == found.data
    assert data["email"] == found.email
    assert data["short_name"] == found.short_name
    assert data["home"] == {"kind": "home", "email": found.email, "phone": "***67", "city": "Ulm"}
    assert data["contacts"] == [{"kind": "work", "email": None, "phone": "***21"}]
    assert data["seen"] == {"postcode": "10115"}
    assert not {"ssn", "name"} & set(data)


def test_a_dropped_field_has_no_column_and_a_hashed_one_is_text():
    made = {column.name: column for column in typed_columns(Person)}
    assert not {"ssn", "name"} & set(made)
    assert [(made[name].type, made[name].mode) for name in ("email", "born_on", "aliases", "papers", "phones")] == [
        ("STRING", "NULLABLE"), ("STRING", "NULLABLE"), ("STRING", "REPEATED"), ("STRING", "NULLABLE"),
        ("STRING", "REPEATED"),
    ]  # fmt: skip
    assert [column.name for column in made["home"].fields] == ["kind", "email", "phone", "city"]


def test_a_hashed_or_masked_field_that_a_document_lacks_is_null_or_empty():
    _, found = decoded({"person_id": "a", "email": "x@y.z", "contacts": [{"kind": "a"}]})
    assert not any(found.HasField(name) for name in ("short_name", "born_on", "papers", "home"))
    assert (list(found.aliases), list(found.phones), found.contacts[0].HasField("email")) == ([], [], False)


def test_documents_are_validated_as_they_are_and_refused_ones_are_transformed_all_the_same():
    row, found = decoded({**FULL, "born_on": "no date"})
    assert row.refused_reason == "born_on: Input should be a valid date or datetime, input is too short"
    assert not found.HasField("email")
    assert orjson.loads(found.data)["born_on"] == hash_of('"no date"')
    assert b"jane" not in row.data


CLEAR = "Zq7Xw9Kp2Vb4Nc6M"
PLACES = st.sampled_from(
    [
        {"email": CLEAR}, {"phones": [CLEAR, CLEAR]}, {"ssn": CLEAR}, {"name": CLEAR}, {"aliases": [CLEAR]},
        {"home": {"kind": "a", "email": CLEAR, "phone": CLEAR, "note": CLEAR}}, {"home": CLEAR}, {"home": [CLEAR]},
        {"contacts": [{"kind": "a", "email": CLEAR}, {"note": [CLEAR]}, CLEAR]}, {"by_kind": {"x": {"phone": CLEAR}}},
        {"by_kind": CLEAR}, {"by_kind": {"x": CLEAR}}, {"papers": {CLEAR: [CLEAR]}}, {"extra": {"card": {CLEAR: 1}}},
        {"extra": {"owners": [[{"email": CLEAR}]]}}, {"extra": {"owners": CLEAR}}, {"seen": CLEAR},
        {"email": {"nested": [{"deep": CLEAR}]}}, {"born_on": CLEAR}, {"ssn": {"_base64": "WnE3WHc5"}},
        {"email": {"_reference": f"projects/p/databases/d/documents/a/{CLEAR}"}}, {"seen": {"at.home": CLEAR}},
    ]
)  # fmt: skip


@given(st.lists(PLACES, min_size=1, max_size=4), st.lists(PLACES, max_size=4), st.booleans())
def test_no_clear_value_of_a_marked_field_is_anywhere_in_a_row(new, old, valid):
    base = FULL if valid else {}
    merged, before = base.copy(), base.copy()
    for place in new:
        merged |= place
    for place in old:
        before |= place
    row, _ = decoded(merged, old=before)
    text = row.data.decode("utf-8", "replace")
    assert CLEAR not in text
    assert "WnE3WHc5" not in text
    assert CLEAR not in (row.refused_reason or "")


@settings(max_examples=40)
@given(st.dictionaries(st.sampled_from(["who", "call", "secret", "old", "new", "deep", "list", "more"]), VALUES))
def test_whatever_a_document_holds_an_undeclared_record_of_it_is_made_and_repeats(fields):
    found = sent(fields, Things, NAMES, KEYS)
    assert "secret" not in found
    assert encode_fields(sent(fields, Things, NAMES, KEYS)) == encode_fields(found) or "NaN" in str(found)
    assert fields.get("more") is found.get("more")


@given(SCALARS)
def test_equal_values_have_equal_hashes_and_nulls_stay_null(value):
    copy = Value()
    copy.CopyFrom(value)
    assert hashed(value, b"key") == hashed(copy, b"key")
    (found,) = sent({"who": value}, Things, NAMES, KEYS).values()
    assert found.WhichOneof("value_type") == (
        "null_value" if value.WhichOneof("value_type") == "null_value" else "string_value"
    )


def test_types_are_told_apart_and_the_order_of_keys_is_not():
    values = [Value(integer_value=2), Value(double_value=2.0), Value(string_value="2"), Value(bytes_value=b"2")]
    assert len({hashed(value, b"key") for value in values}) == 4
    one, other = (decode_fields({"m": {name: 1 for name in names}})["m"] for names in ("abc", "cba"))
    assert hashed(one, b"key") == hashed(other, b"key")


def test_hashes_of_two_tenants_cannot_be_joined():
    ours, theirs = (decoded(FULL, names={**NAMES, "tenant_id": tenant})[1].email for tenant in ("demo", "other"))
    assert ours == hash_of('"jane@example.com"')
    assert theirs == hash_of('"jane@example.com"', "other")
    assert ours != theirs


def test_in_a_collection_that_tenants_share_the_documents_own_tenant_has_the_key():
    class Words(Undeclared):
        """Of all tenants."""

        collection = Collection("words")
        table = Table("d.words")
        transforms = Transforms(hash=("who",))

    for tenant in ("demo", "other"):
        text = document_text(decode_fields({"who": "jane", "tenant_id": tenant}), Words, {}, KEYS)
        assert orjson.loads(text)["who"] == hash_of('"jane"', tenant)
    assert orjson.loads(document_text(decode_fields({"who": "jane"}), Words, {}, KEYS))["who"] == hash_of('"jane"', "")


@pytest.mark.parametrize("secret", ["", "too short to be one"])
def test_without_a_key_nothing_leaves_and_the_event_is_retried(secret):
    with pytest.raises(HashKeyMissing) as raised:
        decoded(FULL, keys=HashKeys(secret))
    assert raised.value.fields["setting"] == "SCOUT_HASH_KEY"
    assert "too short" not in str(raised.value.fields)


def test_a_key_is_asked_for_only_where_one_is_needed():
    class Quiet(Undeclared):
        """Drops and masks."""

        collection = Collection("quiet")
        table = Table("d.quiet")
        transforms = Transforms(drop=("a",), mask=("b",))

    found = orjson.loads(document_text(decode_fields({"a": 1, "b": "abcdefgh", "c": 3}), Quiet, {}))
    assert found == {"b": "***gh", "c": 3}


@pytest.mark.parametrize(
    ("text", "shape"),
    [
        ("jane.doe@mail.example.co.uk", "j***@m***.uk"),
        ("+49 170 1234567", "***567"),
        ("4111 1111 1111 1111", "***1111"),
        ("a name that is rather long", "***long"),
        ("Jane", "***e"),
        ("abc", "***"),
        ("", "***"),
        ("a@b", "***"),
        ("two words@example.com", "***.com"),
    ],
)
def test_a_mask_keeps_the_shape_only(text, shape):
    assert masked(text) == shape


def test_what_is_masked_and_no_text_is_null_but_keeps_its_place():
    fields = decode_fields(
        {"call": {"n": 7, "t": "abcdefgh", "l": [1, "abcd", None], "at": {"_seconds": 1, "_nanoseconds": 0}}}
    )
    assert encode_fields(sent(fields, Things, NAMES, KEYS)) == {
        "call": {"n": None, "t": "***gh", "l": [None, "***d", None], "at": None}
    }


def test_a_path_that_meets_no_map_on_its_way_hides_what_is_there():
    fields = decode_fields({"deep": "was a text once", "list": [{"call": "abcdefgh"}, "abcd", [{"call": 1}], None]})
    assert encode_fields(sent(fields, Things, NAMES, KEYS)) == {
        "deep": None, "list": [{"call": "***gh"}, None, [{"call": None}], None]
    }  # fmt: skip


def test_every_key_of_a_map_is_meant_by_a_star_named_ones_too():
    fields = decode_fields({"deep": {"who": {"secret": 1, "a": 2}, "x": {"secret": 3, "b": 4}}})
    found = encode_fields(sent(fields, Things, NAMES, KEYS))["deep"]
    assert found["x"] == {"b": 4}
    assert isinstance(found["who"], str)


def test_a_field_keeps_its_name_where_the_document_has_one_of_the_new_name():
    assert encode_fields(sent(decode_fields({"old": 1, "z": 2}), Things, NAMES, KEYS)) == {"new": 1, "z": 2}
    assert encode_fields(sent(decode_fields({"old": 1, "new": 2}), Things, NAMES, KEYS)) == {"old": 1, "new": 2}


def test_what_is_left_of_a_map_that_looks_like_a_value_of_its_own_is_still_a_map():
    class Left(Undeclared):
        """Drops what told a map from bytes."""

        collection = Collection("left")
        table = Table("d.left")
        transforms = Transforms(drop=("m.other",))

    fields = decode_fields({"m": {"_base64": "x", "other": 1}})
    assert document_text(fields, Left, {}) == b'{"m":{"_map":{"_base64":"x"}}}'


def test_the_documents_own_fields_are_left_as_they_are():
    fields = decode_fields(FULL)
    before = encode_fields(fields)
    document_text(fields, Person, NAMES, KEYS)
    assert encode_fields(fields) == before


def test_a_document_that_was_read_has_the_same_text_as_one_of_an_event():
    read = Document.pb()()
    for name, value in decode_fields(FULL).items():
        read.fields[name].MergeFromString(value.SerializeToString())
    assert document_text(read.fields, Person, NAMES, KEYS) == decoded(FULL)[1].data.encode()


def test_marks_inside_optionals_and_lists_are_marks():
    assert Person.marked(Mark.HASHED) == ("email", "born_on", "aliases", "papers")
    assert Person.marked(Mark.PERSONAL) == ("email", "phones", "ssn", "name", "born_on", "aliases", "papers")


def test_a_record_without_transforms_has_no_steps_and_its_fields_are_handed_through():
    class Open(Record):
        """Nothing to hide."""

        name: str
        collection = Collection("open")
        table = Table("d.open")

    fields = decode_fields({"name": "x"})
    assert steps_of(Open) == {}
    assert sent(fields, Open, {}) is fields


@pytest.mark.parametrize(
    ("path", "names"),
    [("a", ("a",)), ("address.street", ("address", "street")), ("`a.b`.`c\\`d`.*", ("a.b", "c`d", "*"))],
)
def test_paths_are_written_as_in_firestore(path, names):
    assert names_of(path) == names


@pytest.mark.parametrize("path", ["", ".", "a.", ".a", "a..b", "`a", "a`b`", "``"])
def test_a_path_that_is_none_is_refused(path):
    with pytest.raises(ValueError, match="is not the path of a field"):
        names_of(path)


def declared(**fields):
    return type("Wrong", (Record,), {"__doc__": "Wrong.", "__module__": __name__, **fields})


STREAMED: dict[str, Any] = {"collection": Collection("tenants/{tenant_id}/w"), "table": Table("d_{tenant_id}.w", "day")}


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"__annotations__": {"n": Masked[int]}, **STREAMED}, "Wrong.n: only text can be masked"),
        ({"__annotations__": {"i": Hashed[Key[str]]}, **STREAMED}, "Wrong.i: its value is in the document's path"),
        ({"__annotations__": {"tenant_id": Hashed[str]}, **STREAMED}, "Wrong.tenant_id: its value is in"),
        ({"__annotations__": {"day": Dropped[date]}, **STREAMED}, "Wrong.day: the table is partitioned or clustered"),
        ({"__annotations__": {"n": Hashed[int]}}, "Wrong.n: only what is streamed can be hashed"),
        (
            {"__annotations__": {"a": Annotated[str, Renamed("b")], "b": str}, **STREAMED},
            "Wrong: two fields leave under one name",
        ),
        (
            {"__annotations__": {"a": str}, **STREAMED, "transforms": Transforms(hash=("a",))},
            "Wrong.a: mark the declared field instead",
        ),
        ({"__annotations__": {"group": str}, **STREAMED}, "BigQuery takes no column named group; give it another"),
        ({"__annotations__": {"größe": int, "Partition_": str}, **STREAMED}, "takes no column named größe; "),
        ({**STREAMED, "transforms": Transforms(hash=("a.b",), drop=("a.b",))}, "transformed in two ways"),
        ({**STREAMED, "transforms": Transforms(rename=(("a", "c"), ("b", "c")))}, "two fields leave as c"),
    ],
)
def test_a_declaration_that_cannot_keep_what_it_promises_is_refused(fields, said):
    with pytest.raises(TypeError, match=said):
        steps_of(declared(**fields))


def test_a_pattern_says_the_same_by_paths():
    pattern = Pattern.model_validate(
        {
            "path": "tenants/{tenant_id}/{collection}",
            "table": "aso_tenant_{tenant_id}.{collection}",
            "hash": ["who"],
            "drop": ["secret"],
            "rename": {"old": "new"},
        }
    )
    assert Pattern.model_validate(pattern.model_dump()) == pattern
    assert pattern.model_dump()["rename"] == {"old": "new"}
    record = stream_of("tenants/demo/people", patterns=(pattern,)).record
    assert record is stream_of("tenants/demo/people", patterns=(pattern.model_copy(),)).record
    row, found = decoded({"who": "jane", "secret": 1, "old": 2}, record)
    assert found.data == f'{{"new":2,"who":"{hash_of(chr(34) + "jane" + chr(34))}"}}'
    assert row.refused_reason is None


@pytest.mark.parametrize(
    ("paths", "said"),
    [
        ({"hash": ["a..b"]}, "'a..b' is not the path of a field"),
        ({"hash": ["a"], "drop": ["a"]}, "a field is transformed in two ways"),
        ({"rename": ["a"]}, "rename"),
    ],
)
def test_a_pattern_with_paths_that_mean_nothing_is_refused(paths, said):
    with pytest.raises(ValidationError, match=said):
        Pattern.model_validate({"path": "a", "table": "d.a", **paths})


def test_the_data_dictionary_says_what_does_not_leave_as_it_is():
    said = "\n".join(entry(Person))
    assert "| `email` | STRING | yes | personal, hashed |" in said
    assert "| `short_name` | STRING | yes | personal, masked, renamed from `name` |" in said
    assert "| `ssn` | none |  | personal, dropped |" in said
    assert "- Before it leaves for BigQuery, hash: extra.owners.email" in said


class Careless(Record):
    """Its validator quotes the value, and its map's keys are values."""

    name: str = ""
    by_email: dict[str, int] = {}

    collection = Collection("tenants/{tenant_id}/careless")
    table = Table("aso_tenant_{tenant_id}.careless")

    @field_validator("name")
    @classmethod
    def _known(cls, name: str) -> str:
        if name:
            raise ValueError(f"nobody knows {name}")
        return name


def test_reasons_hold_no_values():
    row, _ = decoded({"name": "Jane", "by_email": {"jane@example.com": "x"}}, Careless)
    assert row.refused_reason == (
        "name: is not valid; by_email.*: Input should be a valid integer, unable to parse string as an integer"
    )


def test_a_field_whose_name_bigquery_reserves_has_a_column_of_another():
    record = declared(__annotations__={"group": Annotated[str, Renamed("group_name")]}, **STREAMED)
    row, found = decoded({"group": "a"}, record)
    assert (row.refused_reason, found.group_name, found.data) == (None, "a", '{"group_name":"a"}')


def test_columns_of_records_that_hide_nothing_are_as_they_were():
    class Plain(Record):
        """Plain."""

        name: str | None = None
        table = Table("d.plain")

    assert [(column.name, column.type, column.mode) for column in columns(Plain)][0] == ("name", "STRING", "NULLABLE")
