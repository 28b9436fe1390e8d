"""Raw objects of ActiveCampaign. Times carry their zone; `date` is the day in the account's own one.

Three kinds of documents. Objects, whose id is the vendor's: campaigns, messages, contacts, and who is in which
automation. Their day never changes, they do. Daily counts, whose id is a day and the vendor's id: the API tells of
lists, automations and their mails only how they stand now, so each day keeps what a sync found after it; what happened
between two days is their difference.
"""

from datetime import date as Day
from datetime import datetime
from typing import Literal

from pydantic import BaseModel, Field

from shared.schema.record import Collection, Dropped, Hashed, Immutable, Key, Table
from shared.sources.records.row import RETENTION_DAYS, Measured, SourceRow


class AcRow(SourceRow):
    """What every document of ActiveCampaign carries."""

    source: Literal["activecampaign"] = "activecampaign"
    account_id: str


class AcMailing(AcRow):
    """What is counted of the mails of one campaign, which go on being opened: these counts rise."""

    campaign_id: Key[str]
    name: str
    campaign_type: str = Field(description="single, recurring, split, responder, reminder, special, activerss, text.")
    status: int = Field(description="1 scheduled or running, 2 sending, 3 paused, 4 stopped, 5 sent.")
    message_id: str | None = None
    utm_campaign: str | None = Field(None, description="Of its links; None where they carry none.")
    send_amt: int = Field(ge=0, description="Mails sent.")
    total_amt: int = Field(ge=0, description="Mails to be sent in all.")
    opens: int = Field(ge=0)
    uniqueopens: int = Field(ge=0, description="Contacts that opened it, machines included.")
    verified_opens: int | None = Field(None, ge=0, description="Opens that were no machine's.")
    verified_unique_opens: int | None = Field(None, ge=0)
    linkclicks: int = Field(ge=0)
    uniquelinkclicks: int = Field(ge=0, description="Each contact and link once.")
    subscriberclicks: int = Field(ge=0, description="Contacts that clicked.")
    hardbounces: int = Field(ge=0)
    softbounces: int = Field(ge=0)
    unsubscribes: int = Field(ge=0)
    complaints: int | None = Field(None, ge=0, description="Marked as spam, as far as mailboxes report it.")
    forwards: int = Field(ge=0)
    replies: int = Field(ge=0)

    measured = Measured(main="send_amt")
    watched = ("utm_campaign", "message_id")


class AcCampaign(AcMailing):
    """One campaign that was sent (not of an automation); `date` is the day on which its sending began."""

    list_ids: list[str] = Field([], description="The lists that it was sent to, in order.")
    segment_id: str | None = Field(None, description="The part of them, where not all.")
    sent_at: Immutable[datetime] = Field(description="When its sending began.")
    sent_hour: int | None = Field(None, ge=0, le=23, description="Hour of the day in which it did, where `date` is.")
    finished_at: datetime | None = None

    collection = Collection("tenants/{tenant_id}/ac_campaigns")
    table = Table(
        "aso_tenant_{tenant_id}.ac_campaigns",
        partition_by="date",
        cluster_by=("campaign_id",),
        retention_days=RETENTION_DAYS,
    )


class AcOpens(AcRow):
    """Contacts that have opened one campaign, machines in their name among them; `date` is the day of its send.

    A campaign that very many opened has several of these documents.
    """

    campaign_id: Key[str]
    contact_ids: list[str] = []

    collection = Collection("tenants/{tenant_id}/ac_opens", unindexed=("contact_ids",))
    table = Table(
        "aso_tenant_{tenant_id}.ac_opens",
        partition_by="date",
        cluster_by=("campaign_id",),
        retention_days=RETENTION_DAYS,
    )


class AcMessage(AcRow):
    """What a campaign sends; `date` is the day on which it was written first. Campaigns name it in `message_id`."""

    message_id: Key[str]
    name: str | None = None
    subject: str | None = None
    from_domain: str | None = Field(None, description="Of the sender's address, in lower case.")
    created_at: Immutable[datetime]

    collection = Collection("tenants/{tenant_id}/ac_messages")
    # A message is older than what it is sent with.
    table = Table("aso_tenant_{tenant_id}.ac_messages", partition_by="date", cluster_by=("message_id",))


class AcMembership(BaseModel):
    """A contact on a list."""

    list_id: str
    status: int = Field(description="0 unconfirmed, 1 active, 2 unsubscribed, 3 bounced.")
    subscribed_at: datetime | None = None
    unsubscribed_at: datetime | None = None


