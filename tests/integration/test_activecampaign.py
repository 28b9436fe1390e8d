"""ActiveCampaign over real HTTP, played by the local server: what it says that it holds is held against what came."""

from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime, timedelta
from functools import cache
from typing import Any

import pytest

from infra.local.sample.activecampaign import objects
from infra.local.vendors.activecampaign import ACCOUNT, TOKEN, Account
from shared.adapters.activecampaign import ActiveCampaignSource
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources import activecampaign_documents
from shared.sources.activecampaign import (
    AUTOMATION_MAILS,
    BLOCKS,
    CAMPAIGNS,
    COMPLAINTS_HISTORY,
    CONTACTS,
    KINDS,
    LISTS,
    MESSAGES,
    OPENS,
    OPENS_HISTORY,
    PASSAGES,
    Kind,
)
from shared.sources.activecampaign_documents import MOST_OPENS
from shared.sources.source import Page, Pull
from shared.sources.webhook import Notice
from shared.tenants.records import SourceSettings
from tests.support.vendor import Answer, vendor
from tests.support.vendors import Vendors, vendors

TODAY = date(2026, 11, 21)
HISTORY = 400
Documents = list[tuple[str, dict[str, Any]]]
Synced = Callable[[Kind], list[Page]]


def contact(number: int, changed: str = "2026-11-20T08:00:00-06:00") -> dict[str, Any]:
    return {
        "id": str(number),
        "email": f"Reader-{number}@Example.com",
        "cdate": "2026-11-01T08:00:00-06:00",
        "udate": changed,
    }


def membership(of: str, since: str, until: str) -> dict[str, Any]:
    return {"id": "1", "contact": of, "list": "7", "status": "2", "sdate": since, "udate": until}


def passage(number: int) -> dict[str, Any]:
    return {
        "id": str(number),
        "contact": "1",
        "automation": "1",
        "seriesid": "1",
        "status": "1",
        "adddate": "2026-11-20T08:00:00-06:00",
        "completed": 0,
    }


def opened(number: int, openers: int) -> dict[str, Any]:
    """A campaign that so many opened."""
    sent = next(row for row in objects(TODAY)["campaigns"] if row["status"] == "5")
    ids = [str(one) for one in range(1, openers + 1)]
    return {
        **sent,
        "id": str(number),
        "sdate": "2026-11-19T10:00:00-06:00",
        "uniqueopens": str(openers),
        "_openers": ids,
    }


def block(number: int, automation: int) -> dict[str, Any]:
    """The step after the one before it."""
    made = {"id": str(number), "automation": str(automation), "parent": str(number - 1), "ordernum": str(number)}
    return {**made, "type": "wait", "params": "{}", "deleted": "0", "cdate": "2026-11-01T08:00:00-06:00"}


def small(contacts: int = 23) -> Account:
    """An account of a few contacts and as many passages; the other lists are empty."""
    empty: dict[str, list[dict[str, Any]]] = {kind.path: [] for kind in KINDS if kind is not BLOCKS}
    those = {
        "contacts": [contact(number) for number in range(1, contacts + 1)],
        "contactAutomations": [passage(number) for number in range(1, contacts + 1)],
        "contactLists": [],
        "campaignLists": [],
        "links": [],
        "automationBlocks": [],
    }
    return Account(empty | those)


@pytest.fixture(scope="module")
def shop() -> Iterator[Vendors]:
    """The whole sample."""
    with vendors(TODAY, "activecampaign") as running:
        yield running


@pytest.fixture(scope="module")
def synced(shop: Vendors) -> Synced:
    """All pages of a kind of the sample, asked for once."""
    return cache(lambda kind: everything(shop, kind))


@pytest.fixture
def account() -> Account:
    return small()


@pytest.fixture
def running(account: Account) -> Iterator[Vendors]:
    with vendors(TODAY, account) as server:
        server.control("activecampaign", retry_after_seconds=0)
        yield server


def source(address: str, **options: Any) -> ActiveCampaignSource:
    usual: dict[str, Any] = {"per_second": 1000, "today": lambda: TODAY}
    return ActiveCampaignSource(f"{address}/{{account}}", **(usual | options))


