"""The one erase list: whatever the `erasure` modules of the domains declare.

Adding `shared/<domain>/erasure.py` is enough; nothing here names a domain. What is declared and no store covers is
named by `unregistered`, which a test holds to be nothing.
"""

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from types import ModuleType

import shared
from shared.erasure.places import Place
from shared.erasure.store import Needs, Store
from shared.schema.record import Record


def stores(needs: Needs) -> tuple[Store, ...]:
    """Every store, in the order in which they are erased."""
    found: list[Store] = [store for module in _modules() for store in module.stores(needs)]
    return tuple(sorted(found, key=lambda store: (store.stage, store.name)))


def kept() -> Mapping[type[Record], str]:
    """Records that hold nothing of a tenant or a person, and why."""
    return {record: why for module in _modules() for record, why in getattr(module, "KEPT", {}).items()}


def unregistered(places: Iterable[Place], stores: Iterable[Store]) -> list[str]:
    """What no store would erase, in words."""
    listed, without = tuple(stores), kept()
    return [
        f"erasing a {kind} does not reach {place}"
        for place in places
        for kind in place.erased_by
        if place.record not in without and not any(store.covers(place, kind) for store in listed)
    ]


@cache
def _modules() -> tuple[ModuleType, ...]:
    packages = [found.name for found in pkgutil.iter_modules(shared.__path__, "shared.") if found.ispkg]
    return tuple(
        importlib.import_module(f"{package}.erasure")
        for package in packages
        if any(found.name == "erasure" for found in pkgutil.iter_modules(importlib.import_module(package).__path__))
    )