class AcContact(AcRow):
    """One contact as it is now; `date` is the day on which it was made."""

    lasting = True

    contact_id: Key[str]
    email: Hashed[str] | None = Field(None, description="In lower case.")
    first_name: Dropped[str] | None = None
    last_name: Dropped[str] | None = None
    phone: Dropped[str] | None = None
    created_at: Immutable[datetime]
    updated_at: datetime | None = None
    last_mailed_at: datetime | None = None
    last_opened_at: datetime | None = Field(None, description="Machines' opens left out.")
    last_clicked_at: datetime | None = None
    mails_sent: int | None = Field(None, ge=0, description="Mails that it was sent so far.")
    hard_bounces: int | None = Field(None, ge=0)
    soft_bounces: int | None = Field(None, ge=0)
    bounced_at: datetime | None = None
    is_deleted: bool = False
    deleted_at: datetime | None = None
    lists: list[AcMembership] = []

    watched = ("email",)
    collection = Collection("tenants/{tenant_id}/ac_contacts")
    table = Table("aso_tenant_{tenant_id}.ac_contacts", partition_by="date", cluster_by=("contact_id",))


class AcContactAutomation(AcRow):
    """One passage of a contact through an automation; `date` is the day on which it entered."""

    lasting = True

    contact_automation_id: Key[str]
    contact_id: str
    automation_id: str
    status: int = Field(description="1 active, 2 over.")
    entered_at: Immutable[datetime]
    left_at: datetime | None = Field(None, description="When it left or finished; None of one that is still in it.")
    last_block_id: str | None = Field(None, description="The last block that ran for it.")
    last_at: datetime | None = Field(None, description="When that ran.")
    completed_elements: int | None = Field(None, ge=0)
    total_elements: int | None = Field(None, ge=0)
    completed: bool = Field(description="It has come to the end.")

    collection = Collection("tenants/{tenant_id}/ac_contact_automations")
    table = Table(
        "aso_tenant_{tenant_id}.ac_contact_automations",
        partition_by="date",
        cluster_by=("automation_id", "contact_automation_id"),
        retention_days=RETENTION_DAYS,
    )


class AcAutomationBlock(AcRow):
    """One step of an automation as it is now; `date` is the day on which it was made."""

    lasting = True

    block_id: Key[str]
    automation_id: str
    parent_id: str | None = Field(None, description="The block before it; None of the first.")
    path: list[str] = Field([], description="The blocks on the way to it, the first one first, itself last.")
    position: int = Field(description="Where it stands among the automation's blocks, from above.")
    block_type: str = Field(description="start, send, wait, if, goal, end, ...")
    campaign_id: str | None = Field(None, description="send: the campaign of its mail.")
    is_deleted: bool = False
    created_at: Immutable[datetime]

    collection = Collection("tenants/{tenant_id}/ac_automation_blocks")
    table = Table(
        "aso_tenant_{tenant_id}.ac_automation_blocks", partition_by="date", cluster_by=("automation_id", "block_id")
    )


class AcAutomation(AcRow):
    """One automation as it stood after a day."""

    date: Key[Immutable[Day]] = Field(description="The day after whose end it was found so.")
    automation_id: Key[str]
    name: str
    status: int = Field(description="1 active, 2 inactive.")

    collection = Collection("tenants/{tenant_id}/ac_automations")
    table = Table(
        "aso_tenant_{tenant_id}.ac_automations",
        partition_by="date",
        cluster_by=("automation_id",),
        retention_days=RETENTION_DAYS,
    )


class AcAutomationMail(AcMailing):
    """One mail of an automation as it stood after a day: its counts are those since the automation began."""

    date: Key[Immutable[Day]] = Field(description="The day after whose end it was found so.")
    automation_id: str

    collection = Collection("tenants/{tenant_id}/ac_automation_mails")
    table = Table(
        "aso_tenant_{tenant_id}.ac_automation_mails",
        partition_by="date",
        cluster_by=("automation_id", "campaign_id"),
        retention_days=RETENTION_DAYS,
    )


class AcList(AcRow):
    """One list as it stood after a day."""

    date: Key[Immutable[Day]] = Field(description="The day after whose end it was found so.")
    list_id: Key[str]
    name: str

    collection = Collection("tenants/{tenant_id}/ac_lists")
    table = Table(
        "aso_tenant_{tenant_id}.ac_lists", partition_by="date", cluster_by=("list_id",), retention_days=RETENTION_DAYS
    )
