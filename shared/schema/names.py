"""Names that become part of SQL, paths or topics: only ever from validated identifiers."""

import re
from typing import Annotated

from pydantic import StringConstraints

from shared.errors import BadRequest

NOT_A_NAME = re.compile(r"[^A-Za-z0-9_]")
"""What no name of a table or a column has."""
UNQUOTABLE = re.compile(r"[\"'\\`\x00-\x1f\x7f]")
"""What would end the quotes around a name in a JSON path or a literal."""
TENANT = re.compile(r"^[a-z0-9][a-z0-9_]{0,62}$")
COLUMN = re.compile(
    r"(?!_table_|_file_|_partition|_row_timestamp|_change_|__root__|_colidentifier)[a-z_]\w{0,299}", re.ASCII | re.I
)
# https://cloud.google.com/bigquery/docs/reference/standard-sql/lexical#reserved_keywords
RESERVED_WORDS = """
    ALL AND ANY ARRAY AS ASC ASSERT_ROWS_MODIFIED AT BETWEEN BY CASE CAST COLLATE CONTAINS CREATE CROSS CUBE CURRENT
    DEFAULT DEFINE DESC DISTINCT ELSE END ENUM ESCAPE EXCEPT EXCLUDE EXISTS EXTRACT FALSE FETCH FOLLOWING FOR FROM FULL
    GROUP GROUPING GROUPS HASH HAVING IF IGNORE IN INNER INTERSECT INTERVAL INTO IS JOIN LATERAL LEFT LIKE LIMIT LOOKUP
    MERGE NATURAL NEW NO NOT NULL NULLS OF ON OR ORDER OUTER OVER PARTITION PRECEDING PROTO QUALIFY RANGE RECURSIVE
    RESPECT RIGHT ROLLUP ROWS SELECT SET SOME STRUCT TABLESAMPLE THEN TO TREAT TRUE UNBOUNDED UNION UNNEST USING WHEN
    WHERE WINDOW WITH WITHIN
"""
RESERVED = frozenset(RESERVED_WORDS.split())

TenantId = Annotated[str, StringConstraints(pattern=TENANT.pattern)]
"""Lower-case letters, digits and `_`, at most 63: what a BigQuery dataset name can hold."""


def tenant_id(value: str) -> str:
    """The value where it may name a tenant; BadRequest otherwise."""
    if not TENANT.fullmatch(value):
        raise BadRequest(
            "tenant_id is not valid",
            field="tenant_id",
            expected="1-63 of a-z, 0-9 and _, starting with a letter or digit",
        )
    return value


def is_column_name(name: str) -> bool:
    """True for what can name a column without quotes, and a field of a row's protobuf."""
    return COLUMN.fullmatch(name) is not None and name.upper() not in RESERVED
