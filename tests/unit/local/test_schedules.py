"""When a schedule ticks."""

from datetime import UTC, datetime

import pytest

from infra.local.schedules import seconds_until_next

NOW = datetime(2026, 3, 1, 4, 59, 30, tzinfo=UTC)


@pytest.mark.parametrize(
    ("cron", "seconds"), [("* * * * *", 30), ("0 5 * * *", 30), ("*/15 * * * *", 30), ("1 5 * * *", 90)]
)
def test_the_next_tick_is_the_next_match_in_utc(cron, seconds):
    assert seconds_until_next(cron, NOW) == seconds


def test_a_match_right_now_is_not_the_next_one():
    assert seconds_until_next("0 5 * * *", NOW.replace(hour=5, minute=0, second=0)) == 24 * 3600
