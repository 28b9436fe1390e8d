"""Firestore values survive the way through JSON."""

import math

import orjson
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.errors import BadRequest
from shared.streaming.rows import canonical as canonical_text
from shared.streaming.values import Value, decode, decode_fields, encode, encode_fields, python


def timestamp(seconds: int, nanos: int) -> Value:
    value = Value()
    value.timestamp_value.SetInParent()
    value.timestamp_value.seconds, value.timestamp_value.nanos = seconds, nanos
    return value


def point(latitude: float, longitude: float) -> Value:
    value = Value()
    value.geo_point_value.SetInParent()
    value.geo_point_value.latitude, value.geo_point_value.longitude = latitude, longitude
    return value


def array(items: list[Value]) -> Value:
    value = Value()
    value.array_value.SetInParent()
    value.array_value.values.extend(items)
    return value


def mapping(fields: dict[str, Value]) -> Value:
    value = Value()
    value.map_value.SetInParent()
    for name, item in fields.items():
        value.map_value.fields[name].CopyFrom(item)
    return value


def vector(numbers: list[float]) -> Value:
    return mapping(
        {
            "__type__": Value(string_value="__vector__"),
            "value": array([Value(double_value=number) for number in numbers]),
        }
    )


DOUBLES = st.floats(allow_nan=True, allow_infinity=True)
TAG_NAMES = [
    "_seconds",
    "_nanoseconds",
    "_latitude",
    "_longitude",
    "_values",
    "_base64",
    "_reference",
    "_double",
    "_map",
]
NAMES = st.one_of(st.sampled_from(TAG_NAMES), st.text(min_size=1, max_size=8))
SCALARS = st.one_of(
    st.just(Value(null_value=0)),
    st.booleans().map(lambda v: Value(boolean_value=v)),
    st.integers(-(2**63), 2**63 - 1).map(lambda v: Value(integer_value=v)),
    DOUBLES.map(lambda v: Value(double_value=v)),
    st.text(max_size=20).map(lambda v: Value(string_value=v)),
    st.binary(max_size=20).map(lambda v: Value(bytes_value=v)),
    st.builds(timestamp, st.integers(-62135596800, 253402300799), st.integers(0, 999_999_999)),
    st.builds(point, st.floats(-90, 90), st.floats(-180, 180)),
    st.text(max_size=9).map(lambda v: Value(reference_value=f"projects/p/databases/d/documents/c/{v}")),
    st.lists(DOUBLES, max_size=4).map(vector),
)
VALUES = st.recursive(
    SCALARS,
    lambda inner: st.one_of(
        st.lists(inner, max_size=4).map(array), st.dictionaries(NAMES, inner, max_size=4).map(mapping)
    ),
    max_leaves=12,
)


@given(VALUES)
def test_every_value_survives_json(value):
    found = decode(orjson.loads(orjson.dumps(encode(value))))
    assert found.SerializeToString(deterministic=True) == canonical(value).SerializeToString(deterministic=True)


def canonical(value):
    """The same value with one bit pattern for NaN: JSON names it, and IEEE has millions."""
    copy = Value()
    copy.CopyFrom(value)
    if copy.WhichOneof("value_type") == "double_value" and math.isnan(copy.double_value):
        copy.double_value = float("nan")
    for item in copy.array_value.values if copy.HasField("array_value") else ():
        item.CopyFrom(canonical(item))
    for name in list(copy.map_value.fields) if copy.HasField("map_value") else ():
        item = canonical(copy.map_value.fields[name])
        copy.map_value.fields[name].CopyFrom(item)
    return copy


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (Value(integer_value=9007199254740993), "9007199254740993"),
        (Value(integer_value=2), "2"),
        (Value(double_value=2.0), "2.0"),
        (Value(double_value=-0.0), "-0.0"),
        (Value(double_value=1e300), "1e+300"),
        (Value(double_value=float("nan")), '{"_double":"NaN"}'),
        (Value(double_value=float("-inf")), '{"_double":"-Infinity"}'),
        (Value(bytes_value=b"hi"), '{"_base64":"aGk="}'),
        (timestamp(1700000000, 123456000), '{"_seconds":1700000000,"_nanoseconds":123456000}'),
        (point(1.0, -2.5), '{"_latitude":1.0,"_longitude":-2.5}'),
        (vector([1.0, 2.0]), '{"_values":[1.0,2.0]}'),
        (
            Value(reference_value="projects/p/databases/d/documents/a/b"),
            '{"_reference":"projects/p/databases/d/documents/a/b"}',
        ),
        (mapping({"_base64": Value(string_value="x")}), '{"_map":{"_base64":"x"}}'),
        (mapping({"_base64": Value(integer_value=1), "other": Value(integer_value=2)}), None),
        (mapping({}), "{}"),
        (array([]), "[]"),
    ],
)
def test_shapes_are_those_that_existing_views_read(value, text):
    encoded = encode(value)
    if text is None:
        assert set(encoded) == {"_base64", "other"}
    else:
        assert orjson.dumps(encoded).decode() == text


def test_a_document_is_never_wrapped():
    assert encode_fields({"_base64": Value(string_value="x")}) == {"_base64": "x"}


def test_timestamps_are_python_times_to_the_microsecond():
    assert python(timestamp(-1, 999_999_999)).isoformat() == "1969-12-31T23:59:59.999999+00:00"


def test_the_text_of_a_document_does_not_depend_on_the_order_in_which_it_was_written():
    def written(order):
        inner = mapping({name: Value(integer_value=1) for name in order})
        return {name: inner if name == "b" else array([inner]) for name in order}

    names = ["b", "a", "Z", "é", "", "a.b", "`", "__x__", "😀", "\uff5e", "\u0000"]
    assert len({canonical_text(encode_fields(written(order))) for order in (names, names[::-1], sorted(names))}) == 1


@given(st.dictionaries(NAMES, VALUES, max_size=5), st.randoms())
def test_a_document_survives_its_canonical_text_in_any_order_of_keys(fields, random):
    names = list(fields)
    random.shuffle(names)
    text = canonical_text(encode_fields(fields))
    assert canonical_text(encode_fields({name: fields[name] for name in names})) == text
    found = decode_fields(orjson.loads(text))
    assert {name: canonical(value) for name, value in found.items()} == {
        name: canonical(value) for name, value in fields.items()
    }


def test_what_only_looks_like_a_vector_is_a_map():
    for inner in (Value(integer_value=1), array([Value(integer_value=1)])):
        value = mapping({"__type__": Value(string_value="__vector__"), "value": inner})
        assert decode(orjson.loads(orjson.dumps(encode(value)))) == value
    alone = mapping({"__type__": Value(string_value="__vector__"), "other": Value(integer_value=1)})
    assert decode(encode(alone)) == alone
    assert set(alone.map_value.fields) == {"__type__", "other"}


def test_a_kind_of_value_that_is_not_known_is_refused_rather_than_taken_for_null():
    # Field 200 of a Value: some later release's. To this one the value has no kind.
    unknown = Value.FromString(b"\xc0\x0c\x01")
    with pytest.raises(BadRequest, match="not known"):
        encode(mapping({"new": unknown}))


@pytest.mark.parametrize("depth", [1, 20])
def test_maps_and_lists_in_each_other_survive_as_deep_as_firestore_lets_them_be(depth):
    value = Value(string_value="deepest")
    for level in range(depth):
        value = mapping({"_base64": value}) if level % 2 else array([value])
    assert decode(orjson.loads(orjson.dumps(encode(value)))) == value
