"""ActiveCampaign's objects as documents. Almost everything is text in its JSON: numbers, flags and ids.

Raw is raw: what is no number or no time is kept as it was given; the stream refuses it where people can see it.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Any

import orjson

Row = Mapping[str, Any]
MOST_OPENS = 50_000
"""Contacts of one document: Firestore's are 1 MiB at the most."""
COUNTS = (
    "send_amt",
    "total_amt",
    "opens",
    "uniqueopens",
    "verified_opens",
    "verified_unique_opens",
    "linkclicks",
    "uniquelinkclicks",
    "subscriberclicks",
    "hardbounces",
    "softbounces",
    "unsubscribes",
    "forwards",
    "replies",
)


def mailing(row: Row, utm: str | None, complaints: Any) -> dict[str, Any]:
    """The fields of a campaign that those of automations have, too."""
    return {
        "campaign_id": str(row["id"]),
        "name": row.get("name") or "",
        "campaign_type": row.get("type") or "",
        "status": _count(row.get("status")),
        "message_id": _id(row.get("message_id")),
        "utm_campaign": utm,
        "complaints": _count(complaints),
        **{name: _count(row.get(name)) for name in COUNTS},
    }


def campaign(row: Row, lists: Iterable[Row], utm: str | None, complaints: Any) -> tuple[str, dict[str, Any]]:
    """Id and fields of a campaign that was sent; of one that never says when, its newest time stands for that."""
    sent = next((row[name] for name in ("sdate", "ldate", "mdate", "cdate") if _time(row.get(name)) is not None), None)
    return str(row["id"]), {
        "date": _day(sent),
        **mailing(row, utm, complaints),
        "list_ids": sorted({str(one["listid"]) for one in lists}, key=lambda name: (len(name), name)),
        "segment_id": _id(row.get("segmentid")),
        "sent_at": _time(sent),
        "sent_hour": _hour(sent),
        "finished_at": _time(row.get("ldate")),
    }


def opens(row: Row, contact_ids: Sequence[str], first: int) -> list[tuple[str, dict[str, Any]]]:
    """Ids and fields of the documents that say who opened a campaign: as many as it takes.

    first: the number of the vendor's answer that they begin with. Only that of the first answer may be of nobody.
    """
    _, sent = campaign(row, (), None, None)
    parts = [contact_ids[start : start + MOST_OPENS] for start in range(0, len(contact_ids), MOST_OPENS)]
    return [
        (f"{row['id']}-{number}", {"date": sent["date"], "campaign_id": str(row["id"]), "contact_ids": list(part)})
        for number, part in enumerate(parts or ([] if first else [[]]), first)
    ]


def automation_mail(row: Row, day: date, utm: str | None, complaints: Any) -> tuple[str, dict[str, Any]]:
    """Id and fields of an automation's mail as it stands after a day."""
    return f"{day}-{row['id']}", {
        "date": day.isoformat(),
        **mailing(row, utm, complaints),
        "automation_id": _id(row.get("automation")) or _id(row.get("seriesid")),
    }


def message(row: Row) -> tuple[str, dict[str, Any]]:
    """Id and fields of a message; its words stay where they are."""
    _, at, domain = str(row.get("fromemail") or "").rpartition("@")
    return str(row["id"]), {
        "date": _day(row.get("cdate")),
        "message_id": str(row["id"]),
        "name": _text(row.get("name")),
        "subject": _text(row.get("subject")),
        "from_domain": domain.strip().lower() if at else None,
        "created_at": _time(row.get("cdate")),
    }


def automation(row: Row, day: date) -> tuple[str, dict[str, Any]]:
    """Id and fields of an automation as it stands after a day."""
    return f"{day}-{row['id']}", {
        "date": day.isoformat(),
        "automation_id": str(row["id"]),
        "name": row.get("name") or "",
        "status": _count(row.get("status")),
    }


def blocks(rows: Sequence[Row], automation_id: str) -> list[tuple[str, dict[str, Any]]]:
    """Ids and fields of an automation's steps."""
    parents = {str(row["id"]): _id(row.get("parent")) for row in rows}
    return [
        (
            str(row["id"]),
            {
                "date": _day(row.get("cdate")),
                "block_id": str(row["id"]),
                "automation_id": automation_id,
                "parent_id": parents[str(row["id"])],
                "path": _path(str(row["id"]), parents),
                "position": _count(row.get("ordernum")),
                "block_type": row.get("type") or "",
                "campaign_id": _id(_object(row.get("params")).get("campaignid")),
                "is_deleted": _flag(row.get("deleted")),
                "created_at": _time(row.get("cdate")),
            },
        )
        for row in rows
    ]