def pull(days: int = HISTORY, account_id: str = ACCOUNT, token: str = TOKEN) -> Pull:
    return Pull("demo", "run-1", TODAY - timedelta(days=days), SourceSettings(account_id=account_id), token)


def documents(pages: list[Page]) -> Documents:
    return [one for page in pages for one in page.documents]


def ids(pages: list[Page]) -> list[int]:
    return [int(name) for name, _ in documents(pages)]


def everything(running: Vendors, kind: Kind, **options: Any) -> list[Page]:
    return list(source(running.address, **options).pages(kind, pull(), ""))


# What comes


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.collection.name)
def test_every_object_of_the_sample_arrives_once_as_a_valid_record_and_the_totals_agree(synced: Synced, kind: Kind):
    pages = synced(kind)
    found = documents(pages)
    assert len({name for name, _ in found}) == len(found) > 0
    for _, fields in found:
        kind.record.model_validate({"tenant_id": "demo", **fields})
    assert pages[-1].following is None
    assert pages[-1].reported == len(found)


def test_campaigns_carry_the_vendors_numbers_as_numbers_and_the_day_of_the_accounts_own_zone(synced: Synced):
    found = dict(documents(synced(CAMPAIGNS)))
    sent = [row for row in objects(TODAY)["campaigns"] if row["status"] == "5"]
    assert len(found) == len(sent)
    for row in sent:
        fields = found[row["id"]]
        for name in (
            "send_amt",
            "uniqueopens",
            "verified_unique_opens",
            "subscriberclicks",
            "hardbounces",
            "unsubscribes",
        ):
            assert fields[name] == int(row[name])
        # At six in the evening it is the next day already in UTC.
        assert fields["date"] == row["sdate"][:10]
        assert fields["sent_hour"] == int(row["sdate"][11:13])


def test_utm_campaigns_come_from_the_campaign_or_else_from_its_links(synced: Synced):
    tagged = {fields["name"]: fields["utm_campaign"] for _, fields in documents(synced(CAMPAIGNS))}
    for name, utm in tagged.items():
        kind, day = name.split(" | ")
        assert utm == f"{kind.lower().replace(' ', '-')}-{day}"


def test_a_draft_is_no_campaign_and_mails_of_automations_are_told_day_by_day(synced: Synced):
    sent = {fields["name"] for _, fields in documents(synced(CAMPAIGNS))}
    mails = dict(documents(synced(AUTOMATION_MAILS)))
    assert "Newsletter | draft" not in sent
    assert not sent & {fields["name"] for fields in mails.values()}
    assert {name[:10] for name in mails} == {fields["date"] for fields in mails.values()} == {"2026-11-20"}


def test_blocks_know_the_way_that_leads_to_them(synced: Synced):
    found = dict(documents(synced(BLOCKS)))
    third_mail = found["25"]
    assert (third_mail["block_type"], third_mail["campaign_id"], third_mail["path"]) == (
        "send", "13", ["20", "21", "22", "23", "24", "25"],
    )  # fmt: skip


def test_a_contact_has_its_address_in_lower_case_and_the_lists_that_it_is_on(running: Vendors, account: Account):
    account.objects["contactLists"].append(
        {
            "id": "1",
            "contact": "3",
            "list": "7",
            "status": "2",
            "sdate": "2026-11-02T08:00:00-06:00",
            "udate": "2026-11-09 14:00:00",
        }
    )
    fields = dict(documents(everything(running, CONTACTS)))["3"]
    assert fields["email"] == "reader-3@example.com"
    assert fields["lists"] == [
        {
            "list_id": "7",
            "status": 2,
            "subscribed_at": datetime(2026, 11, 2, 14, tzinfo=UTC),
            "unsubscribed_at": datetime(2026, 11, 9, 14, tzinfo=UTC),
        }
    ]


