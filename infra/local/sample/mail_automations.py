"""The automations of the sample's shop, and who passed through them in a hundred days. All invented."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, timedelta
from random import Random

PASSAGE_DAYS = 100
WAIT_DAYS = 3
BLOCKS_EACH = 20
"""Ids of an automation's blocks: this many each."""


@dataclass(frozen=True)
class Automation:
    """One automation: its mails, which of a hundred go on after each, how many enter a day, since when none does.

    before: contacts that entered it before those days.
    """

    number: int
    name: str
    goes_on: tuple[float, ...]
    a_day: float
    before: int
    stopped: int = 0

    @property
    def steps(self) -> int:
        return len(self.goes_on)

    def campaign_id(self, step: int) -> int:
        """Of its mail number `step`, from 1 on."""
        return self.number * 10 + step

    def block_id(self, position: int) -> int:
        """Of its block at a place: the start, then a mail and a wait in turn, and the end."""
        return self.number * BLOCKS_EACH + position

    @property
    def end(self) -> int:
        """Position of its last block."""
        return 2 * self.steps


AUTOMATIONS = (
    # The third mail asks for a review of what has not arrived yet (email_automation_dropoff).
    Automation(1, "After an order", (0.96, 0.94, 0.35, 1.0), 3.4, 2140),
    # A release took away the form that starts it (email_automation_stalled).
    Automation(2, "Abandoned cart", (0.9, 0.88, 1.0), 2.6, 1650, stopped=16),
    Automation(3, "Win back", (0.93, 0.9, 1.0), 0.8, 480),
)


@dataclass(frozen=True)
class Passage:
    """One contact on its way: the day on which it entered, its last block's position and day, and whether it left."""

    automation: Automation
    contact: int
    entered: date
    mails: int
    position: int
    last: date
    left: bool
    completed: bool


def passages(today: date, contacts: int) -> Iterator[Passage]:
    """All of them, the oldest first."""
    dice = Random("automations")  # noqa: S311  (a sample)
    for ago in range(PASSAGE_DAYS, 0, -1):
        for automation in AUTOMATIONS:
            number = int(automation.a_day + dice.random())
            for _ in range(number):
                way = _way(automation, dice.randrange(1, contacts + 1), today - timedelta(days=ago), today, dice)
                if ago > automation.stopped:
                    yield way


def _way(automation: Automation, contact: int, entered: date, today: date, dice: Random) -> Passage:
    mails = 1
    for goes_on in automation.goes_on[:-1]:
        next_on = entered + timedelta(days=WAIT_DAYS * mails)
        leaves = dice.random() >= goes_on
        if leaves and next_on - timedelta(days=1) < today:
            # It unsubscribes, or reaches another automation's goal, while it waits.
            last = next_on - timedelta(days=1)
            return Passage(automation, contact, entered, mails, 2 * mails, last, left=True, completed=False)
        if leaves or next_on >= today:
            last = next_on - timedelta(days=WAIT_DAYS)
            return Passage(automation, contact, entered, mails, 2 * mails, last, left=False, completed=False)
        mails += 1
    last = entered + timedelta(days=WAIT_DAYS * (mails - 1))
    return Passage(automation, contact, entered, mails, automation.end, last, left=True, completed=True)
