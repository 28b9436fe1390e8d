"""What the README claims, held against the code."""

import re
from datetime import datetime
from pathlib import Path

from pydantic import Field

from infra.local.sample import Sample
from shared.schema import record as schema
from shared.schema.firestore import indexes
from shared.streaming.tables import EXTENSION_COLUMNS, base_table, exact_view, log_table

ROOT = Path(__file__).parents[2]
README = (ROOT / "README.md").read_text()


def test_the_collection_that_it_adds_becomes_three_tables_and_an_index():
    [example] = re.findall(r"```python\n(class .*?)```", README, re.S)
    names = {**vars(schema), "Field": Field, "datetime": datetime, "__name__": "an.example"}
    exec(example, names)
    refund = names["Refund"]
    assert log_table(refund).table == "refunds_raw_changelog"
    assert log_table(refund).column_names()[:8] == tuple(column.name for column in EXTENSION_COLUMNS)
    assert base_table(refund).table == "refunds_base"
    assert "refunds_base" in exact_view(refund, "aso_tenant_x")
    assert indexes([refund])["indexes"][0]["collectionGroup"] == "refunds"


def test_its_table_of_incidents_is_what_the_sample_carries():
    rows = re.findall(r"^\| \w[\w ]* `([^`]+)` \| .* \| last (\d+) \| (\w+) \|$", README, re.M)
    sample = Sample.load()
    expected = {
        (each.entity, str((sample.last_day - each.first_day).days + 1), each.detector) for each in sample.incidents()
    }
    assert set(rows) == expected


def test_every_target_that_it_names_exists():
    makefile = (ROOT / "Makefile").read_text()
    for target in set(re.findall(r"(?:^|`)make ([a-z]+)", README, re.M)):
        assert re.search(rf"^{target}:", makefile, re.M), target


def test_every_file_that_it_links_to_exists():
    for link in re.findall(r"\]\(([^)#:]+)\)", README):
        assert (ROOT / link).exists(), link


def test_every_test_that_the_documents_name_exists():
    written = "\n".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    there = set(re.findall(r"^\s*(?:async )?def (test_\w+)", written, re.M))
    for document in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        named = set(re.findall(r"`(test_\w+)`", document.read_text()))
        assert named <= there, f"{document.name}: {sorted(named - there)}"


def test_every_bench_that_the_documents_name_exists():
    written = "\n".join(path.read_text() for path in (ROOT / "tests" / "bench").glob("*.py"))
    names = re.findall(r"^def (\w+)\(\) -> Figure", written, re.M)
    for document in (ROOT / "README.md", ROOT / "docs" / "streaming.md"):
        for wanted in re.findall(r"make bench ONLY=(\w+)", document.read_text()):
            assert wanted == "name" or any(name.startswith(wanted) for name in names), wanted
