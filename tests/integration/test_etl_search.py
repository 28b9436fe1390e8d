"""Keywords and content out of raw documents, on the emulated BigQuery: each metric as plain Python works it out."""

import itertools
import re
from collections import Counter, defaultdict
from datetime import UTC, datetime, time, timedelta
from functools import cache
from urllib.parse import urlsplit

import pytest

from shared.adapters.bigquery import BigQueryWarehouse
from shared.analytics.entities import GROUPS
from shared.analytics.etl import Etl
from shared.analytics.rebuild import entity_sql
from shared.ops.leases import Leases
from shared.ops.progress import ProgressBook
from shared.tenants.provision import provision_tenant
from shared.tenants.service import Tenants
from tests.fakes import FakeDocuments, FakePublisher
from tests.support.bigquery import bigquery_emulator
from tests.support.searches import BRAND_TERMS, OWN_DOMAINS, SILENT, TODAY, ago, documents

GROUP = [group for group in GROUPS if group.name == "search"]
NOW = datetime.combine(TODAY, time(12), UTC)
UNTIL = ago(1)
LATE = {ago(30), ago(4), "Blue Shoes", "red", "imported"}
numbers = itertools.count()


@pytest.fixture(scope="module")
def warehouse(tmp_path_factory):
    with bigquery_emulator(tmp_path_factory.mktemp("bigquery") / "log") as server:
        yield BigQueryWarehouse.connect(server.project, server.bigquery_endpoint, "US")


class Lab:
    """A tenant with documents in its logs, as the stream puts them there."""

    def __init__(self, warehouse):
        self.tenant_id = f"search{next(numbers)}"
        self.dataset = f"aso_tenant_{self.tenant_id}"
        self.warehouse, self.documents, self.now = warehouse, FakeDocuments(), NOW
        provision_tenant(self.documents, warehouse, self.tenant_id)
        tenant = self.documents.get(f"tenants/{self.tenant_id}")
        settings = {"currency": "USD", "brand_terms": BRAND_TERMS, "own_domains": OWN_DOMAINS}
        self.documents.put(f"tenants/{self.tenant_id}", {**tenant, **settings})

    def arrive(self, wanted):
        for collection, rows in documents().items():
            logged = [
                {
                    "timestamp": self.now,
                    "event_id": f"{collection}-{number}-{self.now.timestamp()}",
                    "document_name": f"projects/p/databases/(default)/documents/{collection}/{number}",
                    "operation": "CREATE",
                    "version": self.now,
                    "deleted": False,
                    "appended_at": self.now,
                    "tenant_id": self.tenant_id,
                    **{name: value.isoformat() if name == "date" else value for name, value in row.items()},
                }
                for number, row in enumerate(rows)
                if wanted(collection, row)
            ]
            if logged:
                self.warehouse.load(f"{self.dataset}.{collection}_raw_changelog", logged)

    def run(self, run_id, full=False):
        ops = self.documents
        etl = Etl(
            self.warehouse,
            ops,
            ProgressBook(ops),
            Leases(ops),
            FakePublisher(),
            Tenants(ops).get,
            groups=GROUP,
            now=lambda: self.now,
        )
        return etl.run(self.tenant_id, run_id, full=full)

    def rows(self, sql):
        return self.warehouse.query(sql.format(dataset=self.dataset))

    def metrics(self):
        """(entity type, day, id) -> what is known: columns and attributes that are not NULL."""
        found = {}
        for row in self.rows("SELECT * FROM `{dataset}.daily_entity_metrics`"):
            known = {**row, **(row["attributes"] or {})}
            names = {"tenant_id", "date", "entity_type", "entity_id", "attributes", "updated_at", "schema_version"}
            key = row["entity_type"], row["date"], row["entity_id"]
            found[key] = {name: value for name, value in known.items() if value is not None and name not in names}
        return found


@pytest.fixture(scope="module")
def lab(warehouse):
    """A tenant after a run over most and another one when the rest had come; only to be read."""
    made = Lab(warehouse)
    made.arrive(lambda *document: not is_late(*document))
    made.run("etl-1")
    made.now += timedelta(hours=1)
    made.arrive(is_late)
    made.result = made.run("etl-2")
    return made


def is_late(collection, row):
    """Searches of two days, a keyword and a piece."""
    named = row.get("date"), row.get("keyword"), row.get("content_id")
    return collection in ("search_console_queries", "keywords", "content_pieces") and not LATE.isdisjoint(named)


# --- the same in plain Python ----------------------------------------------------------------------------------------


def term(text):
    return " ".join(text.lower().split())


def path(address):
    bare = re.sub(r"(^|/)(index|default)\.\w+$", "", urlsplit(address).path)
    return "/" + bare.strip("/")


