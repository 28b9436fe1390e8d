"""Sites on which nothing happens: made of noise, or of the real sample; as rows, and as what the statements yield.

What an entity type has is read off the declarations: a detector that reads a metric listed in MADE is covered without
new code. Days are counted back from AS_OF, a Sunday, so that every seven of them are a week.
"""

import csv
from collections import defaultdict
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from functools import cache
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shared.analytics.attributes import ATTRIBUTES
from shared.analytics.records import DailyEntityMetrics
from shared.analytics.rollup import LATEST, MEANS
from shared.detectors import expression
from shared.detectors.compiler import Family, Plan, plan
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import Detector, Span, feature
from shared.detectors.entities import STOCKS, Entities
from shared.detectors.homes import read
from shared.detectors.metrics import METRICS
from shared.detectors.names import Table
from shared.schema.bigquery import columns
from shared.tenants.records import Tenant
from tests.support.detectors import AS_OF, Row

WEEKS = 65
"""As many as the longest windows need: thirteen whole months, and the same weeks of the year before."""
DAYS = 7 * WEEKS
SEASON = np.array([0.8, 1.0, 1.05, 1.1, 1.15, 1.1, 0.8])
"""By days before a Sunday: Sunday, Saturday, ... Monday."""
SPREAD = 20.0
"""Shape of the gamma that days are drawn from before Poisson: 22% beside it."""
SPREADS = {"property": 200.0, "keyword_group": 100.0, "source_table": 100.0, "event": 60.0, "automation": 60.0}
"""Of those that sum up many: less."""
DRIFT, RATE_DRIFT, SEND_SPREAD = 0.04, 0.03, 0.12
"""Weeks of a count, weeks of a rate, and sends of an e-mail type differ by so much for no reason."""
Floats = NDArray[np.float64]
Kind = Literal["count", "share", "events", "amount", "stock", "place"]


@dataclass(frozen=True)
class Made:
    """How a metric is made.

    count: overdispersed, of its own level. share: binomial of its parent. events: Poisson of its parent. amount: gamma,
    so much for each of its parent. stock: a level that hardly moves (of a parent: so much for each). place: a rank with
    day-to-day noise. `of`: its parent, the first of these that the entity type has, else the last.
    """

    kind: Kind
    low: float
    high: float
    of: tuple[str, ...] = ()