def test_a_number_that_is_none_is_kept_as_it_was_given(running: Vendors, account: Account):
    account.objects["contactAutomations"][0] |= {"status": "often", "remdate": "soon"}
    fields = dict(documents(everything(running, PASSAGES)))["1"]
    assert (fields["status"], fields["left_at"]) == ("often", "soon")


def test_complaints_are_unknown_where_the_first_version_of_the_api_does_not_tell(running: Vendors, account: Account):
    account.objects["campaigns"] = [opened(1, 0) | {"tracklinksanalytics": "1", "analytics_campaign_name": "may"}]
    account.reports = False
    [(_, fields)] = documents(everything(running, CAMPAIGNS))
    assert (fields["utm_campaign"], fields["complaints"]) == ("may", None)


def test_complaints_are_asked_for_of_campaigns_that_detectors_still_look_at(synced: Synced):
    found = dict(documents(synced(CAMPAIGNS)))
    rows = {row["id"]: row for row in objects(TODAY)["campaigns"] if row["status"] == "5"}
    recent = {name for name, row in rows.items() if row["sdate"][:10] >= (TODAY - COMPLAINTS_HISTORY).isoformat()}
    assert 0 < len(recent) < len(rows) / 3
    assert {name: fields["complaints"] for name, fields in found.items()} == {
        name: int(row["_complaints"]) if name in recent else None for name, row in rows.items()
    }


def test_of_an_old_campaign_that_changed_complaints_are_asked_for_all_the_same(running: Vendors, account: Account):
    old = {"sdate": "2026-01-02T10:00:00-06:00", "ldate": None, "cdate": "2026-01-02T10:00:00-06:00"}
    account.objects["campaigns"] = [opened(1, 0) | old | {"mdate": "2026-11-20T10:00:00-06:00", "_complaints": "3"}]
    [page] = source(running.address).pages(CAMPAIGNS, pull(days=14), "")
    assert dict(page.documents)["1"]["complaints"] == 3


def test_who_opened_a_campaign_is_told_of_those_of_the_last_ten_months(synced: Synced):
    found = dict(documents(synced(OPENS)))
    sent = [row for row in objects(TODAY)["campaigns"] if row["status"] == "5"]
    recent = [row for row in sent if row["sdate"][:10] >= (TODAY - OPENS_HISTORY).isoformat()]
    assert {f"{row['id']}-0" for row in recent} == set(found)
    for row in recent:
        fields = found[f"{row['id']}-0"]
        assert len(set(fields["contact_ids"])) == int(row["uniqueopens"])
        assert (fields["contact_ids"], fields["date"]) == (row["_openers"], row["sdate"][:10])


@pytest.mark.parametrize("opens", [20, 23], ids=["as many as are counted", "fewer than are counted"])
def test_those_who_opened_are_asked_for_until_all_are_there(running: Vendors, account: Account, opens: int):
    account.objects["campaigns"] = [opened(1, 20) | {"uniqueopens": str(opens)}]
    openers = account.objects["campaigns"][0]["_openers"]
    running.control("activecampaign", page_size=7)
    [page] = everything(running, OPENS)
    [(_, fields)] = page.documents
    assert (fields["contact_ids"], page.reported) == (openers, 1)


def test_openers_that_are_not_told_are_no_document_and_are_not_missed(running: Vendors, account: Account):
    account.objects["campaigns"] = [opened(1, 20)]
    account.reports = False
    [page] = everything(running, OPENS)
    assert (page.documents, page.reported) == ([], 0)


@pytest.mark.parametrize("kind", [CAMPAIGNS, AUTOMATION_MAILS], ids=lambda kind: kind.collection.name)
def test_campaigns_of_one_answer_come_in_parts_wherever_they_are_cut(running: Vendors, account: Account, kind: Kind):
    mail = {"seriesid": "1", "automation": "1"}
    taken, other = (mail, {}) if kind is AUTOMATION_MAILS else ({}, mail)
    account.objects["campaigns"] = [opened(number, 0) | (taken if number > 10 else other) for number in range(1, 71)]
    pages = everything(running, kind)
    assert [len(page.documents) for page in pages] == [25, 25, 10]
    assert [int(fields["campaign_id"]) for _, fields in documents(pages)] == list(range(11, 71))
    assert pages[-1].reported == 60
    for number, page in enumerate(pages[:-1]):
        assert page.following is not None
        rest = list(source(running.address).pages(kind, pull(), page.following))
        assert documents(rest) == documents(pages[number + 1 :])
        assert rest[-1].reported == 60


