"""The people on the sample's lists: who joined when, who has left, who still opens. All invented.

Some are Stripe's buyers, by their addresses: buyer-1 to buyer-150, shopper-0 to shopper-59, regular-0 to regular-11.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import date, timedelta
from functools import cache
from random import Random

from infra.local.sample.mail_sends import CUSTOMERS_LIST, NEWSLETTER_LIST, PRODUCT_NEWS, PROMOTION, Send, sends

CONTACTS = 1330
IMPORTED, IMPORTED_AGO, BAD_ADDRESSES = 40, 13, 28
"""Visitors of a fair, imported for the list of customers: most of their addresses are wrong (email_bounce_spike)."""
CUSTOMERS = 340
LEFT, UNREACHABLE = 0.11, 0.015
FED_UP = 27
"""How many leave with a promotion, the third mail in a week (email_unsubscribe_spike)."""
ACTIVE, UNSUBSCRIBED, BOUNCED = 1, 2, 3


@dataclass
class Membership:
    """A contact on a list, since a day; until one, where it is over."""

    list_id: str
    since: date
    status: int = ACTIVE
    until: date | None = None

    def is_active_on(self, day: date) -> bool:
        """True where it may be mailed that day: on its last day it was."""
        return self.since < day and (self.until is None or day <= self.until)


@dataclass
class Contact:
    """One contact; `silent_since` is the day after which it opens nothing any more."""

    number: int
    email: str
    joined: date
    silent_since: date
    memberships: list[Membership] = field(default_factory=list)

    def on(self, list_id: str) -> Membership | None:
        """Its membership of a list."""
        return next((one for one in self.memberships if one.list_id == list_id), None)


@cache
def contacts(today: date) -> Sequence[Contact]:
    """All of them, as they are at the beginning of a day."""
    dice = Random("contacts")  # noqa: S311  (a sample)
    mails = list(sends(today))
    made = [_contact(number, today, dice) for number in range(1, CONTACTS + 1)]
    for contact in made:
        for membership in contact.memberships:
            _leave(membership, mails, dice)
    _spoil(made, mails)
    return made


def reached(people: Sequence[Contact], send: Send) -> list[Contact]:
    """Whom a mail was sent to."""
    list_id = send.letter.list_id
    return [one for one in people if (on := one.on(list_id)) is not None and on.is_active_on(send.day)]


def _contact(number: int, today: date, dice: Random) -> Contact:
    imported = number > CONTACTS - IMPORTED
    # Few have joined of late: the list grows old (email_list_fatigue).
    ago = IMPORTED_AGO if imported else dice.randrange(3, 90) if dice.random() < 0.04 else dice.randrange(240, 900)
    joined = today - timedelta(days=ago)
    chance = dice.random()
    quiet = dice.randrange(1, 50) if chance < 0.5 else dice.randrange(95, 330) if chance < 0.88 else 600
    contact = Contact(number, _email(number), joined, max(joined, today - timedelta(days=quiet)))
    if not imported:
        contact.memberships.append(Membership(NEWSLETTER_LIST, joined))
    if imported or number <= CUSTOMERS:
        contact.memberships.append(Membership(CUSTOMERS_LIST, joined))
    return contact


def _leave(membership: Membership, mails: Sequence[Send], dice: Random) -> None:
    """Some leave with one of the list's mails, and some cannot be reached with one: not lately."""
    chance = dice.random()
    those = [one.day for one in mails if one.letter.list_id == membership.list_id and one.after >= 2]
    days = [day for day in those if day > membership.since]
    if chance < LEFT + UNREACHABLE and days:
        membership.until = dice.choice(days)
        membership.status = UNSUBSCRIBED if chance < LEFT else BOUNCED


def _spoil(people: Sequence[Contact], mails: Sequence[Send]) -> None:
    """What went wrong with the newest mails."""
    [promotion] = [one for one in mails if one.letter is PROMOTION and one.is_newest]
    [news] = [one for one in mails if one.letter is PRODUCT_NEWS and one.is_newest]
    staying = [on for one in reached(people, promotion) if (on := one.on(NEWSLETTER_LIST)) and on.status == ACTIVE]
    for membership in staying[5 :: len(staying) // FED_UP][:FED_UP]:
        membership.status, membership.until = UNSUBSCRIBED, promotion.day
    for contact in people[-IMPORTED:][:BAD_ADDRESSES]:
        for membership in contact.memberships:
            membership.status, membership.until = BOUNCED, news.day


def _email(number: int) -> str:
    if number <= 150:
        return f"buyer-{number}@example.com"
    if number <= 210:
        return f"shopper-{number - 151}@example.com"
    return f"regular-{number - 211}@example.com" if number <= 222 else f"reader-{number}@example.com"
