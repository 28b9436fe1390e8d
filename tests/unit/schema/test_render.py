"""SQL from files: names rendered in, strictly."""

import pytest
from jinja2 import TemplateNotFound, UndefinedError

from shared.schema.sql import render


def test_names_are_filled_in():
    assert "`aso_tenant_demo.stage_counts`" in render("ops/record_counts.sql", dataset="aso_tenant_demo")


def test_a_name_that_is_missing_raises_rather_than_leaving_a_hole():
    with pytest.raises(UndefinedError, match="dataset"):
        render("ops/record_counts.sql")


def test_a_file_that_is_missing_raises():
    with pytest.raises(TemplateNotFound):
        render("ops/nothing.sql", dataset="d")


def test_a_file_outside_the_product_cannot_be_read():
    with pytest.raises(TemplateNotFound):
        render("../pyproject.toml")


def test_nothing_is_escaped_as_html():
    assert "a<b" in render("ops/record_counts.sql", dataset="a<b")
