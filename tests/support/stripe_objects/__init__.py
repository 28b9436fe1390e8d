"""Stripe's own objects, from the fixtures of its OpenAPI description: see LICENSE."""

import json
from copy import deepcopy
from functools import cache
from pathlib import Path
from typing import Any

Object = dict[str, Any]


class Read(Object):
    """An object that remembers what it was asked for and did not have: `charge.statsu`."""

    def __init__(self, values: Object, name: str, lacked: set[str]) -> None:
        super().__init__({key: _read(value, key, lacked) for key, value in values.items()})
        self._name = str(values.get("object", name))
        self._lacked = lacked

    def __getitem__(self, key: str) -> Any:
        self._note(key)
        return super().__getitem__(key)

    def get(self, key: str, default: Any = None) -> Any:
        self._note(key)
        return super().get(key, default)

    def __contains__(self, key: object) -> bool:
        self._note(str(key))
        return super().__contains__(key)

    def _note(self, key: str) -> None:
        if not super().__contains__(key):
            self._lacked.add(f"{self._name}.{key}")


def _read(value: Any, name: str, lacked: set[str]) -> Any:
    if isinstance(value, dict):
        return Read(value, name, lacked)
    return [_read(one, name, lacked) for one in value] if isinstance(value, list) else value


@cache
def _fixtures() -> dict[str, Object]:
    found: dict[str, Object] = json.loads((Path(__file__).parent / "fixtures.json").read_text())
    return found


def fixture(name: str, **changed: Any) -> Object:
    """A copy of one of Stripe's objects, by its kind."""
    return deepcopy(_fixtures()[name]) | changed


def whole(name: str) -> Object:
    """The same with the objects that the connector asks for in place of their ids."""
    if name == "charge":
        intent = fixture("payment_intent")
        intent["amount_details"]["line_items"] = _listed("payment_intent_amount_details_line_item")
        return fixture(name, payment_intent=intent)
    if name == "price":
        return fixture(name, product=fixture("product"))
    if name == "subscription":
        return fixture(name, customer=fixture("customer"), default_payment_method=fixture("payment_method"))
    if name == "invoice":
        return fixture(name, payments=_listed("invoice_payment"))
    return fixture(name)


def _listed(name: str) -> Object:
    return {"object": "list", "data": [fixture(name)], "has_more": False, "url": f"/v1/{name}s"}
