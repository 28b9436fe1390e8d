"""Which days of which entities are made anew."""

from datetime import date, timedelta

from shared.analytics.days import Changes
from shared.analytics.entities import Entity, Group
from shared.analytics.rebuild import Work
from shared.analytics.records import RETENTION_DAYS

DAY = date(2026, 11, 20)
VISITS = Entity("email_type", "ac_campaigns", (), reads=("ga_traffic_sources",), late_days=2)
SENDS = Entity("email_campaign", "ac_campaigns", ())
LISTS = Entity("email_list", "ac_lists", (), reads=("ac_contacts",), stock_days=10, late_days=3)
SEGMENTS = Entity("contact_segment", "ac_contacts", (), stock_days=10)
TABLES = Entity("source_table", "", (), stock_days=10, of_all=True)
COLUMNS = Entity("table_column", "", (), of_all=True)
ARRIVALS = Entity("arrival", "", (), stock_days=5)


def ago(*days: int) -> list[date]:
    return sorted(DAY - timedelta(days=number) for number in days)


def work(*entities: Entity, made_until: date | None = None, **changed: int) -> Work:
    """Of tables in which something of a day, so many days ago, changed."""
    days = {table: DAY - timedelta(days=number) for table, number in changed.items()}
    told = Changes({table: frozenset({day}) for table, day in days.items()}, days)
    return Work.of(Group("email", entities), told, made_until, DAY)


def test_visits_of_a_day_change_the_sends_of_the_days_before():
    assert work(VISITS, SENDS, ga_traffic_sources=5).days == ago(5, 6, 7)


def test_what_does_not_wait_is_made_anew_for_its_day_alone():
    assert work(SENDS, ac_campaigns=5).days == ago(5)
    assert work(SENDS, ga_traffic_sources=5).days == []


def test_what_is_told_today_stands_since_before():
    # Yesterday's row was made before the sync of today told of yesterday.
    assert work(LISTS, made_until=DAY, ac_contacts=-1).stocks == {10: ago(0, 1, 2)}
    assert work(SEGMENTS, made_until=DAY, ac_contacts=-1).stocks == {}


def test_stocks_are_made_up_to_the_last_day_though_nothing_changed():
    assert work(LISTS, made_until=DAY - timedelta(days=1)).stocks == {10: ago(0)}


def test_not_more_days_are_made_anew_than_somebody_looks_back():
    assert work(LISTS, ac_contacts=400).stocks == {10: ago(*range(10))}


def test_what_is_made_of_every_table_is_made_anew_for_the_days_of_any():
    made = work(TABLES, COLUMNS, ac_lists=2, ga_traffic_sources=5)
    assert made.days == ago(2, 5)
    assert made.stocks == {10: ago(0, 1, 2, 3, 4, 5)}


def test_what_stands_on_no_table_is_made_when_something_was_told_of_it():
    assert work(ARRIVALS, ac_lists=2).stocks == {}
    told = Changes({}, {"": DAY - timedelta(days=100)})
    assert Work.of(Group("data", (ARRIVALS,)), told, None, DAY).stocks == {5: ago(0, 1, 2, 3, 4)}


def test_what_is_told_by_others_of_the_group_is_made_after_them():
    assert list(work(ARRIVALS, TABLES, made_until=DAY - timedelta(days=1)).stocks) == [10, 5]


def test_days_that_are_older_than_any_row_are_not_made():
    assert work(SENDS, ac_campaigns=RETENTION_DAYS - 1).days == ago(RETENTION_DAYS - 1)
    assert work(SENDS, ac_campaigns=RETENTION_DAYS).days == []
