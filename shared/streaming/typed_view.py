"""Typed columns of an undeclared collection: learned from its documents, only ever added, never changed.

The first kind of value that a field has names a column of the field's name. Another kind gets a column beside it,
`amount_string` beside `amount`: no value is squeezed into a type that it does not have, no column changes its type, and
the document itself stays in `data`, whole. A column of doubles also takes the field's whole numbers: clients write 2.0
as 2.
"""

import hashlib
import re
from collections.abc import Iterable, Sequence

from pydantic import BaseModel

from shared.schema.names import NOT_A_NAME, UNQUOTABLE
from shared.streaming.values import Fields, is_vector

KINDS = {
    "string_value": "string",
    "integer_value": "integer",
    "double_value": "double",
    "boolean_value": "boolean",
    "timestamp_value": "timestamp",
    "bytes_value": "bytes",
    "reference_value": "reference",
    "geo_point_value": "geopoint",
    "array_value": "array",
    "map_value": "map",
}
TYPES = {
    "string": "STRING",
    "integer": "INT64",
    "double": "FLOAT64",
    "boolean": "BOOL",
    "timestamp": "TIMESTAMP",
    "bytes": "BYTES",
    "reference": "STRING",
    "geopoint": "STRUCT<latitude FLOAT64, longitude FLOAT64>",
    "vector": "ARRAY<FLOAT64>",
    "array": "JSON",
    "map": "JSON",
}
MOST_COLUMNS = 1_000
"""Of a map used as a dictionary every key is a field: beyond this they stay in `data` alone."""
MOST_TEXT = 200_000
"""Bytes of SQL for them: BigQuery takes 256 KB of a view."""
NAME_LENGTH = 128
TAGGED = (
    r'^\{("_nanoseconds":\d+,"_seconds":-?\d+|"_seconds":-?\d+,"_nanoseconds":\d+'
    r'|"_latitude":[^,]+,"_longitude":[^,]+|"_(values|base64|reference|double)":[^}]*)\}$'
)
"""What the other kinds look like that are written as a map; a document's own map of such a look is wrapped."""
FORBIDDEN = re.compile(r"^(_table_|_file_|_partition|_row_timestamp|__root__|_colidentifier|_change_|[0-9])", re.I)

Kind = tuple[str, str]
"""A field's name and the kind of its value."""


class LearnedColumn(BaseModel, frozen=True):
    """One column: which field, which kind of its values, and under which name."""

    field: str
    kind: str
    column: str


def kinds_of(fields: Fields) -> frozenset[Kind]:
    """The kinds of a document's fields; a null has none."""
    found = []
    for name in fields:
        kind = fields[name].WhichOneof("value_type")
        if kind in KINDS:
            found.append(
                (name, "vector" if kind == "map_value" and is_vector(fields[name].map_value.fields) else KINDS[kind])
            )
    return frozenset(found)


def learn(known: Sequence[LearnedColumn], kinds: Iterable[Kind], reserved: Iterable[str]) -> tuple[LearnedColumn, ...]:
    """The columns, those known first and as they were, with one more for each kind that is new."""
    columns = list(known)
    seen = {(column.field, column.kind) for column in known}
    fields = {column.field for column in known}
    # BigQuery knows no case in names of columns.
    taken = {*(name.lower() for name in reserved), *(column.column.lower() for column in known)}
    for name, kind in sorted(kinds):
        if (name, kind) in seen or len(columns) >= MOST_COLUMNS or UNQUOTABLE.search(name) or not name:
            continue  # what has no column is in `data` all the same
        wanted = _column_name(name if name not in fields else f"{name}_{kind}")
        if wanted.lower() in taken:
            wanted = f"{wanted}_{hashlib.sha256(f'{name}/{kind}'.encode()).hexdigest()[:8]}"
        columns.append(LearnedColumn(field=name, kind=kind, column=wanted))
        fields.add(name)
        taken.add(wanted.lower())
    return tuple(columns)


def selected(columns: Sequence[LearnedColumn]) -> list[str]:
    """The columns as items of a SELECT over `data`, lossless JSON; as many as a view's text has room for."""
    kinds: dict[str, set[str]] = {}
    for column in columns:
        kinds.setdefault(column.field, set()).add(column.kind)
    found, room = [], MOST_TEXT
    for column in columns:
        # By its longer form, so that a second kind of a field never costs another column its place.
        room -= len(_expression(column, alone=False).encode()) + len(column.column) + 10
        if room < 0:
            break
        alone = len(kinds[column.field]) == 1
        found.append(f"{_expression(column, alone)} AS `{column.column}`")
    return found


def _expression(column: LearnedColumn, alone: bool) -> str:
    path = f'$."{column.field}"'
    value, text = f"JSON_VALUE(data, '{path}')", f"JSON_QUERY(data, '{path}')"

    def tagged(key: str) -> str:
        return f"JSON_VALUE(data, '{path}.{key}')"

    made, guard = {
        "string": (value, f"STARTS_WITH({text}, '\"')"),
        "integer": (f"SAFE_CAST({value} AS INT64)", f"REGEXP_CONTAINS({text}, r'^-?[0-9]+$')"),
        "double": (
            f"SAFE_CAST(COALESCE({value}, {tagged('_double')}) AS FLOAT64)",
            f"NOT STARTS_WITH({text}, '\"')",
        ),
        "boolean": (f"SAFE_CAST({value} AS BOOL)", f"{text} IN ('true', 'false')"),
        "timestamp": (
            f"TIMESTAMP_MICROS(SAFE_CAST({tagged('_seconds')} AS INT64) * 1000000"
            f" + DIV(SAFE_CAST({tagged('_nanoseconds')} AS INT64), 1000))",
            "",
        ),
        "bytes": (f"FROM_BASE64({tagged('_base64')})", ""),
        "reference": (tagged("_reference"), ""),
        "geopoint": (
            f"IF({tagged('_latitude')} IS NULL, NULL, STRUCT(SAFE_CAST({tagged('_latitude')} AS FLOAT64) AS latitude,"
            f" SAFE_CAST({tagged('_longitude')} AS FLOAT64) AS longitude))",
            "",
        ),
        "vector": (
            # The path holds no quote (UNQUOTABLE).
            "ARRAY(SELECT SAFE_CAST(item AS FLOAT64)"  # noqa: S608
            f" FROM UNNEST(JSON_VALUE_ARRAY(data, '{path}._values')) AS item)",
            "",
        ),
        "array": (f"SAFE.PARSE_JSON({text})", f"STARTS_WITH({text}, '[')"),
        "map": (f"SAFE.PARSE_JSON({text})", f"STARTS_WITH({text}, '{{') AND NOT REGEXP_CONTAINS({text}, r'{TAGGED}')"),
    }[column.kind]
    return made if alone or not guard else f"IF({guard}, {made}, NULL)"


def _column_name(name: str) -> str:
    plain = NOT_A_NAME.sub("_", name)[:NAME_LENGTH]
    if FORBIDDEN.match(plain):
        plain = f"f_{plain}"
    return plain if plain.removeprefix("f_") == name else f"{plain}_{hashlib.sha256(name.encode()).hexdigest()[:8]}"
