"""What only the first version of ActiveCampaign's API tells of a campaign: https://www.activecampaign.com/api/overview.php

An account may be closed to it: then it is not known.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import httpx

from shared.adapters.rest import Rest
from shared.errors import Rejected
from shared.sources.activecampaign import NONE
from shared.sources.source import Pull

Row = Mapping[str, Any]
MOST_ANSWERS = 50
"""Of a part of those who opened a campaign: ten seconds at the pace that an account allows."""


@dataclass(frozen=True)
class Openers:
    """A part of those who opened a campaign: ids of contacts in order, answers that it took, where the next begins."""

    contact_ids: list[str]
    answers: int
    following: int | None


def complaints(api: Rest, row: Row, pull: Pull) -> Any:
    """Spam complaints; None where they are not told."""
    try:
        return _report(api, "unsubscription_totals", row, pull).get("spam_complaints")
    except Rejected:
        return None


def openers(api: Rest, row: Row, pull: Pull, first: int) -> Openers | None:
    """Contacts that opened a campaign, from an answer on; None where they are not told.

    How many an answer holds is nowhere said: the next is asked for until all are there, or nobody is new.
    """
    found: set[str] = set()
    for number in range(first, first + MOST_ANSWERS):
        try:
            answer = _report(api, "open_list", row, pull, page=str(number + 1))
        except Rejected:
            if number == 0:
                return None
            raise
        told = {str(one["subscriberid"]) for place, one in answer.items() if place.isdigit()}
        if number == 0 and not told and str(row.get("uniqueopens")) not in NONE:
            return None
        is_last = told <= found
        found |= told
        if is_last or len(found) >= int(row.get("uniqueopens") or 0):
            return Openers(sorted(found, key=int), number - first + 1, None)
    return Openers(sorted(found, key=int), MOST_ANSWERS, first + MOST_ANSWERS)


def _report(api: Rest, name: str, row: Row, pull: Pull, **more: str) -> Row:
    """A report about a campaign; Rejected where the key is refused, as this version may be closed to it.

    Its key belongs into the request, and there into the body: addresses are logged.
    """
    asked = {"api_action": f"campaign_report_{name}", "api_output": "json", "campaignid": row["id"], **more}
    answer = api.post_form(f"/admin/api.php?{httpx.QueryParams(asked)}", {"api_key": pull.credentials.strip()})
    return answer if isinstance(answer, Mapping) else {}
