"""ActiveCampaign's objects as documents, from an answer that an account gave."""

from datetime import UTC, date, datetime
from typing import Any

from shared.sources.activecampaign_documents import contact
from shared.sources.records import AcContact

# Restated from a captured answer to GET /api/3/contacts/1, which is a test's in SourceLabOrg/activecampaign-java-client
# (MIT); what is about other objects is left out.
CONTACT: dict[str, Any] = {
    "cdate": "2021-06-30T04:12:13-05:00",
    "email": "Contact.Email@example.com",
    "phone": "123-123-1234",
    "firstName": "Test_FirstName",
    "lastName": "Test_LastName",
    "orgid": "0",
    "orgname": "",
    "bounced_hard": "0",
    "bounced_soft": "0",
    "bounced_date": "0000-00-00",
    "ip": "0",
    "hash": "ee19e13fd3b61ee74a111459671bf269",
    "socialdata_lastcheck": "0000-00-00 00:00:00",
    "sentcnt": "0",
    "rating_tstamp": "0000-00-00",
    "deleted": "0",
    "anonymized": "0",
    "adate": "2021-07-02T03:55:24-05:00",
    "udate": "2021-07-02T05:06:23-05:00",
    "edate": None,
    "deleted_at": "0000-00-00 00:00:00",
    "created_utc_timestamp": "2021-06-30 04:12:13",
    "updated_utc_timestamp": "2021-07-02 05:06:23",
    "email_empty": False,
    "contactLists": ["1", "2"],
    "id": "1",
    "organization": None,
}
LISTS: list[dict[str, Any]] = [
    {
        "contact": "1",
        "list": name,
        "form": None,
        "seriesid": "0",
        "sdate": f"2021-06-30T{time}-05:00",
        "udate": None,
        "status": "1",
        "responder": "1",
        "unsubreason": "",
        "campaign": None,
        "created_timestamp": f"2021-06-30 {time}",
        "updated_timestamp": f"2021-06-30 {time}",
        "id": number,
        "automation": None,
    }
    for number, name, time in (("2", "3", "06:40:21"), ("1", "1", "04:12:14"))
]


def test_a_contact_of_a_real_answer_is_a_valid_row():
    name, fields = contact(CONTACT, LISTS)
    row = AcContact.model_validate({"tenant_id": "demo", "account_id": "shop", **fields})
    assert (name, row.contact_id, row.date) == ("1", "1", date(2021, 6, 30))
    assert (row.email, row.first_name, row.phone) == ("contact.email@example.com", "Test_FirstName", "123-123-1234")
    assert row.created_at == datetime(2021, 6, 30, 9, 12, 13, tzinfo=UTC)
    assert (row.updated_at, row.mails_sent) == (datetime(2021, 7, 2, 10, 6, 23, tzinfo=UTC), 0)
    # Zeros for never.
    assert (row.last_mailed_at, row.bounced_at, row.deleted_at, row.is_deleted) == (None, None, None, False)
    assert [(on.list_id, on.status, on.subscribed_at, on.unsubscribed_at) for on in row.lists] == [
        ("1", 1, datetime(2021, 6, 30, 9, 12, 14, tzinfo=UTC), None),
        ("3", 1, datetime(2021, 6, 30, 11, 40, 21, tzinfo=UTC), None),
    ]