SPELLED = {"/a": "/a/"}
"""Pages that Google Analytics spells another way, the one with the most visits."""


def page(address):
    return SPELLED.get(path(address), path(address))


@cache
def raw():
    return documents()


def is_read(table, day):
    told = {row["date"] for row in raw()[table]}
    return any(one >= day for one in told) and any(0 <= (day - one).days <= 28 for one in told)


def days(since):
    return [ago(number) for number in range(min(since, 92), 0, -1)]


def visits(table, channel=""):
    """(day, path) -> sessions, conversions, seconds (None where a row lacks them)."""
    found = defaultdict(lambda: [0, 0.0, 0])
    for row in raw()[table]:
        if row.get("session_default_channel_group", "") in ("", channel):
            one, seconds = found[row["date"], path(row["landing_page"])], row.get("user_engagement_duration", 0)
            one[0] += row["sessions"]
            one[1] += row["key_events"]
            one[2] = None if one[2] is None or seconds is None else one[2] + seconds
    return found


def shown(*names):
    """Searches added up by what is named: clicks, impressions, places, conversions."""
    organic = visits("ga_landing_page_channels", "Organic Search")
    clicks_of_page = Counter()
    for row in raw()["search_console_queries"]:
        clicks_of_page[row["date"], path(row["page"])] += row["clicks"]
    found = defaultdict(lambda: [0, 0, 0.0, 0.0])
    for row in raw()["search_console_queries"]:
        known = {"day": row["date"], "term": term(row["query"]), "path": path(row["page"])}
        known["group"] = "brand" if "acme" in known["term"] else "other"
        one, where = found[tuple(known[name] for name in names)], (known["day"], known["path"])
        one[0] += row["clicks"]
        one[1] += row["impressions"]
        one[2] += row["position"] * row["impressions"]
        if where in organic and row["clicks"]:
            sessions, conversions, _ = organic[where]
            one[3] += conversions * row["clicks"] / max(sessions, clicks_of_page[where])
    return found


def tracked():
    found = {}
    for row in sorted(raw()["keywords"], key=lambda row: row["created_at"]):
        found.setdefault(term(row["keyword"]), row)
    return found


def is_kept(word, day):
    month = [shown_by_term().get((day - timedelta(days=number), word)) for number in range(28)]
    return word in tracked() or sum(one[1] for one in month if one) >= 100


@cache
def shown_by_term():
    return shown("day", "term")


@cache
def shown_by_pair():
    return shown("day", "term", "path")


def ads(word, day):
    """Clicks, impressions, cost in the tenant's currency."""
    told = [row for row in raw()["google_ads_search_terms"] if (term(row["search_term"]), row["date"]) == (word, day)]
    if not told:
        bought = (row for row in raw()["google_ads_keywords"] if row["match_type"] == "EXACT")
        told = [row for row in bought if (term(row["keyword_text"]), row["date"]) == (word, day)]
    cost = sum(row["cost"] for row in told if row["currency"] == "USD")
    return sum(row["clicks"] for row in told), sum(row["impressions"] for row in told), cost


def published():
    """Pieces that are or were published, their path where it is one of ours, since when."""
    for row in raw()["content_pieces"]:
        if row["status"] != "draft":
            own = row.get("url") and "magazine" not in row["url"]
            since = row.get("published_at") or row["created_at"]
            yield row, path(row["url"]) if own else None, since.date()


def page_of(content_id):
    """The page of a piece that is published."""
    found = [where for row, where, _ in published() if (row["content_id"], row["status"]) == (content_id, "published")]
    return SPELLED.get(found[0], found[0]) if found and found[0] else None


def main_page(word, day):
    pages = [(-one[1], -one[0], key[2]) for key, one in shown_by_pair().items() if key[:2] == (day, word)]
    return SPELLED.get(min(pages)[2], min(pages)[2]) if pages else None


def expected_keywords():
    searches, found = shown_by_term(), {}
    words = {word for _, word in searches} | set(tracked())
    for day, word in itertools.product(days(92), words):
        row = tracked().get(word)
        row = row if row and row["created_at"].date() <= day else {}
        if not ((day, word) in searches and is_kept(word, day)) and not (
            row and is_read("search_console_queries", day)
        ):
            continue
        clicks, impressions, places, conversions = searches.get((day, word), (0, 0, 0.0, 0.0))
        one = {"page": main_page(word, day) or page_of(row.get("content_id"))}
        one |= {"clicks": clicks, "impressions": impressions, "position": places / impressions if impressions else None}
        if is_read("ga_landing_page_channels", day):
            one["organic_conversions"] = conversions
        if is_read("google_ads_campaigns", day):
            one["ads_clicks"], one["ads_impressions"], one["cost"] = ads(word, day)
        one |= {"search_volume": row.get("search_volume"), "difficulty": row.get("difficulty_score")}
        one |= {"kgr": row.get("kgr_score"), "intent": row.get("intent"), "content_id": row.get("content_id")}
        if row.get("competitor_rankings"):
            # Looked for 40 and 10 days ago; when it was of the undated nobody knows.
            one["competitors_top10"] = {ago(40): 0, ago(10): 1}.get(day)
        found[day, word] = one
    return found


