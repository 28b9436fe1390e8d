from datetime import UTC, datetime
from typing import Any

import pytest

from shared.dashboard.outcome import percent, tell

OUTCOME: dict[str, Any] = {
    "verdict": "paid", "metric": "conversions / sessions", "before": 0.02, "after": 0.03, "peers": 9,
    "compared_with": "peers", "peers_change": 0.1, "effect": 0.36, "effect_low": 0.2, "effect_high": 0.55,
    "gained_value": 120.0, "currency": "EUR",
}  # fmt: skip


@pytest.mark.parametrize(
    ("share", "said"), [(0.36, "+36 %"), (-0.36, "\u221236 %"), (0.034, "+3.4 %"), (0.0996, "+10 %"), (0.0, "+0.0 %")]
)
def test_share_has_its_sign(share: float, said: str):
    assert percent(share) == said


def test_verdict_is_told_with_its_figures():
    told = tell({"status": "completed", "outcome": OUTCOME})
    assert told is not None
    assert (told.headline, told.gained, told.currency) == ("It paid", 120.0, "EUR")
    assert told.said == "Conversion rate: +36 % beyond what 9 peers did meanwhile."
    assert told.rows == (
        ("28 days before", "2.00 %"),
        ("28 days after", "3.00 %"),
        ("9 peers meanwhile", "+10 %"),
        ("90 % interval", "+20 % to +55 %"),
    )


def test_effect_that_may_be_chance_says_so_and_why_no_gain_is_stated():
    unclear = {**OUTCOME, "verdict": "unclear", "compared_with": "site", "gained_value": None}
    told = tell({"outcome": {**unclear, "gained_reason": "Not told apart from chance."}})
    assert told is not None
    assert told.said.endswith("beyond what all others of its kind did meanwhile, which may be chance.")
    assert (told.gained, told.gained_reason) == (None, "Not told apart from chance.")


def test_outcome_without_a_verdict_says_why():
    told = tell({"outcome": {"verdict": None, "reason": "No peers: cannot say."}})
    assert told is not None
    assert (told.headline, told.said, told.rows) == ("It cannot be said", "No peers: cannot say.", ())


def test_completed_one_says_when_it_will_be_known_and_others_say_nothing():
    told = tell({"status": "completed", "completed_at": datetime(2026, 3, 31, 22, tzinfo=UTC)})
    assert told is not None
    assert "30 Apr 2026" in told.said
    assert tell({"status": "new"}) is None
    assert tell({"status": "completed", "completed_at": "?"}) is None
