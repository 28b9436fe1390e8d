"""The sample's mails: what is planted into them stands out, on some days of the week, and its parts agree.

The rules are restated here from docs/detectors, over the account's own objects; nothing of the detectors' code is used.
"""

from collections import Counter
from datetime import date, timedelta
from statistics import median
from typing import Any

import pytest

from infra.local.sample import Sample
from infra.local.sample.activecampaign import PLANTED, objects
from infra.local.sample.mail_automations import AUTOMATIONS, Automation, passages
from infra.local.sample.mail_contacts import CONTACTS, contacts
from infra.local.sample.mail_sends import LETTERS, NEWSLETTER, PRODUCT_NEWS, PROMOTION, Letter, Send, sends
from infra.local.sample.stripe import objects as payments

MONDAY = date(2026, 11, 16)
EVERY_DAY = pytest.mark.parametrize("today", [MONDAY + timedelta(days=offset) for offset in (0, 3, 6)], ids=str)
Row = dict[str, Any]
SETTLING = (0, 3)
"""Days that are not judged yet, at the least and at the most."""


def campaigns(today: date, letter: Letter) -> list[tuple[Send, Row]]:
    """The sends of a kind, the newest first, with their campaigns."""
    found = {row["id"]: row for row in objects(today)["campaigns"]}
    return [(one, found[str(one.campaign_id)]) for one in reversed(list(sends(today))) if one.letter is letter]


def delivered(row: Row) -> int:
    return int(row["send_amt"]) - int(row["hardbounces"]) - int(row["softbounces"])


def rate(rows: list[Row], name: str) -> float:
    return sum(int(row[name]) for row in rows) / sum(delivered(row) for row in rows)


def windows(today: date, letter: Letter, settling: int) -> tuple[list[Row], list[Row]]:
    """The last four sends that are judged, and those before them, of 91 days."""
    judged = [row for one, row in campaigns(today, letter) if settling < one.ago <= 91]
    return judged[:4], judged[4:16]


@EVERY_DAY
@pytest.mark.parametrize("settling", SETTLING)
def test_opens_of_newsletters_and_clicks_of_promotions_fell(today: date, settling: int):
    for letter, fallen, held in (
        (NEWSLETTER, "verified_unique_opens", None),
        (PROMOTION, "subscriberclicks", "uniqueopens"),
    ):
        now, before = windows(today, letter, settling)
        assert len(before) >= 6
        assert min(sum(map(delivered, now)), sum(map(delivered, before))) > 3 * 1250
        assert rate(now, fallen) < 0.75 * rate(before, fallen)
        assert median(rate([row], fallen) for row in now) < 0.75 * rate(before, fallen)
        if held is not None:
            assert rate(now, held) > 0.9 * rate(before, held)


@EVERY_DAY
def test_one_promotion_is_unwelcome_and_one_product_news_does_not_arrive(today: date):
    unwelcome = [one for one in campaigns(today, PROMOTION) if rate([one[1]], "unsubscribes") > 0.015]
    bounced = [one for one in campaigns(today, PRODUCT_NEWS) if rate([one[1]], "hardbounces") > 0.04]
    [promotion, news] = [*unwelcome, *bounced]
    assert 4 < promotion[0].ago <= 14
    assert 4 < news[0].ago <= 14
    assert delivered(promotion[1]) > 1000
    assert int(news[1]["send_amt"]) > 300
    usual = [row for letter in LETTERS for _, row in campaigns(today, letter) if row not in (promotion[1], news[1])]
    assert rate(usual, "unsubscribes") < 0.0025
    assert rate(usual, "hardbounces") < 0.005


@EVERY_DAY
def test_ever_fewer_readers_of_the_newsletter_answer(today: date):
    shares = []
    for ago in range(180, 0, -30):
        day = today - timedelta(days=ago)
        active = [one for one in contacts(today) if (on := one.on("1")) is not None and on.is_active_on(day)]
        assert len(active) >= 1000
        shares.append(sum(day < one.silent_since + timedelta(days=90) for one in active) / len(active))
    assert all(later < earlier for earlier, later in zip(shares, shares[1:], strict=False))
    assert shares[0] - shares[-1] > 0.15


def sent_by(today: date, automation: Automation) -> Counter[int]:
    """Mails of an automation by how many days ago they were sent."""
    return Counter(
        (today - way.entered).days - 3 * step
        for way in passages(today, CONTACTS)
        if way.automation is automation
        for step in range(way.mails)
    )