def test_openers_of_a_campaign_that_very_many_opened_come_in_parts_wherever_they_are_cut(
    running: Vendors, account: Account
):
    account.objects["campaigns"] = [opened(1, 2), opened(2, 120), opened(3, 2)]
    running.control("activecampaign", page_size=1)
    pages = everything(running, OPENS)
    found = dict(documents(pages))
    assert {name: len(fields["contact_ids"]) for name, fields in found.items()} == {
        "1-0": 2, "2-0": 50, "2-50": 50, "2-100": 20, "3-0": 2,
    }  # fmt: skip
    assert (len(pages), pages[-1].reported) == (3, 5)
    for number, page in enumerate(pages[:-1]):
        assert page.following is not None
        rest = list(source(running.address).pages(OPENS, pull(), page.following))
        assert documents(rest) == documents(pages[number + 1 :])
        assert rest[-1].reported == 5


def test_a_part_of_the_openers_whose_campaign_is_gone_is_no_part_of_the_next_one(running: Vendors, account: Account):
    account.objects["campaigns"] = [opened(1, 60), opened(2, 2)]
    running.control("activecampaign", page_size=1)
    pages = source(running.address).pages(OPENS, pull(), "")
    following = next(pages).following
    account.objects["campaigns"].pop(0)
    assert following is not None
    rest = list(source(running.address).pages(OPENS, pull(), following))
    assert [(name, len(fields["contact_ids"])) for name, fields in documents(rest)] == [("2-0", 2)]


def test_openers_that_are_told_no_further_are_not_taken_for_all(running: Vendors, account: Account):
    account.objects["campaigns"] = [opened(1, 60)]
    running.control("activecampaign", page_size=1)
    pages = source(running.address).pages(OPENS, pull(), "")
    next(pages)
    account.reports = False
    with pytest.raises(Rejected):
        next(pages)


def test_many_openers_of_one_answer_are_several_documents_none_of_them_too_large():
    row = {"id": "9", "sdate": "2026-11-19T10:00:00-06:00"}
    ids = [str(9_000_000_000 + number) for number in range(2 * MOST_OPENS + 1)]
    made = dict(activecampaign_documents.opens(row, ids, 50))
    assert {name: len(fields["contact_ids"]) for name, fields in made.items()} == {
        "9-50": MOST_OPENS, "9-51": MOST_OPENS, "9-52": 1,
    }  # fmt: skip
    # Firestore's limits: 1 MiB, a text being its bytes and one; 40,000 entries in indexes, one for each element.
    assert sum(len(one) + 1 for one in made["9-50"]["contact_ids"]) < 2**20
    assert "contact_ids" in OPENS.collection.unindexed
    [(name, fields)] = activecampaign_documents.opens(row, [], 0)
    assert (name, fields["contact_ids"]) == ("9-0", [])


def test_blocks_of_an_automation_that_has_more_than_an_answer_holds_all_come(running: Vendors, account: Account):
    account.objects["automations"] = [{"id": "1", "name": "Long"}, {"id": "2", "name": "Short"}]
    account.objects["automationBlocks"] = [
        block(number, automation) for number, automation in enumerate([1] * 130 + [2], 1)
    ]
    pages = everything(running, BLOCKS)
    found = dict(documents(pages))
    assert len(found) == pages[-1].reported == 131
    assert found["130"]["path"] == [str(number) for number in range(1, 131)]
    account.totals["automationBlocks"] = "140"
    assert everything(running, BLOCKS)[-1].reported == 280


def test_an_automation_that_was_deleted_meanwhile_has_no_blocks():
    class Meanwhile(Account):
        """What was listed is gone when more is asked about it."""

        def _find(self, name: str, object_id: str) -> None:
            return None

    account = Meanwhile(small().objects | {"automations": [{"id": "1", "name": "There"}]})
    with vendors(TODAY, account) as server:
        [page] = everything(server, BLOCKS)
    assert (page.documents, page.reported) == ([], 0)