MADE: dict[str, Made] = {
    # Traffic.
    "sessions": Made("count", 15, 250, ()),
    "engaged_sessions": Made("share", 0.5, 0.7, ("sessions",)),
    "bounces": Made("share", 0.3, 0.4, ("sessions",)),
    "pageviews": Made("events", 1.4, 2.5, ("sessions",)),
    "exits": Made("share", 0.3, 0.5, ("pageviews",)),
    "scroll_90_events": Made("share", 0.2, 0.4, ("sessions",)),
    "engagement_seconds": Made("amount", 30, 90, ("sessions",)),
    "organic_sessions": Made("share", 0.5, 0.9, ("sessions",)),
    "paid_sessions": Made("share", 0.1, 0.3, ("sessions",)),
    "conversions": Made("share", 0.02, 0.06, ("sessions", "clicks")),
    "organic_conversions": Made("share", 0.02, 0.06, ("organic_sessions",)),
    "paid_conversions": Made("share", 0.02, 0.06, ("paid_sessions",)),
    "orders": Made("share", 0.02, 0.06, ("sessions",)),
    "revenue": Made("amount", 30, 90, ("orders", "conversions")),
    # Ads, searches.
    "impressions": Made("count", 100, 5_000, ()),
    "clicks": Made("share", 0.03, 0.08, ("impressions",)),
    "ads_conversions": Made("share", 0.03, 0.08, ("clicks",)),
    "ads_value": Made("amount", 40, 90, ("ads_conversions",)),
    "cost": Made("amount", 0.8, 2.5, ("clicks", "sessions")),
    "lost_is_budget": Made("stock", 0.05, 0.3),
    "lost_is_rank": Made("stock", 0.05, 0.3),
    "position": Made("place", 1.5, 22),
    "competitor_position": Made("place", 3, 25),
    "search_volume": Made("stock", 50, 5_000),
    "difficulty": Made("stock", 5, 80),
    "kgr": Made("stock", 0.1, 2),
    # E-mail.
    "sends": Made("count", 700, 9_000, ()),
    "entries": Made("share", 0.2, 0.5, ("sends",)),
    "delivered": Made("share", 0.96, 0.99, ("sends",)),
    "hard_bounces": Made("share", 0.003, 0.01, ("sends",)),
    "opens": Made("share", 0.2, 0.4, ("delivered",)),
    "verified_opens": Made("share", 0.6, 0.8, ("opens",)),
    "machine_opens": Made("share", 0.2, 0.4, ("opens",)),
    "clicks_email": Made("share", 0.02, 0.05, ("delivered",)),
    "unsubscribes": Made("share", 0.001, 0.003, ("delivered",)),
    "email_orders": Made("share", 0.05, 0.15, ("clicks_email",)),
    "email_revenue": Made("amount", 30, 90, ("email_orders",)),
    "active_contacts": Made("stock", 900, 9_000),
    "engaged_contacts": Made("stock", 0.3, 0.5, ("active_contacts",)),
    # Payments, customers.
    "payment_attempts": Made("count", 10, 120, ()),
    "failed_payments": Made("share", 0.03, 0.08, ("payment_attempts",)),
    "charges": Made("share", 0.9, 0.98, ("payment_attempts", "orders")),
    "charge_amount": Made("amount", 30, 90, ("charges",)),
    "refunds": Made("share", 0.03, 0.06, ("charges",)),
    "refund_amount": Made("amount", 30, 90, ("refunds",)),
    "discounted_orders": Made("share", 0.25, 0.35, ("orders",)),
    "discounted_revenue": Made("amount", 30, 90, ("discounted_orders",)),
    "discount_amount": Made("amount", 5, 15, ("discounted_orders",)),
    "new_customers": Made("share", 0.5, 0.7, ("orders", "conversions")),
    "repeat_orders": Made("share", 0.25, 0.35, ("orders",)),
    "ltv_90d": Made("stock", 80, 160),
    "ltv_12m": Made("stock", 60, 120),
    # Subscriptions.
    "active_subscriptions": Made("stock", 150, 4_000),
    "mrr": Made("stock", 20, 60, ("active_subscriptions",)),
    "new_subscriptions": Made("events", 0.0015, 0.003, ("active_subscriptions",)),
    "new_mrr": Made("amount", 20, 60, ("new_subscriptions",)),
    "upgrades": Made("events", 0.0003, 0.0006, ("active_subscriptions",)),
    "expansion_mrr": Made("amount", 10, 20, ("upgrades",)),
    "downgrades": Made("events", 0.0003, 0.0006, ("active_subscriptions",)),
    "contraction_mrr": Made("amount", 10, 20, ("downgrades",)),
    "churned_subscriptions": Made("events", 0.001, 0.002, ("active_subscriptions",)),
    "churned_mrr": Made("amount", 20, 60, ("churned_subscriptions",)),
    "trials_ended": Made("events", 0.004, 0.01, ("active_subscriptions",)),
    "trials_converted": Made("share", 0.3, 0.5, ("trials_ended",)),
    "failed_invoices": Made("events", 0.001, 0.002, ("active_subscriptions",)),
    # The data themselves.
    "event_count": Made("count", 10, 2_000, ()),
    "row_count": Made("count", 60, 3_000, ()),
    "null_count": Made("share", 0.01, 0.05, ("row_count",)),
}
"""Metric -> how it is made."""
OF_TYPE: dict[tuple[str, str], Made] = {
    ("funnel_step", "sessions"): Made("count", 150, 900),
    ("funnel_step", "conversions"): Made("share", 0.25, 0.6, ("sessions",)),
    ("funnel", "sessions"): Made("count", 30, 200),
    ("funnel", "conversions"): Made("share", 0.35, 0.6, ("sessions",)),
    ("device", "sessions"): Made("count", 300, 2_000),
    ("channel", "sessions"): Made("count", 100, 900),
    ("content", "sessions"): Made("count", 10, 60),
    ("property", "sessions"): Made("count", 2_000, 6_000),
    ("keyword", "impressions"): Made("count", 5, 200),
    ("keyword_page", "impressions"): Made("count", 5, 200),
    ("campaign", "sessions"): Made("share", 0.8, 0.95, ("clicks",)),
    ("channel", "cost"): Made("amount", 0.3, 0.9, ("sessions",)),
    ("automation", "sends"): Made("count", 3, 60),
    ("automation", "email_orders"): Made("share", 0.01, 0.03, ("sends",)),
    ("email_campaign", "sends"): Made("count", 400, 9_000),
}
"""What an entity type has otherwise."""
NAMED: dict[str, tuple[str, ...]] = {
    "property": ("properties/1",),
    "device": ("desktop", "mobile", "tablet"),
    "channel": ("Direct", "Display", "Email", "Organic Search", "Organic Social", "Paid Search", "Unassigned"),
    "keyword_group": ("brand", "generic"),
    "browser": ("Chrome", "Edge", "Firefox", "Opera", "Safari", "Samsung Internet"),
    "funnel_step": ("add_to_cart", "begin_checkout", "purchase", "view_item"),
}
"""Entity types whose entities are known by name."""
SIZES = {"page": 120, "landing_page": 60, "source_medium": 60, "keyword": 60, "country": 25, "content": 40}
SIZES |= {"campaign": 20, "email_type": 6, "email_campaign": 90, "funnel": 3, "payment_method": 6, "plan": 5}
SIZES |= {"automation": 10, "email_list": 5, "event": 10, "source_table": 12, "table_column": 12, "keyword_page": 60}
SIZES |= {"keyword_competitor": 30}
USUAL_SIZE = 12
PARENTS = {"keyword_competitor": ("keyword", "keyword"), "email_campaign": ("email_type", "email_type")}
PARENTS |= {"keyword_page": ("page", "page")}
"""Entity type -> the label that names another entity, and the type of that."""
CALENDAR = ("content_age_days", "cohort_age")
"""What a day has by its date: not made, and not shuffled."""
WEEK_DAYS = {"email_type": 2, "email_campaign": 0}
"""Entity types that have a row on the days of a send only: so many days a week; 0: one day at all."""


