"""ActiveCampaign's webhooks: a form for each event, at least once, not signed, and never sent again where it failed.

Nothing proves who sends it but its address, which carries the tenant's secret: `?secret=...`. So nothing in it is
believed: it tells which contact or campaign to fetch. https://developers.activecampaign.com/page/webhooks
"""

import hashlib
import hmac
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from urllib.parse import parse_qs

from shared.errors import BadRequest, Unauthenticated
from shared.sources.activecampaign import CAMPAIGNS, CONTACTS
from shared.sources.webhook import Delivery, Notice, stranger

OF_CONTACTS = ("subscribe", "unsubscribe", "update", "bounce")
OF_CAMPAIGNS = ("sent", "open", "click", "forward", "reply", "unsubscribe", "bounce")
SHORTEST_SECRET = 32
"""Characters. A shorter one can be guessed, and is taken for none."""
MAX_AGE = timedelta(days=1)
"""Older than that, a delivery is a copy that somebody kept. Within it a copy does no harm: what it names is fetched as
it is then. Times without a zone are the account's, which is within a day of UTC.
"""


def notices(delivery: Delivery, secret: str, now: datetime) -> Sequence[Notice]:
    """What a delivery tells; none where it is about nothing that Scout holds.

    Unauthenticated where its address lacks the secret, or it tells of what is long ago; BadRequest where it is no form
    of a webhook, or lacks the id that its type promises.
    """
    given = delivery.parameters.get("secret", "")
    if len(secret) < SHORTEST_SECRET or not hmac.compare_digest(given.encode(), secret.encode()):
        raise stranger()
    try:
        form = {name: values[-1] for name, values in parse_qs(delivery.body.decode()).items()}
    except UnicodeDecodeError as error:
        raise _bad("body", "a form in UTF-8") from error
    event = form.get("type")
    if not event:
        raise _bad("type", "the event's name")
    _refuse_copies(form, now)
    # ActiveCampaign gives an event no id: the same words are the same event.
    event_id = hashlib.blake2b(delivery.body, digest_size=16).hexdigest()
    told = [f"{CONTACTS.path}/{_id(form, 'contact[id]')}"] if event in OF_CONTACTS else []
    # Who unsubscribes on a page of the site, or by hand, does it without a campaign.
    if event in OF_CAMPAIGNS and (event not in OF_CONTACTS or _names(form, "campaign[id]")):
        told.append(f"{CAMPAIGNS.path}/{_id(form, 'campaign[id]')}")
    return [Notice(event_id, event, object_id) for object_id in told]


def _refuse_copies(form: dict[str, str], now: datetime) -> None:
    if "date_time" not in form:
        return
    try:
        at = datetime.fromisoformat(form["date_time"])
    except ValueError as error:
        raise _bad("date_time", "a time in ISO 8601") from error
    at = at if at.tzinfo else at.replace(tzinfo=UTC)
    if now - at > MAX_AGE:
        raise Unauthenticated("the webhook tells of what is long ago", age_seconds=int((now - at).total_seconds()))


def _id(form: dict[str, str], name: str) -> str:
    if not _names(form, name):
        raise _bad(name, "digits")
    return form[name]


def _names(form: dict[str, str], name: str) -> bool:
    """True where a form names an object; 0 stands for none."""
    text = form.get(name, "")
    return text.isascii() and text.isdecimal() and text != "0"


def _bad(field: str, expected: str) -> BadRequest:
    return BadRequest("the webhook cannot be read", errors=[{"field": field, "expected": expected}])