def test_no_address_that_was_asked_for_holds_the_key(shop: Vendors, synced: Synced):
    synced(CAMPAIGNS)
    assert not [one for one in shop.served("activecampaign") if TOKEN in one["path"]]


@pytest.mark.parametrize("kind", [AUTOMATION_MAILS, CONTACTS, LISTS], ids=lambda kind: kind.collection.name)
def test_a_second_pull_gives_the_same_documents(shop: Vendors, synced: Synced, kind: Kind):
    assert documents(everything(shop, kind)) == documents(synced(kind))


# Walking lists


@pytest.mark.parametrize("kind", [CONTACTS, PASSAGES], ids=["by id", "by offset"])
class TestWalking:
    def test_pages_shorter_than_asked_for_leave_nothing_out(self, running: Vendors, kind: Kind):
        running.control("activecampaign", page_size=7)
        pages = everything(running, kind)
        assert ids(pages) == list(range(1, 24))
        assert len(pages) > 3
        assert pages[-1].reported == 23

    def test_an_empty_list_is_a_page_without_documents(self, running: Vendors, account: Account, kind: Kind):
        account.objects[kind.path] = []
        [page] = everything(running, kind)
        assert (page.documents, page.following, page.reported) == ([], None, 0)

    def test_each_position_goes_on_where_its_page_ended(self, running: Vendors, kind: Kind):
        running.control("activecampaign", page_size=5)
        whole = everything(running, kind)
        for number, page in enumerate(whole[:-1]):
            assert page.following is not None
            rest = list(source(running.address).pages(kind, pull(), page.following))
            assert ids(rest) == ids(whole[number + 1 :])
            assert rest[-1].reported == 23

    def test_a_page_that_comes_twice_is_one(self, running: Vendors, kind: Kind):
        running.control("activecampaign", page_size=7)
        pages = source(running.address).pages(kind, pull(), "")
        found = [next(pages), next(pages)]
        running.control("activecampaign", fail_next=["repeat"])
        found += pages
        assert ids(found) == list(range(1, 24))
        assert found[-1].reported == 23

    def test_what_is_deleted_meanwhile_moves_nothing_past_us(self, running: Vendors, account: Account, kind: Kind):
        running.control("activecampaign", page_size=5)
        pages = source(running.address).pages(kind, pull(), "")
        found = [next(pages), next(pages)]
        account.objects[kind.path] = [row for row in account.objects[kind.path] if int(row["id"]) not in (2, 3, 8, 13)]
        found += pages
        assert ids(found) == [number for number in range(1, 24) if number != 13]
        assert found[-1].reported == 19

    def test_what_is_added_meanwhile_comes_last(self, running: Vendors, account: Account, kind: Kind):
        running.control("activecampaign", page_size=5)
        pages = source(running.address).pages(kind, pull(), "")
        found = [next(pages)]
        made = contact if kind is CONTACTS else passage
        account.objects[kind.path] += [made(24), made(25)]
        found += pages
        assert ids(found) == list(range(1, 26))
        assert found[-1].reported == 25

    def test_two_rows_instead_of_thousands_are_two_of_thousands(self, running: Vendors, account: Account, kind: Kind):
        account.objects[kind.path] = account.objects[kind.path][:2]
        account.totals[kind.path] = "3000"
        pages = everything(running, kind)
        assert ids(pages) == [1, 2]
        assert (pages[-1].following, pages[-1].reported) == (None, 3000)

    def test_a_list_that_ends_too_early_ends_and_says_how_many_there_should_be(
        self, running: Vendors, account: Account, kind: Kind
    ):
        account.totals[kind.path] = "24"
        pages = everything(running, kind)
        assert ids(pages) == list(range(1, 24))
        assert pages[-1].reported == 24

    def test_a_list_without_a_total_is_walked_all_the_same(self, running: Vendors, account: Account, kind: Kind):
        running.control("activecampaign", page_size=7)
        account.totals[kind.path] = ""
        pages = everything(running, kind)
        assert ids(pages) == list(range(1, 24))
        assert pages[-1].reported is None