@dataclass
class Group:
    """The entities of one type: (entity, day before AS_OF) arrays; `rows` tells on which days there is a row."""

    ids: list[str]
    rows: NDArray[np.bool_]
    metrics: dict[str, Floats] = field(default_factory=dict)
    labels: dict[str, list[str]] = field(default_factory=dict)


World = dict[str, Group]


@dataclass(frozen=True)
class Effect:
    """What happens to a metric's level (or rate) on some days: `level * times + plus`.

    places: whose; None is everybody. days: how far back; (first, last) or a series of factors by days before AS_OF.
    """

    metric: str
    times: float | Floats = 1.0
    plus: float | Floats = 0.0
    first: int = 0
    last: int = 6
    places: tuple[int, ...] = (0,)


def is_change(detector: Detector) -> bool:
    """True of detectors that set a time against another, or claim a trend; of others a shuffle says nothing."""
    if detector.test.name in ("mann_kendall", "cusum", "robust_z"):
        return True
    if detector.test.name == "none" and detector.direction == "level":
        return False
    spans = [detector.span(name) for name in detector.windows]
    return any(one.unit != other.unit or one.last < other.first for one in spans for other in spans)


def needed(detectors: tuple[Detector, ...]) -> dict[str, set[str]]:
    """Entity type -> the metrics that these detectors read of it, and what these are made of."""
    found: dict[str, set[str]] = {}
    for detector in detectors:
        for entity_type, names in read(detector).items():
            found.setdefault(entity_type, set()).update(names)
        for text in detector.expressions().values():
            for name in expression.names(text):
                one = feature(detector, name)
                if one is not None and one.scope in ("site", "rest") and one.metric:
                    found.setdefault(detector.rows_of, set()).add(one.metric)
                    found.setdefault("property", set()).add(one.metric)
    found.setdefault("property", set()).update(("sessions", "conversions", "revenue"))
    return {entity_type: _closed(entity_type, names) for entity_type, names in sorted(found.items())}


def made(entity_type: str, metric: str) -> Made | None:
    """How a metric of an entity type is made."""
    return OF_TYPE.get((entity_type, metric)) or MADE.get(metric)