def _path(block_id: str, parents: Mapping[str, str | None]) -> list[str]:
    """The blocks on the way to one, the first one first, itself last."""
    path = [block_id]
    while (parent := parents.get(path[0])) is not None and parent not in path:
        path.insert(0, parent)
    return path


def passage(row: Row) -> tuple[str, dict[str, Any]]:
    """Id and fields of a contact's way through an automation."""
    return str(row["id"]), {
        "date": _day(row.get("adddate")),
        "contact_automation_id": str(row["id"]),
        "contact_id": str(row.get("contact")),
        "automation_id": _id(row.get("automation")) or _id(row.get("seriesid")),
        "status": _count(row.get("status")),
        "entered_at": _time(row.get("adddate")),
        "left_at": _time(row.get("remdate")),
        "last_block_id": _id(row.get("lastblock")),
        "last_at": _time(row.get("lastdate")),
        "completed_elements": _count(row.get("completedElements")),
        "total_elements": _count(row.get("totalElements")),
        "completed": _flag(row.get("completed")),
    }


def mail_list(row: Row, day: date) -> tuple[str, dict[str, Any]]:
    """Id and fields of a list as it stands after a day."""
    return f"{day}-{row['id']}", {"date": day.isoformat(), "list_id": str(row["id"]), "name": row.get("name") or ""}


def contact(row: Row, lists: Iterable[Row]) -> tuple[str, dict[str, Any]]:
    """Id and fields of a contact, with the lists that it is or was on."""
    return str(row["id"]), {
        "date": _day(row.get("cdate")),
        "contact_id": str(row["id"]),
        "email": str(row["email"]).strip().lower() if _text(row.get("email")) else None,
        "first_name": _text(row.get("firstName")),
        "last_name": _text(row.get("lastName")),
        "phone": _text(row.get("phone")),
        "created_at": _time(row.get("cdate")),
        "updated_at": _time(row.get("udate")),
        "last_mailed_at": _time(row.get("edate")),
        "last_opened_at": _time(row.get("last_open_date")),
        "last_clicked_at": _time(row.get("last_click_date")),
        "mails_sent": _count(row.get("sentcnt")),
        "hard_bounces": _count(row.get("bounced_hard")),
        "soft_bounces": _count(row.get("bounced_soft")),
        "bounced_at": _time(row.get("bounced_date")),
        "is_deleted": _flag(row.get("deleted")),
        "deleted_at": _time(row.get("deleted_at")),
        "lists": [
            {
                "list_id": str(one.get("list")),
                "status": _count(one.get("status")),
                "subscribed_at": _time(one.get("sdate")),
                "unsubscribed_at": _time(one.get("udate")),
            }
            for one in sorted(lists, key=lambda one: str(one.get("list")))
        ],
    }


def _text(value: Any) -> str | None:
    return None if value is None or str(value) == "" else str(value)


def _id(value: Any) -> str | None:
    """An id; 0 stands for none."""
    text = _text(value)
    return None if text == "0" else text


def _read(value: Any, reader: Callable[[str], Any]) -> Any:
    """A value as `reader` reads its text, None where there is none, and as it was given where that cannot be read."""
    text = _text(value)
    if text is None:
        return None
    try:
        return reader(text)
    except ValueError:
        return value


def _count(value: Any) -> Any:
    return _read(value, int)


def _flag(value: Any) -> bool:
    return _text(value) in ("1", "True", "true")


def _time(value: Any) -> Any:
    """`2026-11-20T08:30:00-06:00`, or `2026-11-20 14:30:00`, which is UTC; `0000-00-00` stands for never."""

    def read(text: str) -> datetime | None:
        if text.startswith("0000"):
            return None
        moment = datetime.fromisoformat(text)
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)

    return _read(value, read)


def _day(value: Any) -> str:
    """The day that a time falls on where it was written."""
    return str(value or "")[:10]


def _hour(value: Any) -> int | None:
    """The hour at which it was there."""
    text = str(value or "")[11:13]
    return int(text) if text.isdecimal() else None


def _object(value: Any) -> Row:
    """An object that may be JSON within JSON."""
    try:
        read = orjson.loads(value) if isinstance(value, str) else value
    except orjson.JSONDecodeError:
        return {}
    return read if isinstance(read, Mapping) else {}
