"""The paid campaigns of the sample: Google's public figures hide their names, `google / cpc` is one campaign `<Other>`.

The names, and how each day's published figures are shared out among them, are invented. Shared out is without rest:
the day's totals of the source stay as published.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date

import numpy as np

Row = dict[str, object]
COUNTS = ("engagedSessions", "totalUsers", "keyEvents")
"""What sessions may at most be, each; new users may at most be the users."""


@dataclass(frozen=True)
class Campaign:
    """One campaign: its share of the visits.

    most: the visits that its budget is good for, on a day. began: how many days before the last one, where it is young.
    """

    name: str
    share: float
    most: int | None = None
    began: int | None = None

    def share_of(self, visits: int, ago: int) -> float:
        """Its share of a day's visits, so many days before the last one."""
        if self.began is not None and ago > self.began:
            return 0.0
        return self.share if self.most is None else min(self.share, self.most / visits)


BRAND = Campaign("Search - Brand", 0.30, most=38)
APPAREL = Campaign("Search - Apparel", 0.19)
DRINKWARE = Campaign("Search - Drinkware", 0.15)
BAGS = Campaign("Search - Bags", 0.12)
SHOPPING = Campaign("Shopping - All products", 0.18)
DISPLAY = Campaign("Display - New visitors", 0.06, began=44)
CAMPAIGNS = (BRAND, APPAREL, DRINKWARE, BAGS, SHOPPING, DISPLAY)


def named(rows: Sequence[Row], last_day: date) -> list[Row]:
    """Rows of the sources with the paid campaigns' names, in the order in which they came."""
    found: list[Row] = []
    for row in rows:
        paid = (row["sessionSource"], row["sessionMedium"], row["sessionCampaignName"]) == ("google", "cpc", "<Other>")
        found += _shared_out(row, last_day) if paid else [row]
    return found


def _shared_out(row: Row, last_day: date) -> list[Row]:
    day = row["date"]
    assert isinstance(day, date)
    ago = (last_day - day).days
    random = np.random.default_rng([2021, ago])
    total = int(str(row["sessions"]))
    weights = np.array([campaign.share_of(total, ago) for campaign in CAMPAIGNS])
    sessions = random.multinomial(total, weights / weights.sum())
    counts = {name: _part(random, sessions, row[name]) for name in COUNTS}
    counts |= {"newUsers": _part(random, counts["totalUsers"], row["newUsers"])}
    parts = [
        row
        | {"sessionCampaignName": campaign.name, "sessions": int(visits)}
        | {name: int(values[number]) for name, values in counts.items()}
        for number, (campaign, visits) in enumerate(zip(CAMPAIGNS, sessions, strict=True))
    ]
    return [part for part in parts if part["sessions"]]


def _part(random: np.random.Generator, of: np.ndarray, total: object) -> np.ndarray:
    """So many of these, drawn without putting back; of no more than there are."""
    return random.multivariate_hypergeometric(of, min(int(str(total)), int(of.sum())))
