"""The mails that the sample's shop sends to its lists: three kinds, in 400 days. All invented.

A mail is the same on whatever day it is looked at, but for the last few of each kind: some of them went wrong.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cached_property

import numpy as np

HISTORY_DAYS = 400
EPOCH = date(2020, 1, 1)
NEWSLETTER_LIST, CUSTOMERS_LIST = "1", "2"
LATELY = 5
"""So many of a kind's mails are its last."""
SETTLED = 4
"""A mail so many days old is judged: clicks and visits have come in."""


@dataclass(frozen=True)
class Letter:
    """One kind of mail: its list, when it is sent, and the shares of those that it reaches who open and click.

    opened includes machines, read does not. days: it is sent on those whose number leaves this rest.
    """

    number: int
    name: str
    list_id: str
    days: tuple[int, int]
    hour: int
    opened: float
    read: float
    clicked: float
    fell: tuple[float, float, float] = (1.0, 1.0, 1.0)

    def is_sent_on(self, day: date) -> bool:
        """True on a day of its own."""
        every, rest = self.days
        return day.toordinal() % every == rest


# Days are counted from a Monday, 1: Tuesdays leave 2, Fridays 5.
# Its subject lines were changed: fewer open it (email_open_rate_drop).
NEWSLETTER = Letter(1, "Newsletter", NEWSLETTER_LIST, (7, 2), 10, 0.42, 0.30, 0.125, fell=(0.62, 0.55, 0.85))
# A button that phones do not show (email_click_rate_drop).
PROMOTION = Letter(2, "Promotion", NEWSLETTER_LIST, (7, 5), 18, 0.38, 0.27, 0.11, fell=(1.0, 1.0, 0.4))
PRODUCT_NEWS = Letter(3, "Product news", CUSTOMERS_LIST, (8, 3), 12, 0.50, 0.36, 0.07)
LETTERS = (NEWSLETTER, PROMOTION, PRODUCT_NEWS)


@dataclass(frozen=True)
class Send:
    """One mail of a kind: on which day, how many days ago that is, and how many of its kind came after it."""

    letter: Letter
    day: date
    ago: int
    after: int

    @property
    def campaign_id(self) -> int:
        """Grows with the day."""
        return (self.day - EPOCH).days * 10 + self.letter.number

    @property
    def name(self) -> str:
        return f"{self.letter.name} | {self.day}"

    @property
    def utm_campaign(self) -> str:
        return f"{self.letter.name.lower().replace(' ', '-')}-{self.day}"

    @property
    def names_itself(self) -> bool:
        """True where somebody wrote the campaign's name into its links: every third of the product news."""
        every, _ = self.letter.days
        return self.letter is PRODUCT_NEWS and self.day.toordinal() // every % 3 == 0

    @property
    def is_newest(self) -> bool:
        """True for the newest of its kind that is old enough to be judged: there its kind's own trouble is seen."""
        return SETTLED < self.ago <= SETTLED + self.letter.days[0]

    @property
    def is_lost(self) -> bool:
        """Its links lead through a redirect that drops most who click (x_email_to_site_dropoff): a newsletter."""
        every = self.letter.days[0]
        return self.letter is NEWSLETTER and SETTLED + every < self.ago <= SETTLED + 2 * every

    @cached_property
    def rates(self) -> tuple[float, float, float]:
        """Shares of those whom it reached: opened, read, clicked; a mail differs from the next by some."""
        random = np.random.default_rng([2022, self.campaign_id])
        fell = self.letter.fell if self.after < LATELY else (1.0, 1.0, 1.0)
        usual = (self.letter.opened, self.letter.read, self.letter.clicked)
        opened, read, clicked = (
            rate * less * random.lognormal(0, 0.05) for rate, less in zip(usual, fell, strict=True)
        )
        return opened, min(read, opened), min(clicked, opened)


def sends(today: date) -> Iterator[Send]:
    """All of them until yesterday, the oldest first."""
    days = {ago: today - timedelta(days=ago) for ago in range(HISTORY_DAYS, 0, -1)}
    left = {letter: sum(letter.is_sent_on(day) for day in days.values()) for letter in LETTERS}
    for ago, day in days.items():
        for letter in LETTERS:
            if letter.is_sent_on(day):
                left[letter] -= 1
                yield Send(letter, day, ago, left[letter])
