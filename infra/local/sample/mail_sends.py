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
LATELY = 4
"""So many of a kind's mails are its last."""


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
LETTERS = (
    # Its subject lines were changed: fewer open it (email_open_rate_drop).
    Letter(1, "Newsletter", NEWSLETTER_LIST, (7, 2), 10, 0.42, 0.30, 0.125, fell=(0.62, 0.55, 0.85)),
    # A button that phones do not show (email_click_rate_drop).
    Letter(2, "Promotion", NEWSLETTER_LIST, (7, 5), 18, 0.38, 0.27, 0.11, fell=(1.0, 1.0, 0.4)),
    Letter(3, "Product news", CUSTOMERS_LIST, (8, 3), 12, 0.50, 0.36, 0.07),
)


@dataclass(frozen=True)
class Send:
    """One mail of a kind: on which day, and whether it is among the last ones (0: the last)."""

    letter: Letter
    day: date
    age: int

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
    def is_lost(self) -> bool:
        """Its links lead through a redirect that drops most who click (x_email_to_site_dropoff)."""
        return self.letter.number == 1 and self.age == 1

    @property
    def is_unwelcome(self) -> bool:
        """The third mail in a week: many have had enough (email_unsubscribe_spike)."""
        return self.letter.number == 2 and self.age == 0

    @cached_property
    def rates(self) -> tuple[float, float, float]:
        """Shares of those whom it reached: opened, read, clicked; a mail differs from the next by some."""
        random = np.random.default_rng([2022, self.campaign_id])
        fell = self.letter.fell if self.age < LATELY else (1.0, 1.0, 1.0)
        usual = (self.letter.opened, self.letter.read, self.letter.clicked)
        opened, read, clicked = (
            rate * less * random.lognormal(0, 0.05) for rate, less in zip(usual, fell, strict=True)
        )
        return opened, min(read, opened), min(clicked, opened)


def sends(today: date) -> Iterator[Send]:
    """All of them until yesterday, the oldest first."""
    days = [today - timedelta(days=ago) for ago in range(HISTORY_DAYS, 0, -1)]
    left = {letter: sum(letter.is_sent_on(day) for day in days) for letter in LETTERS}
    for day in days:
        for letter in LETTERS:
            if letter.is_sent_on(day):
                left[letter] -= 1
                yield Send(letter, day, left[letter])
