"""Print the figures, one JSON line each: python -m tests.bench [ONLY]

A bench is a public function of a module of this folder that returns a Figure; its name is the figure's.
ONLY: a figure's name, or how its name begins.
"""

import importlib
import inspect
import pkgutil
import sys
from collections.abc import Callable, Iterator

import tests.bench
from tests.bench.figure import Figure

Bench = Callable[[], Figure]


def benches() -> Iterator[tuple[str, Bench]]:
    """Every bench, by module and in the order in which a module declares them."""
    for found in pkgutil.iter_modules(tests.bench.__path__):
        if found.name == "__main__":
            continue
        module = importlib.import_module(f"tests.bench.{found.name}")
        for name, function in vars(module).items():
            if not inspect.isfunction(function) or function.__module__ != module.__name__ or name.startswith("_"):
                continue
            returned = inspect.signature(function).return_annotation
            if returned is Figure and not inspect.signature(function).parameters:
                yield name, function


def main(only: str = "") -> int:
    """Run those wanted; 1 where no bench has such a name."""
    found = list(benches())
    wanted = [one for one in found if one[0] == only] or [one for one in found if one[0].startswith(only)]
    if not wanted:
        print(f"no bench begins with {only!r}; there are: {', '.join(name for name, _ in found)}", file=sys.stderr)
        return 1
    for _, bench in wanted:
        print(bench().line(), flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:2]))