def expected_pages():
    found = {}
    for (day, word, where), (clicks, impressions, places, _) in shown_by_pair().items():
        if is_kept(word, day):
            rivals = [
                (one[2] / one[1], -one[1], key[2]) for key, one in shown_by_pair().items() if key[:2] == (day, word)
            ]
            name = SPELLED.get(where, where)
            found[day, f"{word} | {where}"] = {
                "clicks": clicks,
                "impressions": impressions,
                "position": places / impressions,
                "best_placed": int(min(rivals)[2] == where),
                "keyword": word,
                "page": name,
                "intent": tracked().get(word, {}).get("intent"),
                "page_type": {"/blog/red": "blog", "/a": "guide", "/blue": "guide", "/": "guide"}.get(where),
            }
    return found


def expected_groups():
    return {
        (day, group): {"clicks": clicks, "impressions": impressions}
        | ({"conversions": conversions} if is_read("ga_landing_page_channels", day) else {})
        for (day, group), (clicks, impressions, _, conversions) in shown("day", "group").items()
    }


def expected_competitors():
    def check(day, competitor, position):
        known = {"competitor": competitor, "competitor_position": position, "keyword": "red shoes"}
        return (day, f"red shoes | {competitor}"), {**known, "page": main_page("red shoes", day)}

    return dict(
        (
            check(ago(10), "rival.example", 4.0),
            check(ago(40), "rival.example", 12.5),
            check(ago(10), "other.example", None),
        )
    )


def expected_content():
    landed, organic = visits("ga_landing_pages"), visits("ga_landing_page_channels", "Organic Search")
    searched, found, viewed = shown("day", "path"), {}, Counter()
    for row in raw()["ga_page_performance"]:
        viewed[row["date"], path(row["page_path"])] += row["screen_page_views"]
    for row, where, since in published():
        for number in range((UNTIL - since).days + 1):
            day, word = since + timedelta(days=number), term(row["keyword_primary"])
            if not (is_read("ga_landing_pages", day) or is_read("search_console_queries", day)):
                continue
            one = {"content_age_days": number, "content_status": row["status"], "page": page_of(row["content_id"])}
            one |= {name: row.get(name) for name in ("title", "meta_description", "hub_id", "word_count")}
            one["ranking_position"] = row.get("ranking_position")
            if where and is_read("ga_landing_pages", day):
                sessions, conversions, seconds = landed.get((day, where), (0, 0.0, 0))
                one |= {"sessions": sessions, "conversions": conversions, "engagement_seconds": seconds}
                one["pageviews"] = viewed[day, where]
                one["organic_sessions"] = organic.get((day, where), (0,))[0]
            if where and is_read("search_console_queries", day):
                clicks, impressions, places, _ = searched.get((day, where), (0, 0, 0.0, 0.0))
                one |= {"clicks": clicks, "impressions": impressions}
                one["position"] = places / impressions if impressions else None
                if ranked := shown_by_pair().get((day, word, where)):
                    one["ranking_position"] = ranked[2] / ranked[1]
            if row["status"] == "archived":
                one["page"] = "/"
            found[day, row["content_id"]] = one
    return found


def expected_topics():
    landed, found = visits("ga_landing_pages"), {}
    for day in days(92):
        members = [
            where
            for row, where, since in published()
            if row["status"] == "published" and row["content_id"] != "alone" and since <= day
        ]
        if members and is_read("ga_landing_pages", day):
            pages = [landed.get((day, where), (0, 0.0)) for where in set(members) - {None}]
            sessions, conversions = sum(one[0] for one in pages), sum(one[1] for one in pages)
            found[day, "shoes"] = {"pieces": len(members), "sessions": sessions, "conversions": conversions}
    return found


EXPECTED = {
    "keyword": expected_keywords,
    "keyword_page": expected_pages,
    "keyword_group": expected_groups,
    "keyword_competitor": expected_competitors,
    "content": expected_content,
    "content_group": expected_topics,
}


