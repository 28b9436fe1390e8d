"""Generated files are committed, and are what the declarations make of them now."""

import difflib
import json
from pathlib import Path

import pytest

from infra.generate import ROOT, outputs
from shared.schema.registry import records


@pytest.mark.parametrize("name", outputs())
def test_the_committed_file_is_what_the_declarations_make(name: str):
    path = Path(ROOT / name)
    assert path.exists(), f"{name} is missing: run `make generate` and commit it"
    held, made = path.read_text(), outputs()[name]()
    difference = list(difflib.unified_diff(held.splitlines(), made.splitlines(), "committed", "declared", lineterm=""))
    assert held == made, "run `make generate` and commit what it writes:\n" + "\n".join(difference[:40])


@pytest.mark.parametrize("name", outputs())
def test_making_it_twice_makes_the_same(name: str):
    assert outputs()[name]() == outputs()[name]()


def test_nothing_else_lies_among_the_generated_files():
    folder = ROOT / "infra" / "generated"
    found = {path.relative_to(ROOT).as_posix() for path in folder.rglob("*") if path.is_file()}
    assert found == {name for name in outputs() if name.startswith("infra/generated/")}


def test_every_record_is_in_the_dictionary_and_its_tables_among_the_tables():
    made = {name: write() for name, write in outputs().items() if name.endswith(("dictionary.md", "bigquery.json"))}
    tables = json.loads(made["infra/generated/bigquery.json"])
    for record in records():
        assert f"## {record.__name__}\n" in made["docs/data-dictionary.md"]
        if record.table is not None:
            assert record.table.name in tables
