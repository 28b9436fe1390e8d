"""Names that become part of SQL, paths or topics: only ever from validated identifiers."""

import re
from typing import Annotated

from pydantic import StringConstraints

from shared.errors import BadRequest

TENANT = re.compile(r"^[a-z0-9][a-z0-9_]{0,62}$")

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