def test_only_what_changed_since_the_day_comes_and_is_counted(running: Vendors, account: Account):
    running.control("activecampaign", page_size=5)
    account.objects["contacts"] = [
        contact(number, "2026-11-20T08:00:00-06:00" if number % 3 == 0 else "2026-10-02T08:00:00-06:00")
        | {"cdate": "2025-06-01T08:00:00-06:00"}
        for number in range(1, 24)
    ]
    # Its membership of a list changed, and it did not.
    account.objects["contactLists"] = [
        {
            "id": "1",
            "contact": "4",
            "list": "7",
            "status": "2",
            "sdate": "2025-11-02T08:00:00-06:00",
            "udate": "2026-11-19",
        }
    ]
    played = source(running.address)
    pages = list(played.pages(CONTACTS, pull(days=14), ""))
    assert ids(pages) == [3, 4, 6, 9, 12, 15, 18, 21]
    assert pages[-1].reported == 8
    middle = pages[1].following
    assert middle is not None
    assert list(played.pages(CONTACTS, pull(days=14), middle))[-1].reported == 8


def test_a_pull_of_the_history_takes_contacts_that_never_changed_since(running: Vendors, account: Account):
    old = {"cdate": "2021-06-01T08:00:00-06:00", "udate": "2021-06-01T08:00:00-06:00"}
    account.objects["contacts"] = [contact(1) | old]
    assert ids(everything(running, CONTACTS)) == [1]


def test_a_campaign_older_than_the_day_is_left_out_unless_its_counts_moved(shop: Vendors):
    found = documents(list(source(shop.address).pages(CAMPAIGNS, pull(days=14), "")))
    assert {fields["name"] for _, fields in found} == {
        row["name"] for row in objects(TODAY)["campaigns"] if row["status"] == "5" and row["sdate"][:10] >= "2026-11-07"
    }


# What goes wrong


@pytest.mark.parametrize("fault", [429, 500, 503, "truncate", "html", "timeout"])
def test_what_may_pass_is_tried_again(running: Vendors, fault: int | str):
    running.control("activecampaign", fail_next=[fault])
    pages = everything(running, PASSAGES, call_seconds=0.3 if fault == "timeout" else 30)
    assert ids(pages) == list(range(1, 24))


def test_what_stays_away_is_unavailable_and_the_next_slice_goes_on_from_the_last_page(running: Vendors):
    running.control("activecampaign", page_size=7)
    pages = source(running.address).pages(PASSAGES, pull(), "")
    first = next(pages)
    running.control("activecampaign", fail_next=[503] * 5)
    with pytest.raises(Unavailable):
        next(pages)
    assert first.following is not None
    rest = list(source(running.address).pages(PASSAGES, pull(), first.following))
    assert ids([first, *rest]) == list(range(1, 24))


@pytest.mark.parametrize("status", [401, 402, 403, 404])
def test_an_account_that_is_closed_to_us_is_told_at_once(running: Vendors, status: int):
    running.control("activecampaign", fail_next=[status])
    with pytest.raises(CredentialsRefused) as refused:
        everything(running, CONTACTS)
    assert refused.value.fields["status_given"] == status
    assert len(running.served("activecampaign")) == 1
    assert TOKEN not in f"{refused.value.message} {refused.value.fields}"


def test_what_is_refused_for_good_is_rejected(running: Vendors):
    running.control("activecampaign", fail_next=[422])
    with pytest.raises(Rejected, match="refused the request") as refused:
        everything(running, MESSAGES)
    assert not isinstance(refused.value, CredentialsRefused)


def test_a_connection_is_tested_with_one_question(running: Vendors):
    assert source(running.address).check(pull()) == ACCOUNT
    assert [one["path"] for one in running.served("activecampaign")] == [f"/{ACCOUNT}/api/3/users/me"]