@EVERY_DAY
@pytest.mark.parametrize("settling", SETTLING)
def test_the_second_automation_sends_no_more_and_the_others_do(today: date, settling: int):
    for automation in AUTOMATIONS:
        sent = sent_by(today, automation)
        weeks = [sum(sent[settling + 7 * week + day] for day in range(1, 8)) for week in range(5)]
        stalled = automation is AUTOMATIONS[1]
        assert (weeks[0] == 0) is stalled
        assert min(weeks[1:]) > 0
        assert not stalled or sum(weeks[1:]) >= 80


@EVERY_DAY
def test_the_third_mail_of_the_first_automation_loses_most(today: date):
    recent = [way for way in passages(today, CONTACTS) if (today - way.entered).days <= 90]
    kept = []
    for step in (1, 2, 3):
        sent = [way for way in recent if way.automation is AUTOMATIONS[0] and way.mails >= step]
        assert len(sent) >= 200
        kept.append(1 - sum(way.left and not way.completed and way.mails == step for way in sent) / len(sent))
    assert kept[2] < 0.5 * median(kept)
    assert min(kept[:2]) > 0.9


@EVERY_DAY
def test_clicks_become_visits_but_for_one_newsletters(today: date):
    rows = Sample.load(today).report("ga_traffic_sources")
    visits = Counter[str]()
    for row in rows:
        if row["sessionDefaultChannelGroup"] == "Email":
            visits[str(row["sessionCampaignName"])] += int(str(row["sessions"]))
    lost = []
    for letter in LETTERS:
        for one, row in campaigns(today, letter):
            clicks = int(row["subscriberclicks"])
            if 3 <= one.ago <= 60 and clicks >= 40:
                arrived = visits[one.utm_campaign] / clicks
                assert arrived < 0.4 or arrived > 0.7
                lost += [(letter, one.ago, clicks)] if arrived < 0.4 else []
    [(letter, ago, clicks)] = lost
    assert letter is NEWSLETTER
    assert 4 < ago <= 24
    assert clicks >= 100


@EVERY_DAY
def test_visits_by_mail_are_a_part_of_what_was_published(today: date):
    report = Sample.load(today).report("ga_traffic_sources")
    assert min(int(str(row["sessions"])) for row in report) > 0
    for row in report:
        assert int(str(row["keyEvents"])) <= int(str(row["sessions"]))
        assert int(str(row["newUsers"])) <= int(str(row["totalUsers"]))


@EVERY_DAY
def test_contacts_and_the_counts_of_mails_agree(today: date):
    found = objects(today)
    ended = Counter((one["list"], one["status"], one["udate"][:10]) for one in found["contactLists"] if one["udate"])
    for status, name in (("2", "unsubscribes"), ("3", "hardbounces")):
        told = Counter[tuple[str, str, str]]()
        for one in sends(today):
            row = next(row for row in found["campaigns"] if row["id"] == str(one.campaign_id))
            told[one.letter.list_id, status, one.day.isoformat()] = int(row[name])
        assert +told == Counter({key: count for key, count in ended.items() if key[1] == status})


@EVERY_DAY
def test_as_many_opened_a_mail_as_are_counted_and_whose_last_one_it_is_are_among_them(today: date):
    found = objects(today)
    by_day: dict[str, set[str]] = {}
    for row in found["campaigns"]:
        if "_openers" in row:
            assert len(set(row["_openers"])) == len(row["_openers"]) == int(row["uniqueopens"])
            by_day.setdefault(row["sdate"][:10], set()).update(row["_openers"])
    opened = [row for row in found["contacts"] if row["last_open_date"] and row["bounced_hard"] == "0"]
    assert len(opened) > 1000
    assert [row["id"] for row in opened if row["id"] not in by_day[row["last_open_date"][:10]]] == []


def test_buyers_of_stripe_are_among_the_contacts():
    buyers = {one["email"] for one in payments(MONDAY)["customers"]}
    contacted = {one["email"] for one in objects(MONDAY)["contacts"]}
    assert len(buyers & contacted) >= 200
    assert {f"buyer-{number}@example.com" for number in range(1, 151)} <= buyers & contacted


def test_the_account_is_small_and_the_same_each_time():
    found = objects(MONDAY)
    counted = ("campaigns", "messages", "automationBlocks", "contactAutomations", "contacts")
    assert sum(len(found[name]) for name in counted) < 2500
    objects.cache_clear()
    contacts.cache_clear()
    assert objects(MONDAY) == found
    for name, rows in found.items():
        assert len({row["id"] for row in rows}) == len(rows), name


def test_what_is_planted_is_told_with_a_detector_that_there_is():
    assert {one.detector for one in PLANTED} == {
        "email_open_rate_drop",
        "email_click_rate_drop",
        "email_unsubscribe_spike",
        "email_bounce_spike",
        "email_list_fatigue",
        "email_automation_stalled",
        "email_automation_dropoff",
        "x_email_to_site_dropoff",
    }
