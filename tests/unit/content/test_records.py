"""Content pieces and keywords as BigQuery sees them: spec's columns, and lists that are JSON."""

from datetime import UTC, datetime
from typing import Any

import pytest
from pydantic import ValidationError

from shared.content.records import Keyword
from shared.schema.bigquery import columns

NOW = datetime(2026, 1, 1, tzinfo=UTC)


def keyword(**fields: Any) -> Keyword:
    return Keyword.model_validate({"keyword": "shoes", "tenant_id": "demo", "created_at": NOW, **fields})


def test_histories_are_json_columns():
    types = {column.name: (column.type, column.mode) for column in columns(Keyword)}
    assert types["serp_history"] == types["competitor_rankings"] == ("JSON", "NULLABLE")
    assert types["last_checked"] == ("TIMESTAMP", "NULLABLE")


def test_a_history_is_stored_with_its_days_as_text():
    found = keyword(serp_history=[{"date": "2026-01-02", "position": 3}]).document()
    assert found["serp_history"] == [{"date": "2026-01-02", "position": 3.0, "url": None}]


@pytest.mark.parametrize(
    "wrong",
    [
        {"serp_history": [{"position": 3}]},
        {"serp_history": {"date": "2026-01-02"}},
        {"serp_history": [{"date": "2026-01-02", "position": 0}]},
        {"competitor_rankings": [{"position": 3}]},
        {"difficulty_score": 101},
        {"current_ranking": 0},
        {"intent": "navigational"},
    ],
)
def test_what_is_no_keyword_is_refused_by_the_fields_name(wrong: dict[str, Any]):
    with pytest.raises(ValidationError) as refused:
        keyword(**wrong)
    assert {error["loc"][0] for error in refused.value.errors()} == wrong.keys()
