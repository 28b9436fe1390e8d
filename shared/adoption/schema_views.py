"""Schema views: the columns that the extension's script fs-bq-schema-views made of a schema file, over Scout's tables.

Same names of columns, in the same order, one row for each combination of array members, as there. What differs: times
to the microsecond, references and arrays also where they are written losslessly, any field name, and no functions.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Literal, get_args

import orjson
from pydantic import BaseModel, Field, StringConstraints, ValidationError

from shared.errors import BadRequest
from shared.schema.names import NOT_A_NAME, UNQUOTABLE
from shared.schema.sql import render

FieldType = Literal[
    "string", "number", "boolean", "timestamp", "geopoint", "reference", "array", "map", "null", "stringified_map"
]
FIRST = ("document_name", "document_id", "timestamp", "operation")
Kind = Literal["latest", "changelog"]


class SchemaField(BaseModel, extra="ignore"):
    """One field of a schema file."""

    name: Annotated[str, StringConstraints(min_length=1)]
    type: FieldType
    column_name: str = ""
    fields: list["SchemaField"] = []


class Schema(BaseModel, extra="ignore"):
    """A schema file."""

    fields: list[SchemaField] = Field(min_length=1)


@dataclass(frozen=True)
class Shown:
    """A column: SQL over `log.data`, and its name. `array`: the JSON path of one that is shown member by member."""

    name: str
    expression: str
    array: str = ""
    geography: bool = False


def read_schemas(places: Sequence[Path]) -> dict[str, Schema]:
    """Schemas of files, and of folders of files, by the names that the script gave them. BadRequest names the file."""
    found = {}
    for place in places:
        for path in sorted(place.glob("*.json")) if place.is_dir() else [place]:
            name = path.stem.replace("-", "_")
            if not re.fullmatch(r"\w+", name):
                raise BadRequest(
                    "a schema's file name names its views", field=str(path), expected="letters, digits, _, -"
                )
            found[name] = read_schema(path)
    return found


def read_schema(path: Path) -> Schema:
    """One schema file; BadRequest says which field is wrong and what was expected."""
    try:
        return Schema.model_validate(orjson.loads(path.read_bytes()))
    except FileNotFoundError as error:
        raise BadRequest("there is no such schema file", field=str(path)) from error
    except orjson.JSONDecodeError as error:
        raise BadRequest("the schema is not JSON", field=str(path), line=error.lineno) from error
    except ValidationError as error:
        wrong = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, wrong["loc"]))
        raise BadRequest(
            wrong["msg"], field=f"{path}: {where}", expected=f"types: {', '.join(get_args(FieldType))}"
        ) from error


def schema_view(schema: Schema, kind: Kind, source: str) -> str:
    """SQL of one schema view over `source`: the latest state, or the history."""
    columns = tuple(_columns(schema.fields, (), ()))
    arrays = [column for column in columns if column.array]
    # The script's views of the latest state leave out what cannot be grouped by: arrays and points themselves.
    plain = [column for column in columns if kind == "changelog" or not (column.array or column.geography)]
    made = [*(column.name for column in plain), *(f"{one.name}_{end}" for one in arrays for end in ("member", "index"))]
    twice = sorted({name for name in (*FIRST, *made) if [*FIRST, *made].count(name) > 1})
    if twice:
        raise BadRequest("two columns of one name", field=twice[0], expected="a column_name of its own")
    return render("adoption/sql/schema_view.sql", source=source, plain=plain, arrays=arrays, member=_member)


def _columns(fields: Sequence[SchemaField], prefix: tuple[str, ...], parents: tuple[str, ...]) -> Iterator[Shown]:
    for field in fields:
        if UNQUOTABLE.search(field.name):
            raise BadRequest("a name with quotes cannot be a path", field=field.name)
        names = (*prefix, field.column_name or field.name)
        # A dot reached into maps there, so it does here.
        parts = (*parents, *field.name.split("."))
        if field.type == "map":
            yield from _columns(field.fields, names, parts)
        else:
            yield from _leaf(field.type, "_".join(NOT_A_NAME.sub("_", name) for name in names), _path(parts))


def _leaf(kind: str, name: str, path: str) -> Iterator[Shown]:
    value = f"JSON_VALUE(log.data, '{path}')"
    if kind == "array":
        items = f"UNNEST(JSON_QUERY_ARRAY(log.data, '{path}')) AS item WITH OFFSET AS place"
        # Names are validated; the rest is a constant.
        yield Shown(name, f"ARRAY(SELECT {_member('item')} FROM {items} ORDER BY place)", array=path)  # noqa: S608
    elif kind == "geopoint":
        numbers = {end: f"JSON_VALUE(log.data, '{path}._{end}')" for end in ("latitude", "longitude")}
        degrees = ", ".join(f"SAFE_CAST({numbers[end]} AS FLOAT64)" for end in ("longitude", "latitude"))
        yield Shown(name, f"SAFE.ST_GEOGPOINT({degrees})", geography=True)
        for end, number in numbers.items():
            yield Shown(f"{name}_{end}", f"SAFE_CAST({number} AS NUMERIC)")
    elif kind == "timestamp":
        seconds = f"SAFE_CAST(JSON_VALUE(log.data, '{path}._seconds') AS INT64)"
        nanoseconds = f"SAFE_CAST(JSON_VALUE(log.data, '{path}._nanoseconds') AS INT64)"
        yield Shown(name, f"TIMESTAMP_MICROS({seconds} * 1000000 + DIV({nanoseconds}, 1000))")
    elif kind in ("number", "boolean"):
        yield Shown(name, f"SAFE_CAST({value} AS {'NUMERIC' if kind == 'number' else 'BOOL'})")
    elif kind == "null":
        yield Shown(name, "CAST(NULL AS STRING)")
    elif kind == "stringified_map":
        yield Shown(name, f"JSON_QUERY(log.data, '{path}')")
    else:
        reference = _relative(f"JSON_VALUE(log.data, '{path}._reference')")
        yield Shown(name, f"COALESCE({value}, {reference})")


def _member(item: str) -> str:
    """A member of an array as text, as the script's function made it."""
    reference = _relative(f"JSON_VALUE({item}, '$._reference')")
    # Text in BigQuery already, JSON in the emulator.
    return f"COALESCE({reference}, JSON_VALUE({item}, '$'), CAST({item} AS STRING))"


def _relative(reference: str) -> str:
    """A reference as the extension writes it: the path alone."""
    return f"REGEXP_REPLACE({reference}, r'^projects/[^/]+/databases/[^/]+/documents/', '')"


def _path(parts: Sequence[str]) -> str:
    return "$" + "".join(f'."{part}"' for part in parts)
