"""The typed columns of a document: validated as Firestore has it, then transformed as its declaration says."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, get_args

import orjson
from pydantic import BaseModel, ValidationError

from shared.schema.bigquery import Column
from shared.schema.record import Mark, Record
from shared.streaming.steps import Step, Steps, steps_of
from shared.streaming.tables import typed_columns
from shared.streaming.transforms import changed
from shared.streaming.values import Fields, encode, encode_fields, python_fields
from shared.streaming.wire import wire_value

REASON_LENGTH = 500
SAID = dict.fromkeys(("value_error", "assertion_error"), "is not valid")
"""Errors whose words are a validator's own, and may quote the value."""
AS_IT_IS = frozenset(("STRING", "INT64", "FLOAT64", "BOOL", "BYTES"))
UNTOUCHED = Step()


@dataclass(frozen=True)
class Layout:
    steps: Steps
    fields: tuple[str, ...]
    as_they_are: tuple[str, ...]
    converted: tuple[Column, ...]
    transformed: tuple[tuple[str, Column, Step], ...]


@cache
def layout_of(record: type[Record]) -> Layout:
    steps, columns = steps_of(record), typed_columns(record)
    transformed = tuple(
        (name, column, step) for name, column, step in _fields_of(record, columns, steps) if name in steps
    )
    touched = {column.name for _, column, _ in transformed}
    untouched = [column for column in columns if column.name not in touched]
    return Layout(
        steps=steps,
        fields=tuple(record.model_fields),
        as_they_are=tuple(column.name for column in untouched if column.type in AS_IT_IS),
        converted=tuple(column for column in untouched if column.type not in AS_IT_IS),
        transformed=transformed,
    )


def typed_values(
    record: type[Record], fields: Fields, data: dict[str, Any], key: bytes
) -> tuple[dict[str, Any], str | None]:
    """The typed columns of a document, or why it has none.

    data: the fields encoded as they leave. key: what the record's steps need.
    """
    layout = layout_of(record)
    encoded = encode_fields(fields) if layout.steps else data
    try:
        found = record.model_validate(python_fields(fields, layout.fields, encoded))
    except ValidationError as error:
        return {}, _reason(record, error)
    held = found.__dict__
    typed = {name: held[name] for name in layout.as_they_are}
    for column in layout.converted:
        if column.type == "JSON" and column.mode != "REPEATED" and column.name in encoded:
            # From the lossless form: what pydantic read no longer knows 2 from 2.0 or bytes from text.
            item = encoded[column.name]
            typed[column.name] = None if item is None else orjson.dumps(item).decode()
        else:
            typed[column.name] = wire_value(column, held[column.name])
    for name, column, step in layout.transformed:
        typed[column.name] = _transformed(column, held[name], _of(fields, name), step, key)
    return typed, None


def _transformed(column: Column, value: Any, raw: Any, step: Step, key: bytes) -> Any:
    """A typed value of a field with a step. value: as it was validated; raw: as Firestore has it, or None.

    A hashed or masked one is NULL where the document lacks the field, whatever its default is.
    """
    if step.action is not None:
        item = None if raw is None else encode(changed(raw, step, key))
        if column.mode == "REPEATED":
            return [_text(column, one) for one in item or ()]
        return None if item is None else _text(column, item)
    if column.type == "RECORD" and step.within:
        if column.mode == "REPEATED":
            raws = raw.array_value.values if raw is not None else [None] * len(value)
            return [_nested(column, one, found, step, key) for one, found in zip(value, raws, strict=True)]
        return None if value is None else _nested(column, value, raw, step, key)
    if column.type == "JSON" and raw is not None:
        item = encode(changed(raw, step, key))
        return None if item is None else orjson.dumps(item).decode()
    return wire_value(column, value)


def _nested(column: Column, value: BaseModel, raw: Any, step: Step, key: bytes) -> dict[str, Any]:
    fields: Fields = raw.map_value.fields if raw is not None else {}
    return {
        inner.name: _transformed(inner, getattr(value, name), _of(fields, name), found, key)
        for name, inner, found in _fields_of(type(value), column.fields, step.within)
    }


def _text(column: Column, item: Any) -> str | None:
    if column.type == "STRING" and (item is None or isinstance(item, str)):
        return item
    return orjson.dumps(item).decode()


def _fields_of(model: type[BaseModel], columns: Sequence[Column], steps: Steps) -> Iterator[tuple[str, Column, Step]]:
    """A model's fields with their columns and steps; those that are dropped have none."""
    of_name = {column.name: column for column in columns}
    for name in model.model_fields:
        step = steps.get(name, UNTOUCHED)
        if step.action is not Mark.DROPPED:
            yield name, of_name[step.name or name], step


def _reason(record: type[Record], error: ValidationError) -> str:
    """Which fields are wrong, and how; never their values, nor the keys of maps, which are values too."""
    found = error.errors(include_url=False, include_input=False, include_context=False)
    known = _names(record)
    return "; ".join(
        f"{'.'.join(str(part) if isinstance(part, int) or part in known else '*' for part in entry['loc'])}: "
        f"{SAID.get(entry['type'], entry['msg'])}"
        for entry in found
    )[:REASON_LENGTH]


@cache
def _names(record: type[Record]) -> frozenset[str]:
    return frozenset(_declared(record))


def _declared(annotation: Any) -> Iterator[str]:
    """Every name that a declaration knows, its own and those of the models in it."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        for name, info in annotation.model_fields.items():
            yield name
            yield from _declared(info.annotation)
    for part in get_args(annotation):
        yield from _declared(part)


def _of(fields: Fields, name: str) -> Any:
    return fields[name] if name in fields else None  # noqa: SIM401  a protobuf map
