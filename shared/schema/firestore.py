"""Firestore security rules and composite indexes from records."""

from collections.abc import Iterable
from datetime import date, datetime
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin

from annotated_types import MaxLen

from shared.schema.record import ClientValues, Mark, Record

HEAD = """rules_version = '2';
// Generated from the declared records by `make generate`: do not edit.
service cloud.firestore {
  match /databases/{database}/documents {
    function member(tenant_id) {
      return request.auth != null && request.auth.token.tenant_id == tenant_id;
    }
    function changes_only(names) {
      return request.resource.data.diff(resource.data).affectedKeys().hasOnly(names);
    }
    function keeps(name) {
      return !request.resource.data.diff(resource.data).affectedKeys().hasAny([name]);
    }
"""
TAIL = """  }
}
"""
KINDS: dict[Any, str] = {str: "string", bool: "bool", int: "int", float: "number", datetime: "timestamp"}
"""Python's types in the words of rules."""
ISO_DAY = "^[0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01])$"
"""A date is stored as ISO text."""


def rules(records: Iterable[type[Record]], database: str = "(default)") -> str:
    """The rules of one database. What no record declares is denied; functions bypass rules by their roles."""
    return HEAD + "".join(_match(record) for record in records if _in(record, database)) + TAIL


def indexes(records: Iterable[type[Record]], database: str = "(default)") -> dict[str, Any]:
    """The composite indexes of one database, and what is in no index, in the shape of `firestore.indexes.json`."""
    found = []
    overrides = []
    for record in records:
        collection = record.collection
        if collection is None or collection.database != database:
            continue
        for fields in collection.indexes:
            found.append(
                {
                    "collectionGroup": collection.name,
                    "queryScope": "COLLECTION",
                    "fields": [
                        {
                            "fieldPath": name.lstrip("-"),
                            "order": "DESCENDING" if name.startswith("-") else "ASCENDING",
                        }
                        for name in fields
                    ],
                }
            )
        for name in dict.fromkeys((*filter(None, [collection.ttl_field]), *collection.unindexed)):
            ttl = {"ttl": True} if name == collection.ttl_field else {}
            overrides.append({"collectionGroup": collection.name, "fieldPath": name, **ttl, "indexes": []})
    return {"indexes": found, "fieldOverrides": overrides}


def _in(record: type[Record], database: str) -> bool:
    return record.collection is not None and record.collection.database == database


def _match(record: type[Record]) -> str:
    collection = record.collection
    if collection is None:
        raise TypeError(f"{record.__name__} declares no collection")
    tenant = "tenant_id" if "{tenant_id}" in collection.path else "resource.data.tenant_id"
    if collection.path == "tenants":
        path, tenant = "tenants/{tenant_id}", "tenant_id"
    else:
        path = f"{collection.path}/{{document_id}}"
    lines = [f"\n    match /{path} {{", f"      allow read: if member({tenant});"]
    writable = record.marked(Mark.CLIENT_WRITABLE)
    if writable:
        conditions = [f"member({tenant})", f"changes_only({_list(writable)})"]
        for name in writable:
            conditions.append(_value_rule(record, name))
        lines.append("      allow update: if " + "\n        && ".join(conditions) + ";")
    return "\n".join([*lines, "    }", ""])


def _value_rule(record: type[Record], name: str) -> str:
    """What a client may put into a field; what it leaves as it is need not be of its values.

    A TypeError where the field's declaration says nothing that can be checked: then nobody may write it.
    """
    field = record.model_fields[name]
    allowed = next((mark.values for mark in field.metadata if isinstance(mark, ClientValues)), None)
    length = next((mark.max_length for mark in field.metadata if isinstance(mark, MaxLen)), None)
    value = f"request.resource.data.get('{name}', null)"
    if allowed is not None:
        return f"(keeps('{name}') || {value} in {_list(allowed)})"
    return f"(keeps('{name}') || {_fits(f'{record.__name__}.{name}', value, field.annotation, length)})"


def _fits(field: str, value: str, annotation: Any, length: int | None) -> str:
    """The condition under which a value is of its annotation and not too long."""
    kinds = get_args(annotation) if get_origin(annotation) in (Union, UnionType) else (annotation,)
    return " || ".join(_is(field, value, kind, length) for kind in sorted(kinds, key=lambda kind: kind is not NoneType))


def _is(field: str, value: str, kind: Any, length: int | None) -> str:
    if kind is NoneType:
        return f"{value} == null"
    if get_origin(kind) is Literal:
        return f"{value} in {_list(get_args(kind))}"
    if kind is date:
        return f"({value} is string && {value}.matches('{ISO_DAY}'))"
    if kind not in KINDS:
        raise TypeError(f"{field}: no rule can check {kind}")
    checks = f"{value} is {KINDS[kind]}"
    return checks if length is None else f"({checks} && {value}.size() <= {length})"


def _list(values: Iterable[str]) -> str:
    return "[" + ", ".join(f"'{value}'" for value in values) + "]"