@pytest.mark.parametrize("entity_type", EXPECTED)
def test_each_metric_is_what_plain_python_makes_of_the_raw_documents(lab, entity_type):
    found = {(day, name): row for (kind, day, name), row in lab.metrics().items() if kind == entity_type}
    expected = {
        key: {name: value for name, value in row.items() if value is not None}
        for key, row in EXPECTED[entity_type]().items()
    }
    assert found.keys() == expected.keys()
    for key, row in expected.items():
        numbers = {name: value for name, value in row.items() if not isinstance(value, str)}
        assert {name: found[key].get(name) for name in numbers} == pytest.approx(numbers, rel=0, abs=5e-6), key
        assert {**found[key], **numbers} == row, key


def test_corners_are_in_the_documents(lab):
    # What is compared above would say little of a world that lacks them.
    metrics = lab.metrics()
    assert metrics["keyword", ago(20), "red shoes"]["impressions"] == 0
    assert "position" not in metrics["keyword", ago(20), "red shoes"]
    assert ("keyword", ago(70), "red shoes") not in metrics
    assert {day for kind, day, name in metrics if (kind, name) == ("keyword", "green shoes")} == {
        *map(ago, range(3, 26))
    }
    assert metrics["keyword", ago(9), "red shoes"]["cost"] == pytest.approx(3 * 0.37)
    polished = {day for kind, day, name in metrics if (kind, name) == ("keyword", "shoe polish")}
    assert polished
    assert ago(60) not in polished
    assert not [key for key in metrics if key[2].startswith("shoe trees") or key[2] == "planned"]
    assert metrics["content", ago(1), "blue"]["sessions"] == 0
    assert "sessions" not in metrics["content", ago(1), "guest"]
    assert "engagement_seconds" not in metrics["content", ago(44), "shoes"]


def made_alone(lab, entity_type, *days):
    """What an entity's rows of these days are where no others are made."""
    [entity] = [one for one in GROUP[0].entities if one.entity_type == entity_type]
    settings = {"currency": "USD", "property_id": "site", "customer_id": "", "site_url": ""}
    sql = entity_sql(GROUP[0], entity, lab.dataset)
    return lab.warehouse.query(sql, days=days, first_day=days[0], last_day=days[-1], **settings)


@pytest.mark.parametrize("entity_type", ["keyword", "content"])
def test_whether_a_day_was_read_does_not_depend_on_the_days_that_are_made_with_it(lab, entity_type):
    made = {row["entity_id"]: row["clicks"] for row in made_alone(lab, entity_type, ago(SILENT))}
    metrics = lab.metrics()
    assert made == {
        name: row.get("clicks")
        for (kind, day, name), row in metrics.items()
        if (kind, day) == (entity_type, ago(SILENT))
    }
    assert 0 in made.values()


def test_keywords_are_known_without_search_console(lab):
    # Told of nothing for 28 days, Search Console is no more; what people know of their keywords stands.
    for first, rows in ((-24, 0), (-30, 8)):
        found = made_alone(lab, "keyword", ago(first), ago(first - 1))
        assert len(found) == rows
        assert {row["clicks"] for row in found} <= {None}
    assert {row["search_volume"] for row in found if row["entity_id"] == "red shoes"} == {900}


def test_pages_of_search_console_and_pieces_are_mapped_to_those_of_google_analytics(lab):
    found = {
        (row["source"], row["alias"]): (row["entity_id"], row["how"])
        for row in lab.rows("SELECT source, alias, entity_id, how FROM `{dataset}.entity_aliases`")
    }
    assert found["search_console", "https://www.shop.example/a/?utm_source=x#top"] == ("/a/", "url")
    assert found["search_console", "http://shop.example/a/index.html"] == ("/a/", "url")
    assert found["search_console", "https://www.shop.example"] == ("/", "url")
    assert found["search_console", "https://www.shop.example/A"] == ("/A", "own")
    assert found["content", "/blog/red/?a=b"] == ("/blog/red", "url")
    assert found["content", "https://www.shop.example/blue"] == ("/blue", "own")
    assert not [alias for _, alias in found if "magazine" in alias]
    unmapped = {
        row["subject"]: (row["rows_in"], row["rows_out"])
        for row in lab.rows("SELECT subject, rows_in, rows_out FROM `{dataset}.stage_counts` WHERE stage = 'map'")
    }
    addresses = {row["page"] for row in raw()["search_console_queries"]}
    assert unmapped["search_console page"] == (
        len(addresses),
        sum(map(lambda one: page(one) in ("/a/", "/", "/blog/red"), addresses)),
    )


def test_what_came_late_ends_as_if_everything_were_made_anew(lab):
    assert lab.result.leaks == ()
    before = lab.metrics()
    again = lab.run("etl-3", full=True)
    assert (again.changed, again.months_changed, again.leaks) == (0, 0, ())
    assert lab.metrics() == before
