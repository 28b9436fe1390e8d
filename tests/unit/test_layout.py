"""Each folder of functions/ is one function of the same shape: short, explained, declared."""

import ast
from pathlib import Path

import pytest

from infra.functions import load_function

FOLDERS = sorted(path.parent for path in (Path(__file__).resolve().parents[2] / "functions").glob("*/main.py"))
LINES = 45

EACH = pytest.mark.parametrize("folder", FOLDERS, ids=lambda folder: folder.name)


def test_there_are_functions():
    assert len(FOLDERS) >= 8


@EACH
def test_a_function_fits_a_screen(folder: Path):
    lines = (folder / "main.py").read_text().splitlines()
    assert len(lines) <= LINES, f"{len(lines)} lines: decode, call a service, respond; the rest belongs into shared/"


@EACH
def test_a_function_says_what_it_does_what_triggers_it_and_why_a_repeat_is_safe(folder: Path):
    said = ast.get_docstring(ast.parse((folder / "main.py").read_text())) or ""
    first, _, rest = said.partition("\n\n")
    assert first.endswith("."), "the docstring opens with a sentence"
    for word in ("Trigger:", "Repeats:"):
        assert any(line.startswith(word) for line in rest.splitlines()), f"the docstring has no line `{word}`"


@EACH
def test_a_function_declares_its_triggers_and_limits(folder: Path):
    declared = load_function(folder)
    assert declared.name == folder.name
    assert declared.service_account.replace("-", "_") == folder.name, "each function has an account of its own"


@EACH
def test_a_functions_entry_point_is_called_as_its_folder(folder: Path):
    body = ast.parse((folder / "main.py").read_text()).body
    functions = [node for node in body if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    decorated = [
        node for node in functions if any("functions_framework" in ast.unparse(d) for d in node.decorator_list)
    ]
    assert [node.name for node in decorated] == [folder.name]


@EACH
def test_the_entry_point_takes_what_its_trigger_sends(folder: Path):
    decorators = {"@functions_framework.aio.cloud_event"}
    if load_function(folder).trigger.firestore is None:
        decorators = {"@functions_framework.http", "@functions_framework.aio.http"}
    assert decorators & set((folder / "main.py").read_text().splitlines())


@EACH
def test_what_the_docstring_names_as_a_topic_is_declared(folder: Path):
    said = ast.get_docstring(ast.parse((folder / "main.py").read_text())) or ""
    for topic in load_function(folder).trigger.topics:
        assert f"`{topic}`" in said, f"the docstring does not say that topic `{topic}` triggers it"