def parent(one: Made, names: set[str]) -> str | None:
    """What a metric is made of, among those that an entity type has."""
    return next((name for name in one.of if name in names), one.of[-1] if one.of else None)


def _closed(entity_type: str, names: set[str]) -> set[str]:
    known = {name for name in names if made(entity_type, name) or name in CALENDAR}
    for name in sorted(known):
        one = made(entity_type, name)
        if one is not None and one.of:
            known.add(str(parent(one, known)))
    return known if known >= names and known == names else _closed(entity_type, known) if known != names else known


@dataclass
class Maker:
    """Makes the entities of one type."""

    generator: np.random.Generator
    entity_type: str
    names: set[str]
    count: int
    days: int = DAYS
    levels: Mapping[str, float] = field(default_factory=dict)
    effects: tuple[Effect, ...] = ()
    silent: bool = False
    found: dict[str, Floats] = field(default_factory=dict)

    def group(self) -> Group:
        """Their rows, metrics and labels."""
        named = NAMED.get(self.entity_type, ())
        ids = [*named[: self.count], *(f"{self.entity_type}/{n}" for n in range(len(named), self.count))]
        rows = self._rows()
        for metric in sorted(self.names):
            self._metric(metric)
        metrics = {name: np.where(rows, values, np.nan) for name, values in self.found.items()}
        return Group(ids, rows, metrics)

    def _rows(self) -> NDArray[np.bool_]:
        shape = (self.count, self.days)
        a_week = WEEK_DAYS.get(self.entity_type)
        if a_week is None:
            return np.ones(shape, dtype=bool)
        if a_week:
            ago = np.arange(self.days) % 7
            first = self.generator.integers(0, 3, self.count)[:, None]
            return (ago[None, :] == first) | ((a_week > 1) & (ago[None, :] == first + 3))
        rows = np.zeros(shape, dtype=bool)
        rows[np.arange(self.count), self.generator.integers(0, self.days, self.count)] = True
        return rows

    def _metric(self, metric: str) -> Floats:
        if metric not in self.found:
            self.found[metric] = self._made(metric)
        return self.found[metric]

    def _made(self, metric: str) -> Floats:
        if metric in CALENDAR:
            return np.tile(900.0 - np.arange(self.days), (self.count, 1))
        one = made(self.entity_type, metric)
        if one is None:
            raise KeyError(f"worlds.MADE does not say how {metric} of {self.entity_type} is made")
        above = parent(one, self.names)
        of = None if above is None else self._metric(above)
        level = self._level(metric, one)
        for effect in self.effects:
            if effect.metric == metric:
                ago = np.arange(self.days)
                held = (ago >= effect.first) & (ago <= effect.last)
                for place in effect.places:
                    changed = level[place] * effect.times + effect.plus
                    level[place] = np.where(held, np.maximum(changed, 0), level[place])
        return self._drawn(one, level, of)

    def _level(self, metric: str, one: Made) -> Floats:
        """The level (or rate) of each entity on each day, before chance."""
        low, high = np.log(one.low), np.log(one.high)
        own = np.exp(self.generator.uniform(low, high, self.count))
        if metric in self.levels:
            own = np.full(self.count, self.levels[metric])
        level = np.repeat(own[:, None], self.days, axis=1)
        if self.silent:
            return level
        sd = {"count": DRIFT, "stock": 0.0, "place": 0.0}.get(one.kind, RATE_DRIFT)
        level *= np.repeat(np.exp(self.generator.normal(0, sd, (self.count, self.days // 7 + 1))), 7, axis=1)[
            :, : self.days
        ]
        if self.entity_type in WEEK_DAYS and one.kind in ("share", "amount") and metric != "delivered":
            level *= np.exp(self.generator.normal(0, SEND_SPREAD, level.shape))
        return level

    def _drawn(self, one: Made, level: Floats, of: Floats | None) -> Floats:
        draw = self.generator
        if one.kind == "count":
            season = np.resize(SEASON, self.days) if not self.silent else np.ones(self.days)
            mean = level * season
            spread = SPREADS.get(self.entity_type, SPREAD)
            return mean if self.silent else draw.poisson(mean * draw.gamma(spread, 1 / spread, level.shape)) * 1.0
        if one.kind == "place":
            return self._places(level)
        if of is None:
            return level
        if self.silent or one.kind == "stock":
            return np.minimum(level, 1) * of if one.kind == "share" else level * of
        if one.kind == "share":
            return draw.binomial(of.astype(np.int64), np.clip(level, 0, 1)) * 1.0
        if one.kind == "events":
            return draw.poisson(level * of) * 1.0
        # Order values with a coefficient of variation of 0.7: the sum of n of them is one gamma of n times the shape.
        return np.where(of > 0, draw.gamma(np.maximum(of, 1e-9) * 2, 0.5), 0.0) * level

    def _places(self, level: Floats) -> Floats:
        """Ranks: the worse, the noisier; whole weeks are off a little too."""
        own = 0.4 + 0.06 * level
        weeks = np.repeat(self.generator.normal(0, 1, (self.count, self.days // 7 + 1)), 7, axis=1)[:, : self.days]
        found = level + 0.5 * own * weeks + own * self.generator.normal(0, 1, level.shape)
        return np.maximum(np.rint(level if self.silent else found), 1.0)


def generated(generator: np.random.Generator, detectors: tuple[Detector, ...], days: int = DAYS) -> World:
    """A site of every entity type that the detectors read; nothing happens to any of them."""
    found: World = {}
    for entity_type, names in needed(detectors).items():
        count = len(NAMED.get(entity_type, ())) or SIZES.get(entity_type, USUAL_SIZE)
        found[entity_type] = Maker(generator, entity_type, names, count, days).group()
    return related(generator, found)


def related(generator: np.random.Generator, world: World) -> World:
    """With the labels that name other entities."""
    for entity_type, (label, other) in PARENTS.items():
        if entity_type in world and other in world:
            ids = world[other].ids
            world[entity_type].labels[label] = [str(one) for one in generator.choice(ids, len(world[entity_type].ids))]
    return world


def shuffled(generator: np.random.Generator, world: World) -> World:
    """Whole weeks in another order, the same for everybody; weekdays are kept."""
    some = next(iter(world.values()))
    weeks = generator.permutation(some.rows.shape[1] // 7)
    order = (weeks[:, None] * 7 + np.arange(7)).ravel()
    return {
        name: replace(
            group,
            rows=group.rows[:, order],
            metrics={
                metric: values if metric in CALENDAR else values[:, order] for metric, values in group.metrics.items()
            },
        )
        for name, group in world.items()
    }


def smaller(world: World, least: int) -> World:
    """Of each entity type the first few."""
    return {
        name: Group(
            group.ids[:least],
            group.rows[:least],
            {metric: values[:least].copy() for metric, values in group.metrics.items()},
            {label: texts[:least] for label, texts in group.labels.items()},
        )
        for name, group in world.items()
    }


def rows(world: World) -> Iterator[Row]:
    """Rows of `daily_entity_metrics`."""
    whole = {column.name: column.type == "INT64" for column in columns(DailyEntityMetrics)}
    for entity_type, group in world.items():
        names = [name for name in group.metrics if name in METRICS]
        for place, ago in zip(*np.nonzero(group.rows), strict=True):
            row: Row = {"date": (AS_OF - timedelta(days=int(ago))).isoformat(), "entity_type": entity_type}
            attributes: dict[str, Any] = {label: texts[place] for label, texts in group.labels.items()}
            for name in names:
                value = float(group.metrics[name][place, ago])
                if not np.isnan(value):
                    into = attributes if name in ATTRIBUTES else row
                    into[name] = round(value) if whole.get(name) else value
            yield row | {"entity_id": group.ids[place]} | ({"attributes": attributes} if attributes else {})


def with_newcomers(generator: np.random.Generator, world: World, days: int = 20) -> World:
    """The last few sources are seen since some days only, and the largest landing page has moved to a new address.

    Nothing else happens: new sources convert as the site does, the moved page as it did.
    """
    found = dict(world)
    if "source_medium" in world:
        group, site = world["source_medium"], world["property"].metrics
        fresh, conversions = group.rows.copy(), group.metrics["conversions"].copy()
        fresh[-6:, days:] = False
        rate = np.nansum(site["conversions"]) / np.nansum(site["sessions"])
        conversions[-6:] = generator.binomial(np.nan_to_num(group.metrics["sessions"][-6:]).astype(np.int64), rate)
        found["source_medium"] = replace(group, rows=fresh, metrics=group.metrics | {"conversions": conversions})
    if "landing_page" in world:
        group = world["landing_page"]
        old, new = int(np.nansum(group.metrics["conversions"], axis=1).argmax()), len(group.ids) - 1
        old = old if old != new else 0
        fresh, metrics = group.rows.copy(), {name: values.copy() for name, values in group.metrics.items()}
        fresh[new, days:] = False
        for values in metrics.values():
            values[new] = values[old]
            values[old, :days] = np.floor(values[old, :days] / 10)
        found["landing_page"] = replace(group, rows=fresh, metrics=metrics)
    return found


@cache
def _as_scanned() -> Plan:
    return plan()


def table(world: World, tenant: Tenant | None = None, of: Plan | None = None) -> Table:
    """What the compiled statements yield of a world's rows, worked out without them."""
    asked_by = of or _as_scanned()
    found: dict[str, Entities] = {}
    reach = {
        name: {ago for scan in asked_by.scans.values() if name in scan.types for ago in _reach(scan.days)}
        for name in world
    }
    for name, group in world.items():
        ids = np.array(group.ids, dtype=object)
        one = Entities(name, ids, np.zeros(len(ids), dtype=bool))
        one.labels = {label: np.array(texts, dtype=object) for label, texts in group.labels.items()}
        one.rows = np.zeros((len(ids), 0), dtype=bool)
        for scan_name, scan in asked_by.scans.items():
            for family in scan.families:
                if name in family.asked:
                    _sums(one, group, family)
            if scan_name != "year" and name in scan.types:
                near = group.rows[:, : scan.days.last + 1]
                one.numbers["oldest"] = np.where(near, np.arange(near.shape[1]), -1).max(axis=1).astype(float)
        if asked_by.months is not None and name in asked_by.months.asked:
            one.months = _months(group, asked_by.months.asked[name], asked_by.months.last)
        found[name] = one
    days = {
        name: frozenset(int(ago) for ago in np.flatnonzero(group.rows.any(axis=0)) if int(ago) in reach[name])
        for name, group in world.items()
    }
    months = {
        name: frozenset(np.flatnonzero((~np.isnan(one.months["days"])).any(axis=0)).tolist())
        for name, one in found.items()
        if one.months
    }
    now = datetime.now(UTC)
    return Table(
        found, Coverage.of(AS_OF, days, months), tenant or Tenant(tenant_id="world", created_at=now, updated_at=now)
    )


def _reach(span: Span) -> range:
    return range(span.first, span.last + 1)


def _values(group: Group, metric: str) -> Floats | None:
    if metric == "value_revenue":
        return group.metrics.get("revenue") if "conversions" in group.metrics else None
    if metric == "value_conversions":
        return group.metrics.get("conversions") if "revenue" in group.metrics else None
    if metric == "position_impressions":
        if not {"position", "impressions"} <= set(group.metrics):
            return None
        impressions = group.metrics["impressions"]
        return np.where(impressions == 0, 0.0, group.metrics["position"] * impressions)
    return group.metrics.get(metric)


def _sums(into: Entities, group: Group, family: Family) -> None:
    asked = family.asked[into.entity_type]
    depth = max(asked.listed.values(), default=-1) + 1
    if depth and family.name != "year":
        into.rows = group.rows[:, : max(depth, into.rows.shape[1])]
    for metric in asked.listed if family.name != "year" else ():
        values = _values(group, metric)
        if values is not None and (metric not in into.days or into.days[metric].shape[1] < depth):
            into.days[metric] = np.where(group.rows, values, np.nan)[:, :depth]
    for kind, span, metric in asked.sums:
        last = AS_OF.day - 1 if span.unit == "mtd" else span.last
        there = group.rows[:, span.first : last + 1]
        into.numbers[f"seen_{span.key}"] = there.sum(axis=1).astype(float)
        values = _values(group, metric)
        if values is None or kind == "days":
            continue
        into.numbers[f"{kind}_{span.key}_{metric}"] = _statistic(kind, values[:, span.first : last + 1], there)


def _statistic(kind: str, values: Floats, there: NDArray[np.bool_]) -> Floats:
    if kind == "sum":
        return np.where(there, values, 0.0).sum(axis=1)
    values = np.where(there, values, np.nan)
    known = ~np.isnan(values)
    if kind == "mean":
        count = known.sum(axis=1)
        return np.divide(np.nansum(values, axis=1), count, out=np.full(len(values), np.nan), where=count > 0)
    if kind == "last":
        place = known.argmax(axis=1) if values.shape[1] else np.zeros(len(values), dtype=int)
        return values[np.arange(len(values)), place]
    worst = -np.inf if kind == "max" else np.inf
    reduced = (np.max if kind == "max" else np.min)(np.where(known, values, worst), axis=1)
    return np.where(known.any(axis=1), reduced, np.nan)


def _months(group: Group, metrics: tuple[str, ...], last: int) -> dict[str, Floats]:
    days = [AS_OF - timedelta(days=ago) for ago in range(group.rows.shape[1])]
    index = np.array([(AS_OF.year - day.year) * 12 + AS_OF.month - day.month for day in days])
    found = {name: np.full((len(group.ids), last + 1), np.nan) for name in ("days", *metrics)}
    for month in range(min(last, int(index.max())) + 1):
        mine = index == month
        there = group.rows[:, mine]
        count = there.sum(axis=1).astype(float)
        found["days"][:, month] = np.where(count > 0, count, np.nan)
        for metric in metrics:
            values = _values(group, metric)
            if values is not None:
                latest = metric in LATEST or (metric in STOCKS and metric not in MEANS)
                kind = "mean" if metric in MEANS else "last" if latest else "sum"
                one = _statistic(kind, values[:, mine], there)
                found[metric][:, month] = np.where(count > 0, one, np.nan)
    return found


SAMPLE = Path(__file__).parents[2] / "infra" / "local" / "sample"
REAL: dict[str, tuple[str, tuple[str, ...]]] = {
    "property": ("days.csv", ()),
    "source_medium": ("sources.csv", ("source", "medium")),
    "channel": ("sources.csv", ("channel",)),
    "campaign": ("sources.csv", ("campaign",)),
    "device": ("device_days.csv", ("device",)),
    "browser": ("device_days.csv", ("browser",)),
    "page": ("page_days.csv", ("page",)),
    "landing_page": ("page_days.csv", ("page",)),
}
"""Entity type -> the table of the sample that tells its days, and what names it there."""


def of_sample(tables: Mapping[str, tuple[str, tuple[str, ...]]] = REAL) -> World:
    """Twelve weeks of the real shop, each from Monday to Sunday.

    Left out is what its README calls odd: the last week, in which revenue per purchase breaks down, and the steps of
    the funnel, as adding to the cart was hardly tracked in half of November.
    """
    found: World = {}
    for entity_type, (file, names) in tables.items():
        read_: dict[str, dict[int, dict[str, float]]] = defaultdict(lambda: defaultdict(lambda: defaultdict(float)))
        with (SAMPLE / file).open(newline="") as lines:
            for row in csv.DictReader(lines):
                entity, ago = " / ".join(row[name] for name in names) or "properties/1", 84 - int(row["day"])
                if 0 <= ago < 84:
                    of_day = read_[entity][ago]
                    for metric, amount in _real(row).items():
                        of_day[metric] += amount
        group = Group(sorted(read_), np.zeros((len(read_), 84), dtype=bool))
        for place, entity in enumerate(group.ids):
            for ago, values in read_[entity].items():
                group.rows[place, ago] = True
                for metric, amount in values.items():
                    group.metrics.setdefault(metric, np.full(group.rows.shape, np.nan))[place, ago] = amount
        found[entity_type] = group
    return found


def _real(row: Mapping[str, str]) -> dict[str, float]:
    counts = {"sessions": "sessions", "engaged_sessions": "engaged_sessions", "pageviews": "pageviews"}
    found = {metric: float(row[column]) for metric, column in counts.items() if column in row}
    found["conversions"] = float(row["purchases"])
    if "aov" in row:
        found |= {"revenue": found["conversions"] * float(row["aov"]), "orders": found["conversions"]}
    return found
