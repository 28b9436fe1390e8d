"""Imports point inward: functions -> runtime, domains; runtime -> adapters -> domains; domains -> schema, errors.

Google's and Redis' clients are known to the adapters alone, HTTP servers to the runtime, the functions and the
dashboard. The product never imports what starts it or tests it.
"""

import ast
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
EDGES = ("adapters", "runtime")
FOUNDATIONS = {"errors": set(), "trace": set(), "settings": set(), "schema": {"errors"}}
DOMAINS = sorted(
    path.name
    for path in (ROOT / "shared").iterdir()
    if (path / "__init__.py").exists() and path.name not in (*EDGES, *FOUNDATIONS)
)
MAY_IMPORT: dict[str, set[str]] = {
    **FOUNDATIONS,
    **dict.fromkeys(DOMAINS, {*DOMAINS, "schema", "errors"}),
    "adapters": {"adapters", *DOMAINS, "schema", "errors", "trace"},
    "runtime": {"runtime", "adapters", *DOMAINS, "schema", "errors", "trace", "settings"},
    "functions": {"runtime", *DOMAINS},
}
"""Part of the product -> parts that it may import besides itself."""

FORMATS = ("google.events", "google.protobuf")
"""How a Firestore event and a row are written; no clients. Converting them raw is what makes streaming fast."""
ONLY_IN: dict[str, set[str]] = {
    "google": {"adapters"},
    "grpc": {"adapters"},
    "requests": {"adapters"},
    "httpx": {"adapters"},
    "pyrate_limiter": {"adapters"},
    "redis": {"adapters"},
    "stripe": {"adapters"},
    "psycopg": {"adapters"},
    **dict.fromkeys(FORMATS, {"adapters", "streaming"}),
    "functions_framework": {"functions", "runtime"},
    "flask": {"functions", "runtime"},
    "cloudevents": {"functions", "runtime"},
    "starlette": {"functions", "runtime", "dashboard"},
    "sse_starlette": {"dashboard"},
    "jwt": {"runtime"},
    "pydantic_settings": {"settings"},
}
NEVER = ("infra", "tests")


def part(path: Path) -> str:
    """`shared/sources/sync.py` -> sources; `shared/errors.py` -> errors; `functions/x/main.py` -> functions."""
    first, *rest = path.parts
    return rest[0].removesuffix(".py") if first == "shared" else first


