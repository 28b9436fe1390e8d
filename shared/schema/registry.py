"""All declared records: whatever the `records` modules of the domains declare.

Adding `shared/<domain>/records.py` is enough; nothing here names a domain.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import cache

import shared
from shared.schema.record import Record


@cache
def records() -> tuple[type[Record], ...]:
    """Every declared record, ordered by module and name."""
    for package in pkgutil.iter_modules(shared.__path__, "shared."):
        if package.ispkg and any(
            module.name == "records" for module in pkgutil.iter_modules(importlib.import_module(package.name).__path__)
        ):
            importlib.import_module(f"{package.name}.records")
    return tuple(sorted(_subclasses(Record), key=lambda record: (record.__module__, record.__name__)))


@cache
def streamed_records() -> tuple[type[Record], ...]:
    """Records whose documents become rows."""
    return tuple(record for record in records() if record.streamed())


def _subclasses(base: type[Record]) -> Iterator[type[Record]]:
    for record in base.__subclasses__():
        if not record.__module__.startswith("shared."):
            continue
        if record.collection is not None or record.table is not None:
            yield record
        yield from _subclasses(record)
