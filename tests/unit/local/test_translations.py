"""What the emulator translated is remembered: for tenants alike, by what it depends on, across emulators."""

from pathlib import Path
from typing import Any

import pytest
import sqlglot
from bqemulator.domain.result import Err, Ok

from infra.local.translations import Translations, Trees

SQL = "SELECT a FROM `aso_tenant_one.t` JOIN `aso_tenant_other.t`"


class Translator:
    """Counts what it is asked; refuses what is no SELECT."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def translate(self, bq_sql: str, *, schema: Any = None, caller: Any = None) -> Any:
        self.asked.append(bq_sql)
        return Ok(f"project__{bq_sql.split('`')[1]} of {bq_sql}") if bq_sql.startswith("SELECT") else Err(bq_sql)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "kept" / "translations.sqlite"


def test_a_statement_is_translated_once_for_all_tenants_and_by_all_emulators(path: Path):
    translator = Translator()
    translate = Translations(path).translate(Translator.translate)
    first = translate(translator, SQL)
    assert first.value == f"project__aso_tenant_one.t of {SQL}"
    other = translate(translator, SQL.replace("one", "two"))
    assert other.value == first.value.replace("one", "two")
    again = Translations(path).translate(Translator.translate)
    assert again(translator, SQL).value == first.value
    assert len(translator.asked) == 1


def test_other_columns_another_caller_or_one_dataset_for_two_are_other_statements(path: Path):
    translator = Translator()
    translate = Translations(path).translate(Translator.translate)
    translate(translator, SQL, schema={"t": {"a": "INT"}})
    translate(translator, SQL, schema={"t": {"a": "TEXT"}})
    translate(translator, SQL, schema={"t": {"a": "INT"}}, caller="somebody")
    translate(translator, SQL.replace("other", "one"), schema={"t": {"a": "INT"}})
    assert len(translator.asked) == 4


def test_what_is_refused_is_refused_again(path: Path):
    translator = Translator()
    translate = Translations(path).translate(Translator.translate)
    assert isinstance(translate(translator, "DROP `aso_tenant_one.t`"), Err)
    assert isinstance(translate(translator, "DROP `aso_tenant_one.t`"), Err)
    assert len(translator.asked) == 2


def test_names_of_tables_depend_on_the_project(path: Path):
    qualify = Translations(path).qualify(lambda sql, project: sql.replace("aso_", f"{project}__aso_"))
    assert qualify("SELECT aso_tenant_a.t", "p") == "SELECT p__aso_tenant_a.t"
    assert qualify("SELECT aso_tenant_b.t", "q") == "SELECT q__aso_tenant_b.t"


def test_a_tree_that_somebody_changes_is_nobody_elses():
    text = "SELECT " + ", ".join(f"c{number}" for number in range(80)) + " FROM t"
    trees = Trees(sqlglot.parse_one)
    tree = trees.copied(text, read="bigquery")
    tree.find(sqlglot.exp.Table).set("this", sqlglot.exp.to_identifier("changed"))
    assert trees.copied(text, read="bigquery").find(sqlglot.exp.Table).name == "t"
    assert trees.parse_one(text, read="bigquery") is trees.parse_one(text, read="bigquery")