def imported(source: str) -> Iterator[tuple[int, str]]:
    """Line and full name of everything that a module imports, inside functions too."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, "imports name the whole path"
            # `from shared import trace` names a part as much as `import shared.trace`.
            yield from ((node.lineno, f"{node.module}.{alias.name}") for alias in node.names)


def violations(path: Path, source: str) -> Iterator[str]:
    """What one module imports against the rules, in words."""
    own = part(path)
    for line, name in imported(source):
        names = name.split(".")
        if names[0] in NEVER or (names[0] == "functions" and own != "functions"):
            yield f"{path}:{line}: the product must not import {name}"
        elif names[0] == "functions" and names[1] != path.parts[1]:
            yield f"{path}:{line}: a function must not import another, {name}"
        elif names[0] == "shared" and len(names) > 1 and names[1] not in {own, *MAY_IMPORT.get(own, set())}:
            yield f"{path}:{line}: {own} must not import {'.'.join(names[:2])}"
        else:
            known = [prefix for prefix in ONLY_IN if name == prefix or name.startswith(f"{prefix}.")]
            if known and own not in ONLY_IN[max(known, key=len)]:
                yield f"{path}:{line}: {own} must not import {max(known, key=len)}"


def sources(*folders: str) -> Iterator[tuple[Path, str]]:
    """Every module below the folders, by its path in the repository."""
    for folder in folders:
        for path in sorted((ROOT / folder).rglob("*.py")):
            yield path.relative_to(ROOT), path.read_text()


def test_imports_point_inward():
    found = [said for path, source in sources("shared", "functions") for said in violations(path, source)]
    assert not found, "\n".join(found)


def test_every_part_of_the_product_has_its_place_in_the_rules():
    parts = {part(path) for path, _ in sources("shared", "functions")} - {"__init__"}
    assert parts == set(MAY_IMPORT)


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("shared/sources/sync.py", "from google.cloud import firestore"),
        ("shared/sources/sync.py", "def late():\n    import redis"),
        ("shared/sources/sync.py", "from shared.adapters.ga4 import Ga4Source"),
        ("shared/sources/sync.py", "from shared.runtime.clients import connect"),
        ("shared/sources/sync.py", "from flask import Request"),
        ("shared/sources/sync.py", "from shared import trace"),
        ("shared/sources/sync.py", "import google.protobuf.message"),
        ("shared/streaming/rows.py", "from google.cloud import bigquery"),
        ("shared/adapters/ga4.py", "from shared.runtime.log import line"),
        ("shared/adapters/ga4.py", "from shared.settings import settings"),
        ("shared/schema/record.py", "from shared.ops.records import DeadLetter"),
        ("shared/errors.py", "from shared.schema.record import Record"),
        ("shared/runtime/invocation.py", "from google.cloud import firestore"),
        ("shared/runtime/invocation.py", "from tests.fakes import FakeDocuments"),
        ("shared/runtime/invocation.py", "import infra.local.cloud"),
        ("shared/runtime/invocation.py", "from functions.run_etl.main import handle"),
        ("functions/run_etl/main.py", "from shared.adapters.bigquery import BigQueryWarehouse"),
        ("functions/run_etl/main.py", "from shared.schema.record import Record"),
        ("functions/run_etl/main.py", "from functions.sync_source.main import handle"),
    ],
)
def test_an_import_outward_is_caught(path: str, source: str):
    assert len(list(violations(Path(path), source))) == 1


@pytest.mark.parametrize(
    ("path", "source"),
    [
        ("functions/run_etl/main.py", "from flask import Request\nfrom shared.runtime.clients import connect"),
        (
            "shared/runtime/clients.py",
            "from shared.adapters.ga4 import Ga4Source\nfrom shared.settings import settings",
        ),
        (
            "shared/adapters/ga4.py",
            "import google.auth\nfrom shared.sources.sync import Page\nfrom shared import trace",
        ),
        ("shared/sources/sync.py", "from shared.ops.leases import Leases\nfrom shared.errors import Unavailable"),
        ("shared/streaming/values.py", "from google.events.cloud import firestore"),
        ("shared/schema/registry.py", "import shared\nimport importlib"),
    ],
)
def test_an_import_inward_is_not(path: str, source: str):
    assert list(violations(Path(path), source)) == []


def test_no_modules_import_each_other_in_a_circle():
    graph = {_name(path): set(_at_start(ast.parse(source).body)) for path, source in sources("shared", "functions")}
    modules = {name: {_module(found, graph) for found in names} - {None, name} for name, names in graph.items()}
    while leaves := [name for name, needs in modules.items() if not needs & modules.keys()]:
        for name in leaves:
            del modules[name]
    assert not modules, f"in a circle, or above one: {sorted(modules)}"


def test_what_the_product_imports_is_pinned_in_its_requirements():
    # As they are imported -> as they are installed; what comes with another package is pinned by it.
    packages = {
        "annotated_types": "pydantic",
        "yaml": "pyyaml",
        "jwt": "pyjwt",
        "flask": "functions-framework",
        "cloudevents": "functions-framework",
        "starlette": "functions-framework",
        "grpc": "google-cloud-bigquery-storage",
        "requests": "google-cloud-bigquery",
        "google.api_core": "google-cloud-firestore",
        "google.auth": "google-cloud-firestore",
        "google.analytics": "google-analytics-data",
        "google.events": "google-events",
        "google.protobuf": "protobuf",
        "google.cloud": "google-cloud-firestore",
    }
    lines = (ROOT / "requirements.txt").read_text().splitlines()
    pinned = {line.partition("==")[0].partition("[")[0] for line in lines if "==" in line}
    used = {name for _, source in sources("shared", "functions") for _, name in imported(source)}
    third = {name for name in used if name.split(".")[0] not in {*sys.stdlib_module_names, "shared", "functions"}}
    missing = {name for name in third if _package(name, packages) not in pinned}
    assert not missing


def _package(name: str, packages: dict[str, str]) -> str:
    first, _, rest = name.partition(".")
    second = f"{first}.{rest.partition('.')[0]}"
    return packages.get(second) or packages.get(first) or first.replace("_", "-")


def _name(path: Path) -> str:
    return ".".join(path.with_suffix("").parts).removesuffix(".__init__")


def _at_start(body: Iterable[ast.stmt]) -> Iterator[str]:
    """What is imported while the module itself is: not in functions, not for type checkers."""
    for node in body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            yield from (name for _, name in imported(ast.unparse(node)))
        elif isinstance(node, ast.ClassDef | ast.Try | ast.With):
            yield from _at_start(node.body)
        elif isinstance(node, ast.If) and "TYPE_CHECKING" not in ast.unparse(node.test):
            yield from _at_start([*node.body, *node.orelse])


def _module(name: str, known: Iterable[str]) -> str | None:
    """The module of `shared.errors.Rejected`: the longest part that is one."""
    parts = name.split(".")
    names = (".".join(parts[:length]) for length in range(len(parts), 0, -1))
    return next((found for found in names if found in known), None)
