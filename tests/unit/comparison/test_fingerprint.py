from datetime import UTC, datetime, timedelta, timezone
from hashlib import md5

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.comparison.fingerprint import canonical, fingerprint
from shared.errors import BadRequest
from shared.streaming.extension_values import kept_by_the_extension
from shared.streaming.rows import canonical as written
from shared.streaming.values import decode, encode

NAN, INFINITY = float("nan"), float("inf")
AT = datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC)
ENCODED = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"]), max_size=5)
    | st.sampled_from([{"_double": "NaN"}, {"_base64": "AP8="}, {"_reference": "projects/p/databases/d/documents/a/b"}])
    | st.builds(lambda s, n: {"_seconds": s, "_nanoseconds": n * 1000}, st.integers(0, 10**9), st.integers(0, 999_999)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("aäZ😀."), inner, max_size=3),
    max_leaves=10,
)


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (2, 2.0),
        (0.0, -0.0),
        (1, True),
        (0, False),
        ("1", 1),
        (b"a", "a"),
        (b"a", "YQ=="),
        (None, NAN),
        (INFINITY, -INFINITY),
        ({"a": None}, {}),
        ({}, []),
        ([1, 2], [2, 1]),
        (2**53, 2**53 + 1),
        (AT, AT + timedelta(microseconds=1)),
        (AT, AT.isoformat()),
        ("é", "e\u0301"),
    ],
)
def test_different_values_have_different_texts(one, other):
    assert canonical({"v": one}) != canonical({"v": other})


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (NAN, float("nan")),
        (NAN, {"_double": "NaN"}),
        ({"b": 1, "a": {"d": 1, "c": 2}}, {"a": {"c": 2, "d": 1}, "b": 1}),
        (AT, AT.astimezone(timezone(timedelta(hours=5)))),
        (AT, {"_seconds": 1767323045, "_nanoseconds": 678901000}),
        ({"_seconds": 1, "_nanoseconds": 1999}, {"_seconds": 1, "_nanoseconds": 1000}),
        (datetime(1969, 12, 31, 23, 59, 59, 500000, tzinfo=UTC), {"_seconds": -1, "_nanoseconds": 500000000}),
        ((1, 2), [1, 2]),
        (b"\x00\xff", {"_base64": "AP8="}),
    ],
)
def test_equal_values_have_one_text_however_they_are_held(one, other):
    assert canonical({"v": one}) == canonical({"v": other})


@given(st.dictionaries(st.text(max_size=3), ENCODED, max_size=4))
def test_what_a_row_holds_is_canonical_already(encoded):
    text = written(encoded)
    assert canonical(orjson.loads(text)) == text
    assert fingerprint(text) == md5(text).hexdigest()


@given(ENCODED)
def test_values_of_firestore_keep_their_text_through_their_own_types(encoded):
    assert canonical(encode(decode(encoded))) == canonical(encoded)


@pytest.mark.parametrize("value", [object(), datetime(2026, 1, 1), {1, 2}])
def test_what_no_document_holds_is_refused_by_its_type(value):
    with pytest.raises(BadRequest) as refused:
        canonical({"v": value})
    assert refused.value.fields["got"] == type(value).__name__


def test_the_extension_keeps_less():
    document = {
        "bytes": {"_base64": "AA=="},
        "list": [{"_base64": "AA=="}, 1, {"_double": "NaN"}],
        "nan": {"_double": "NaN"},
        "big": 9007199254740993,
        "two": 2.0,
        "zero": -0.0,
        "ref": {"_reference": "projects/p/databases/d/documents/a/b"},
        "own": {"_map": {"_seconds": 1, "_nanoseconds": 2}},
        "flag": True,
    }
    theirs = (
        '{"list":[1,null],"nan":null,"big":9007199254740992,"two":2,"zero":0,"ref":"a/b",'
        '"own":{"_seconds":1,"_nanoseconds":2},"flag":true}'
    )
    assert canonical(kept_by_the_extension(document)) == canonical(kept_by_the_extension(orjson.loads(theirs)))
    assert canonical(kept_by_the_extension({"flag": True})) != canonical(kept_by_the_extension({"flag": 1}))
