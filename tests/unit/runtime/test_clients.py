"""Clients: no adapter goes past the circuit breaker of what it calls."""

import ast
from pathlib import Path

import pytest

from shared.runtime import clients
from shared.settings import Settings
from tests.fakes import FakeDocuments

TREE = ast.parse(Path(clients.__file__).read_text())
ADAPTERS = "shared.adapters"


def makers() -> list[ast.FunctionDef]:
    """The functions that import an adapter, so make one."""
    functions = [node for node in ast.walk(TREE) if isinstance(node, ast.FunctionDef)]
    return [function for function in functions if imported(function)]


def imported(function: ast.FunctionDef) -> set[str]:
    """Names of the adapters that a function imports."""
    found = [node for node in ast.walk(function) if isinstance(node, ast.ImportFrom)]
    return {alias.name for node in found if (node.module or "").startswith(ADAPTERS) for alias in node.names}


def made(node: ast.AST, adapters: set[str]) -> list[ast.Call]:
    """Calls that make an adapter: `Adapter(...)`, `Adapter.connect(...)`, `Adapter.open(...)`."""
    calls = [each for each in ast.walk(node) if isinstance(each, ast.Call)]
    return [call for call in calls if ast.unparse(call.func).split(".")[0] in adapters]


def guarded(function: ast.FunctionDef) -> int:
    """How many times it puts something behind a breaker."""
    calls = [node for node in ast.walk(function) if isinstance(node, ast.Call)]
    return sum(ast.unparse(call.func) in ("guard", "GuardedSink") for call in calls)


def test_there_are_adapters():
    assert len(makers()) >= 8


@pytest.mark.parametrize("function", makers(), ids=lambda function: function.name)
def test_each_adapter_is_behind_a_breaker(function: ast.FunctionDef):
    assert guarded(function) == len(made(function, imported(function))) > 0


def test_erasures_connect_to_a_bucket_once(monkeypatch: pytest.MonkeyPatch):
    connected: list[str] = []

    def connect(project: str, bucket: str) -> object:
        connected.append(bucket)
        return object()

    monkeypatch.setattr("shared.adapters.storage.StorageObjects.connect", connect)
    settings = Settings(GOOGLE_CLOUD_PROJECT="p", SCOUT_DEAD_LETTER_BUCKET="letters")
    needs = clients.Clients(settings, documents=FakeDocuments()).erasures._needs
    assert needs.bucket("dead_letter_bucket") is needs.bucket("dead_letter_bucket")
    assert connected == ["letters"]