@pytest.mark.parametrize("wrong", [{"token": "other"}, {"account_id": "other"}])
def test_a_connection_with_a_wrong_key_or_account_is_refused(running: Vendors, wrong: dict[str, str]):
    with pytest.raises(CredentialsRefused):
        source(running.address).check(pull(**wrong))


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        ({"meta": {"total": "1"}}, "something else"),
        ([], "something else"),
        ({"contacts": [{"id": "x"}], "contactLists": [], "meta": {"total": "1"}}, "without an id"),
        ({"contacts": [{"id": "2"}, {"id": "1"}], "contactLists": [], "meta": {"total": "3"}}, "order of ids"),
        ({"contacts": [contact(1)], "meta": {"total": "1"}}, "leaves out"),
    ],
)
def test_an_answer_that_cannot_be_walked_is_rejected_and_not_taken_for_the_end(answer: Any, says: str):
    with vendor() as played:
        played.answers = [Answer(answer)]
        with pytest.raises(Rejected, match=says):
            list(source(played.address).pages(CONTACTS, pull(), ""))


def test_an_answer_that_holds_all_there_is_may_be_in_any_order():
    with vendor() as played:
        listed = {"automations": [{"id": "1"}], "meta": {"total": "1"}}
        blocks = {"automationBlocks": [block(3, 1), block(1, 1), block(2, 1)], "meta": {"total": "3"}}
        played.answers = [Answer(listed), Answer(blocks)]
        [page] = source(played.address).pages(BLOCKS, pull(), "")
    assert [(name, fields["path"]) for name, fields in page.documents] == [
        ("1", ["1"]), ("2", ["1", "2"]), ("3", ["1", "2", "3"]),
    ]  # fmt: skip


# Webhooks: what they tell is in tests/unit/sources/test_activecampaign_webhook.py


def notice(object_id: str) -> Notice:
    return Notice("event-1", "update", object_id)


@pytest.mark.parametrize(("kind", "object_id"), [(CONTACTS, "7"), (CAMPAIGNS, "25152")])
def test_a_webhooks_object_is_the_document_that_a_sync_gives(shop: Vendors, synced: Synced, kind: Kind, object_id: str):
    [change] = source(shop.address).fetch(pull(days=0), notice(f"{kind.path}/{object_id}"))
    whole = dict(documents(synced(kind)))
    assert (change.feed, change.document_id, change.fields) == (kind, object_id, whole[object_id])


def test_a_replayed_webhook_brings_the_object_as_it_is_by_then(running: Vendors, account: Account):
    played = source(running.address)
    [before] = played.fetch(pull(), notice("contacts/7"))
    account.objects["contacts"][6]["email"] = "new@example.com"
    [after] = played.fetch(pull(), notice("contacts/7"))
    assert before.fields is not None
    assert after.fields == {**before.fields, "email": "new@example.com"}


@pytest.mark.parametrize("kind", [CONTACTS, CAMPAIGNS])
def test_an_object_that_is_no_more_is_gone(running: Vendors, kind: Kind):
    [change] = source(running.address).fetch(pull(), notice(f"{kind.path}/404"))
    assert (change.feed, change.document_id, change.fields) == (kind, "404", None)


@pytest.mark.parametrize("kind", [CONTACTS, CAMPAIGNS])
def test_an_object_of_an_account_that_is_no_more_is_not_taken_for_gone(running: Vendors, kind: Kind):
    running.control("activecampaign", fail_next=[404, 404])
    with pytest.raises(CredentialsRefused, match="no such ActiveCampaign account"):
        source(running.address).fetch(pull(), notice(f"{kind.path}/7"))


def test_a_webhook_about_an_automations_mail_or_a_draft_changes_no_campaign(shop: Vendors):
    for object_id in ("11", "99999"):
        assert source(shop.address).fetch(pull(), notice(f"campaigns/{object_id}")) == []


def test_a_webhook_of_an_account_that_is_closed_to_us_is_refused(running: Vendors):
    with pytest.raises(CredentialsRefused):
        source(running.address).fetch(pull(token="other"), notice("contacts/7"))
