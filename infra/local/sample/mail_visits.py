"""Visits of the sample that came by its mails: what `<Other> / <Other>` is, the public figures hide; a part is them.

They are taken from that source's rows without rest: the days' totals stay as published. All invented, as the mails are.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from datetime import date, timedelta
from functools import cache

import numpy as np

from infra.local.sample.activecampaign import objects
from infra.local.sample.mail_sends import sends

Row = dict[str, object]
HIDDEN = ("<Other>", "<Other>", "<Other>")
MAIL: Row = {
    "sessionSource": "activecampaign",
    "sessionMedium": "email",
    "sessionDefaultChannelGroup": "Email",
}
ARRIVED, LOST_ARRIVED = 0.88, 0.22
"""Of a hundred who click so many are seen to arrive; most miss the page, where the mail's links lead astray."""
LATER = (0.66, 0.24, 0.10)
"""When they do: on the day of the mail, and on the days after it."""
ENGAGED, BOUGHT = 0.74, 0.035


def mailed(rows: Sequence[Row], last_day: date) -> list[Row]:
    """Rows of the sources with those of the mails' campaigns, each after the row that it is taken from."""
    found: list[Row] = []
    for row in rows:
        hidden = (row["sessionSource"], row["sessionMedium"], row["sessionCampaignName"]) == HIDDEN
        found += _parted(row, last_day) if hidden else [row]
    return found


def _parted(row: Row, last_day: date) -> list[Row]:
    day = row["date"]
    assert isinstance(day, date)
    random = np.random.default_rng([2025, (last_day - day).days])
    left = {
        name: int(str(row[name])) for name in ("sessions", "engagedSessions", "totalUsers", "newUsers", "keyEvents")
    }
    parts: list[Row] = []
    for campaign, arrived in sorted(_visits(last_day)[day].items()):
        sessions = min(arrived, left["sessions"] - 1)
        engaged = min(int(random.binomial(sessions, ENGAGED)), left["engagedSessions"])
        users = min(sessions, left["totalUsers"] - 1)
        counts = {
            "sessions": sessions,
            "engagedSessions": engaged,
            "totalUsers": users,
            "newUsers": min(users // 20, left["newUsers"]),
            "keyEvents": min(int(random.binomial(engaged, BOUGHT / ENGAGED)), left["keyEvents"]),
        }
        left = {name: left[name] - count for name, count in counts.items()}
        if sessions > 0:
            parts.append({**row, **MAIL, "sessionCampaignName": campaign, **counts})
    return [{**row, **left}, *parts]


@cache
def _visits(last_day: date) -> dict[date, Counter[str]]:
    """Visits by day and campaign."""
    visits: dict[date, Counter[str]] = defaultdict(Counter)
    today = last_day + timedelta(days=1)
    clicks = {row["id"]: int(row["subscriberclicks"]) for row in objects(today)["campaigns"]}
    for send in sends(today):
        random = np.random.default_rng([2026, send.campaign_id])
        arrived = random.binomial(clicks[str(send.campaign_id)], LOST_ARRIVED if send.is_lost else ARRIVED)
        for later, count in enumerate(random.multinomial(arrived, LATER)):
            visits[send.day + timedelta(days=later)][send.utm_campaign] += int(count)
    return visits
