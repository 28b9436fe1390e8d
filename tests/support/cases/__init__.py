"""Cases of every detector, a module a domain: what it finds, and what lies just below and just on its guard."""

import importlib
import pkgutil
from types import ModuleType


def domains() -> dict[str, ModuleType]:
    """Domain -> its module: `found()` and `edge(more)` yield rows, FOUND is what the first of them makes found."""
    names = sorted(one.name for one in pkgutil.iter_modules(__path__) if not one.name.startswith("_"))
    return {name: importlib.import_module(f"{__name__}.{name}") for name in names}
