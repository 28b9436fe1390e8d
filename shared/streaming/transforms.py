"""What becomes of a document's fields before they leave for BigQuery: dropped, hashed, masked, renamed.

Marks in the declaration say so (`email: Hashed[str]`), or paths (`Record.transforms`) where no annotation reaches.
Documents are validated as they are and changed afterwards, as raw protobuf, so that typed columns, `data` and
`old_data` all come from what may leave. A record without transforms pays for one look at an empty dict.
"""

import hmac
import re
from collections.abc import Iterable, Mapping
from typing import Any

import orjson

from shared.errors import Unavailable
from shared.schema.record import Mark, Record
from shared.streaming.steps import EVERY, Step, Steps, steps_of
from shared.streaming.values import Fields, encode, is_vector

SECRET_LENGTH = 32
EMAIL = re.compile(r"([^@\s])[^@\s]*@([^@\s])[^@\s]*(\.[^@\s.]+)")


class HashKeyMissing(Unavailable):
    """A record hashes fields, and there is no key. Nothing is set aside or written meanwhile: an event waits in its
    trigger's retries until the setting is there, and nothing ever leaves in the clear or under a guessable hash."""


class HashKeys:
    """A key for each tenant, derived from one secret: equal values of two tenants have different hashes."""

    def __init__(self, secret: str = "") -> None:
        self._secret = secret.encode()
        self._keys: dict[str, bytes] = {}

    def of(self, tenant_id: str) -> bytes:
        """The key of a tenant; of what belongs to none where it is empty. Raises HashKeyMissing."""
        if len(self._secret) < SECRET_LENGTH:
            raise HashKeyMissing(
                "a record hashes fields, and there is no key to do it with",
                setting="SCOUT_HASH_KEY",
                expected=f"a secret of at least {SECRET_LENGTH} characters",
            )
        key = self._keys.get(tenant_id)
        if key is None:
            key = self._keys[tenant_id] = hmac.digest(self._secret, f"scout/{tenant_id}".encode(), "sha256")
        return key


NO_KEYS = HashKeys()


def sent(fields: Fields, record: type[Record], names: Mapping[str, str], keys: HashKeys = NO_KEYS) -> Fields:
    """A document's fields as they leave for BigQuery. `names`: the placeholders of its path. May raise HashKeyMissing.

    The same object where the record changes nothing; the fields that are given are never changed.
    """
    steps = steps_of(record)
    return applied(fields, steps, key_for(steps, names, fields, keys)) if steps else fields


def key_for(steps: Steps, names: Mapping[str, str], fields: Fields, keys: HashKeys) -> bytes:
    """The key that the steps need, if they hash: of the tenant in the path, or in the field of a shared collection."""
    if not any(step.hashes for step in steps.values()):
        return b""
    own = fields["tenant_id"].string_value if "tenant_id" in fields else ""
    return keys.of(names.get("tenant_id", own))


def applied(fields: Fields, steps: Steps, key: bytes) -> dict[str, Any]:
    """Fields after their steps. Where a document has a field of the new name already, both keep their own."""
    found = {}
    for name in fields:
        step = steps.get(name) or steps.get(EVERY)
        if step is None:
            found[name] = fields[name]
        elif step.action is not Mark.DROPPED:
            found[step.name if step.name and step.name not in fields else name] = changed(fields[name], step, key)
    return found


def changed(value: Any, step: Step, key: bytes) -> Any:
    """One raw protobuf value after its step. Lists element by element; null stays null."""
    kind = value.WhichOneof("value_type")
    if kind == "null_value" or not (step.action or step.within):
        return value
    if kind == "array_value":
        return _array(value, (changed(item, step, key) for item in value.array_value.values))
    if step.action is Mark.HASHED:
        return type(value)(string_value=hashed(value, key))
    if step.action is Mark.MASKED:
        return _masked(value)
    if kind == "map_value" and not is_vector(value.map_value.fields):
        return _map(value, applied(value.map_value.fields, step.within, key))
    # A path leads into it, and it is no map: it may be what should have been hidden, under a name too short.
    return type(value)(null_value=0) if step.hides else value


def hashed(value: Any, key: bytes) -> str:
    """HMAC-SHA256 of the value's lossless JSON, in hex: 2, 2.0 and "2" differ; a map's keys are in order."""
    return hmac.digest(key, orjson.dumps(encode(value), option=orjson.OPT_SORT_KEYS), "sha256").hex()


def masked(text: str) -> str:
    """The shape of a text: `j***@e***.com` of an address, else a quarter of it, at most its last four characters."""
    address = EMAIL.fullmatch(text)
    if address is not None:
        return f"{address[1]}***@{address[2]}***{address[3]}"
    shown = min(4, len(text) // 4)
    return f"***{text[-shown:]}" if shown else "***"


def _masked(value: Any) -> Any:
    """Text masked, in maps as well, whose keys stay; anything else has no shape to show: null."""
    kind = value.WhichOneof("value_type")
    if kind == "string_value":
        return type(value)(string_value=masked(value.string_value))
    if kind == "array_value":
        return _array(value, (_masked(item) for item in value.array_value.values))
    if kind == "map_value" and not is_vector(value.map_value.fields):
        fields = value.map_value.fields
        return _map(value, {name: _masked(fields[name]) for name in fields})
    return type(value)(null_value=0)


# Of the same class as what they replace: events and documents that were read have each their own `Value`.


def _array(value: Any, items: Iterable[Any]) -> Any:
    made = type(value)()
    made.array_value.SetInParent()
    made.array_value.values.extend(items)
    return made


def _map(value: Any, fields: Mapping[str, Any]) -> Any:
    made = type(value)()
    made.map_value.SetInParent()
    for name, item in fields.items():
        made.map_value.fields[name].CopyFrom(item)
    return made
