"""The detectors of the disclosed incidents once more, in plain Python over raw documents, with scipy.stats as judge.

Nothing here is shared with the pipeline: not its SQL, its expressions, its tests or its thresholds, which are written
down again. What it and the pipeline agree on was therefore computed twice.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from math import isnan, nan, sqrt
from statistics import median

from scipy import stats

Document = Mapping[str, object]
Dates = Sequence[date]
ByDay = dict[str, dict[date, dict[str, float]]]

FALSE_DISCOVERY_RATE = 0.10
Z90 = float(stats.norm.ppf(0.95))
FUNNEL = ("session_start", "view_item", "add_to_cart", "begin_checkout", "purchase")
TRAFFIC = ("sessions", "engaged_sessions", "key_events", "purchase_revenue")
SOURCES = {  # kind of entity: collection, the field that names it, the metrics as raw documents call them
    "property": ("ga_property_totals", "property_id", TRAFFIC),
    "page": ("ga_page_performance", "page_path", TRAFFIC),
    "landing_page": ("ga_landing_pages", "landing_page", TRAFFIC),
    "device": ("ga_device_metrics", "device_category", TRAFFIC),
    "event": ("ga_funnel_events", "event_name", ("sessions", "event_count")),
}


@dataclass(frozen=True)
class Verdict:
    """What a detector should have said of one entity; `found` where it is an opportunity."""

    found: bool
    numbers: dict[str, float]
    p_value: float
    confidence_n: tuple[float, float]
    same_side: float
    severity: str
    value: tuple[float, float, float] | None
    q_value: float = nan
    tested: int = 0

    @property
    def confidence(self) -> float:
        """Certainty, volume, and how many weekdays agree."""
        n, least = self.confidence_n
        return 0.55 * (1 - self.q_value) + 0.25 * min(1.0, n / (5 * least)) + 0.20 * self.same_side


Verdicts = dict[str, Verdict]


class Recomputation:
    """All verdicts as of one day, from the raw documents by collection."""

    def __init__(self, raw: Mapping[str, Iterable[Document]], as_of: date) -> None:
        self.as_of = as_of
        self._sums: dict[str, ByDay] = {}
        self._days: dict[str, set[date]] = {}
        for kind, (collection, name, metrics) in SOURCES.items():
            found: dict[str, dict[date, dict[str, float]]] = defaultdict(
                lambda: defaultdict(lambda: defaultdict(float))
            )
            for document in raw[collection]:
                day = found[str(document[name])][date.fromisoformat(str(document["date"]))]
                for metric in metrics:
                    day[metric] += float(document[metric])  # type: ignore[arg-type]
            self._sums[kind] = found
            self._days[kind] = {day for days in found.values() for day in days}
        [self._property] = self._sums["property"]
        self._any_day = set().union(*self._days.values())

    def all(self) -> dict[str, Verdicts]:
        """Verdicts of each detector that has a disclosed incident, on every entity that passes its guard."""
        found = {
            "page_cvr_drop": self.page_cvr_drop(),
            "page_traffic_drop": self.page_traffic_drop(),
            "page_engagement_drop": self.page_engagement_drop(),
            "device_cvr_gap": self.device_cvr_gap(),
            "funnel_step_drop": self.funnel_step_drop(),
            "dq_tracking_stopped": self.dq_tracking_stopped(),
        }
        return {name: _controlled(verdicts, name != "dq_tracking_stopped") for name, verdicts in found.items()}

    # --- the six detectors -------------------------------------------------------------------------------------

    def page_cvr_drop(self) -> Verdicts:
        """Conversions per session of 7 days below three quarters of the 28 days before; six tenths of a small page."""
        cur, base, verdicts = self._ago(0, 6), self._ago(7, 34), {}
        for page in self._sums["page"]:
            n1, n2 = self._own("page", page, "sessions", cur), self._own("page", page, "sessions", base)
            x1, x2 = self._own("page", page, "key_events", cur), self._own("page", page, "key_events", base)
            if n1 < 200 or x2 < 20:
                continue
            rest = {
                "rest_cur_sessions": self._rest(page, "sessions", cur),
                "rest_cur_conversions": self._rest(page, "key_events", cur),
                "rest_base_sessions": self._rest(page, "sessions", base),
                "rest_base_conversions": self._rest(page, "key_events", base),
            }
            rest_cur = rest["rest_cur_conversions"] / rest["rest_cur_sessions"]
            rest_base = rest["rest_base_conversions"] / rest["rest_base_sessions"]
            fall = min(1.0, rest_cur / rest_base)
            expected = self._expected("page", page, "sessions", cur, base)
            mid = (x2 / n2 - x1 / n1) * n1 * 30 / 7 * self._worth("page", page)
            verdicts[page] = Verdict(
                found=x1 / n1 < (0.75 if x2 >= 70 else 0.6) * x2 / n2
                and x1 / n1 < 0.85 * fall * x2 / n2
                and n1 >= 0.5 * expected,
                numbers={
                    "cur_sessions": n1,
                    "cur_conversions": x1,
                    "cur_cvr": x1 / n1,
                    "base_sessions": n2,
                    "base_conversions": x2,
                    "base_cvr": x2 / n2,
                    **rest,
                    "rest_cur_cvr": rest_cur,
                    "rest_base_cvr": rest_base,
                    "rest_change": rest_cur / rest_base,
                    "rest_fall": fall,
                    "expected_sessions": expected,
                    "session_share": n1 / self._site("sessions", cur),
                    **self._money("page", page, cur),
                },  # fmt: skip
                p_value=_fewer(x1, n1, x2 * fall, n2),
                confidence_n=(n1, 200),
                same_side=self._rate_is_lower("page", page, "key_events", cur, base),
                severity=self._by_money(mid),
                value=_interval(mid, *_difference(x1, n1, x2 * fall, n2)),
            )
        return verdicts

    def page_traffic_drop(self) -> Verdicts:
        """Sessions of 7 days below what the weekdays of the 28 days before let expect, and below the site's own."""
        cur, base, verdicts = self._ago(0, 6), self._ago(7, 34), {}
        site_expected = self._expected("property", self._property, "sessions", cur, base)
        for page in self._sums["page"]:
            now, before = self._own("page", page, "sessions", cur), self._own("page", page, "sessions", base)
            if before < 280:
                continue
            expected = self._expected("page", page, "sessions", cur, base)
            rest_change = self._rest(page, "sessions", cur) / (site_expected - expected)
            phi = self._dispersion(page)
            usual = expected * min(1.0, rest_change)
            scale, rate = usual / before, self._own("page", page, "key_events", base) / before
            t = (now - usual) / sqrt(phi * scale * (now + before))
            mid = (expected - now) * 30 / 7 * rate * self._worth("page", page)
            verdicts[page] = Verdict(
                found=now / expected < 0.65 and now / expected < 0.75 * rest_change,
                numbers={
                    "cur_sessions": now,
                    "base_sessions": before,
                    "expected_sessions": expected,
                    "session_ratio": now / expected,
                    "lost_sessions": expected - now,
                    "rest_change": rest_change,
                    "rest_cur_sessions": self._rest(page, "sessions", cur),
                    "rest_expected_sessions": site_expected - expected,
                    "site_expected_sessions": site_expected,
                    "lost_share": (expected - now) / site_expected,
                    "phi_sessions": phi,
                    "history_days": 56,
                    "base_conversions": self._own("page", page, "key_events", base),
                    "base_cvr": rate,
                    **self._money("page", page),
                },  # fmt: skip
                p_value=float(stats.t.cdf(t, 56 - 7)),
                confidence_n=(before, 280),
                same_side=self._count_is_lower("page", page, "sessions", cur, base),
                severity=_by_share((expected - now) / site_expected),
                value=_interval(mid, now - usual, sqrt(phi * (now + scale**2 * before))),
            )
        return verdicts

    def page_engagement_drop(self) -> Verdicts:
        """Engaged sessions per session of 7 days ten points below the 28 days before."""
        cur, base, verdicts = self._ago(0, 6), self._ago(7, 34), {}
        for page in self._sums["page"]:
            n1, n2 = self._own("page", page, "sessions", cur), self._own("page", page, "sessions", base)
            x1, x2 = (self._own("page", page, "engaged_sessions", window) for window in (cur, base))
            if n1 < 200 or n2 < 200:
                continue
            rest = {
                "rest_cur_sessions": self._rest(page, "sessions", cur),
                "rest_cur_engaged_sessions": self._rest(page, "engaged_sessions", cur),
                "rest_base_sessions": self._rest(page, "sessions", base),
                "rest_base_engaged_sessions": self._rest(page, "engaged_sessions", base),
            }
            rest_cur = rest["rest_cur_engaged_sessions"] / rest["rest_cur_sessions"]
            rest_base = rest["rest_base_engaged_sessions"] / rest["rest_base_sessions"]
            fall = min(0.0, rest_cur - rest_base)
            orders = self._own("page", page, "key_events", base)
            mid = (x2 / n2 - x1 / n1) * n1 * 30 / 7 * orders / x2 * self._worth("page", page)
            adjusted = max(x2 + fall * n2, 0.0)
            verdicts[page] = Verdict(
                found=x1 / n1 < x2 / n2 + fall - 0.10,
                numbers={
                    "cur_sessions": n1,
                    "cur_engaged_sessions": x1,
                    "cur_engagement_rate": x1 / n1,
                    "base_sessions": n2,
                    "base_engaged_sessions": x2,
                    "base_engagement_rate": x2 / n2,
                    **rest,
                    "rest_cur_engagement_rate": rest_cur,
                    "rest_base_engagement_rate": rest_base,
                    "rest_fall": fall,
                    "base_conversions": orders,
                    "cvr_of_engaged": orders / x2,
                    "session_share": n1 / self._site("sessions", cur),
                    **self._money("page", page, cur),
                },  # fmt: skip
                p_value=_fewer(x1, n1, adjusted, n2),
                confidence_n=(n1, 200),
                same_side=self._rate_is_lower("page", page, "engaged_sessions", cur, base),
                severity=self._by_money(mid) if mid > 0 else _by_share(n1 / self._site("sessions", cur)),
                value=_interval(mid, *_difference(x1, n1, adjusted, n2)) if mid > 0 else None,
            )
        return verdicts

    def device_cvr_gap(self) -> Verdicts:
        """Mobile's conversion rate over desktop's, of 28 days and of the 62 before."""
        cur, base = self._ago(0, 27), self._ago(28, 89)
        counts = {
            f"{prefix}{name}_{metric}": self._own("device", device, raw, window)
            for device, prefix in (("mobile", ""), ("desktop", "desktop_"))
            for name, window in (("cur", cur), ("base", base))
            for metric, raw in (("sessions", "sessions"), ("conversions", "key_events"))
        }
        if counts["cur_sessions"] < 1000 or counts["desktop_cur_sessions"] < 1000:
            return {}
        x1, n1 = counts["cur_conversions"], counts["cur_sessions"]
        x2, n2 = counts["desktop_cur_conversions"], counts["desktop_cur_sessions"]
        base_rate = counts["base_conversions"] / counts["base_sessions"]
        desktop_base_rate = counts["desktop_base_conversions"] / counts["desktop_base_sessions"]
        gap, base_gap = (x1 / n1) / (x2 / n2), base_rate / desktop_base_rate
        mid = n1 * 30 / 28 * (0.55 * x2 / n2 - x1 / n1) * self._worth("device", "mobile")
        verdict = Verdict(
            found=gap < 0.45 and gap < 0.8 * base_gap,
            numbers={
                **counts,
                "mobile_cvr": x1 / n1,
                "desktop_cvr": x2 / n2,
                "mobile_base_cvr": base_rate,
                "desktop_base_cvr": desktop_base_rate,
                "gap": gap,
                "base_gap": base_gap,
                "session_share": n1 / self._site("sessions", cur),
                **self._money("device", "mobile", cur),
            },  # fmt: skip
            p_value=2 * min(_fewer(x1, n1, x2, n2), _fewer(x2, n2, x1, n1)),
            confidence_n=(n1, 1000),
            same_side=self._rate_is_lower("device", "mobile", "key_events", cur, base),
            severity=self._by_money(mid),
            value=(0.5 * mid, mid, 1.5 * mid),
        )
        return {"mobile": verdict}

    def funnel_step_drop(self) -> Verdicts:
        """Sessions that reach a step per session that reached the one before it."""
        cur, base, verdicts = self._ago(0, 6), self._ago(7, 34), {}
        completed = {step: self._own("event", step, "sessions", base) for step in FUNNEL[1:]}
        for before, step in zip(FUNNEL, FUNNEL[1:], strict=False):
            n1, n2 = self._own("event", before, "sessions", cur), self._own("event", before, "sessions", base)
            x1, x2 = self._own("event", step, "sessions", cur), completed[step]
            if n1 < 200 or x2 < 50:
                continue
            last = min(count for count in completed.values() if count)
            onwards = min(1.0, last / x2)
            mid = (x2 / n2 - x1 / n1) * n1 * 30 / 7 * onwards * self._worth("event", step)
            verdicts[step] = Verdict(
                found=x1 / n1 < 0.85 * x2 / n2,
                numbers={
                    "cur_sessions": n1,
                    "cur_conversions": x1,
                    "cur_rate": x1 / n1,
                    "base_sessions": n2,
                    "base_conversions": x2,
                    "base_rate": x2 / n2,
                    "last_completed": last,
                    "downstream": last / x2,
                    "downstream_rate": onwards,
                    "step_share": n1 / self._site("sessions", cur),
                    **self._money("event", step, cur),
                },  # fmt: skip
                p_value=_fewer(x1, n1, x2, n2),
                confidence_n=(n1, 200),
                same_side=_share(
                    self._own("event", step, "sessions", now) * self._own("event", before, "sessions", then)
                    < self._own("event", step, "sessions", then) * self._own("event", before, "sessions", now)
                    for now, then in self._weekdays(cur, base)
                ),
                severity=self._by_money(mid),
                value=_interval(mid, *_difference(x1, n1, x2, n2)),
            )
        return verdicts

    def dq_tracking_stopped(self) -> Verdicts:
        """No event at all on two days where the weekdays of the 28 days before let expect 20 or more."""
        cur, base, verdicts = self._ago(0, 1), self._ago(2, 29), {}
        for event in self._sums["event"]:
            now = self._own("event", event, "event_count", cur)
            expected = self._expected("event", event, "event_count", cur, base)
            if expected < 20:
                continue
            there = sum(1 for day in base if self._own("event", event, "event_count", [day]) > 0)
            site_expected = self._expected("property", self._property, "sessions", cur, base)
            p_value = float(stats.poisson.pmf(0, expected))
            verdicts[event] = Verdict(
                found=now == 0 and there >= 0.8 * len(base) and p_value < 1e-6,
                numbers={
                    "cur_event_count": now,
                    "expected_event_count": expected,
                    "base_days": len(base),
                    "base_days_with_event_count": there,
                    "site_expected_sessions": site_expected,
                    "site_share": expected / site_expected,
                    "site_monthly_revenue": self._monthly_revenue(),
                },  # fmt: skip
                p_value=p_value,
                confidence_n=(expected, 20),
                same_side=_share(
                    self._own("event", event, "event_count", now_)
                    < self._own("event", event, "event_count", then) * len(now_) / len(then)
                    for now_, then in self._weekdays(cur, base)
                ),
                severity=_by_share(expected / site_expected, critical=0.20),
                value=None,
            )
        return verdicts

    # --- findings of a level, in other days than those judged ------------------------------------------------------

    def confirms(self, detector: str, entity: str) -> bool:
        """Whether days that the detector did not read, and that no incident touches, show the same level."""
        days = sorted(day for day in self._any_day if day < self.as_of - timedelta(days=30))
        if detector == "lp_not_set_share":
            entrances = {page: self._own("landing_page", page, "sessions", days) for page in self._sums["landing_page"]}
            unset = entrances["(not set)"] + entrances.get("", 0)
            return stats.binomtest(int(unset), int(sum(entrances.values())), 0.05, "greater").pvalue < 0.05
        if detector == "page_high_traffic_low_cvr":
            counts = {
                page: (self._own("page", page, "key_events", days), self._own("page", page, "sessions", days))
                for page in self._sums["page"]
                if page.split("/")[1:2] == entity.split("/")[1:2]
            }
            usual = median(orders / sessions for orders, sessions in counts.values() if sessions >= 100)
            orders, sessions = counts[entity]
            test = stats.binomtest(int(orders), int(sessions), usual, "less")
            return orders / sessions < usual and test.pvalue < 0.05
        return False

    # --- sums ----------------------------------------------------------------------------------------------------

    def _ago(self, first: int, last: int) -> list[date]:
        return [self.as_of - timedelta(days=days) for days in range(first, last + 1)]

    def _own(self, kind: str, entity: str, metric: str, days: Iterable[date]) -> float:
        known = self._sums[kind].get(entity, {})
        return sum(known[day][metric] for day in days if day in known)

    def _site(self, metric: str, days: Dates) -> float:
        return self._own("property", self._property, metric, days)

    def _rest(self, page: str, metric: str, days: Dates) -> float:
        """The site without a page."""
        return max(self._site(metric, days) - self._own("page", page, metric, days), 0)

    def _weekdays(self, cur: Dates, base: Dates) -> list[tuple[list[date], list[date]]]:
        """The days of both windows that have data, weekday by weekday; those that the current window holds."""
        found = []
        for weekday in range(7):
            now = [day for day in cur if day.weekday() == weekday and day in self._any_day]
            then = [day for day in base if day.weekday() == weekday and day in self._any_day]
            if now:
                found.append((now, then))
        return found

    def _expected(self, kind: str, entity: str, metric: str, cur: Dates, base: Dates) -> float:
        """What the base lets expect of the current window, weekday by weekday."""
        return sum(
            self._own(kind, entity, metric, then) * len(now) / len(then) for now, then in self._weekdays(cur, base)
        )

    def _dispersion(self, page: str) -> float:
        """How much more than a Poisson count a page's sessions vary: by days within weekdays, or by weeks."""
        by_day = {day: self._own("page", page, "sessions", [day]) for day in self._ago(7, 62)}
        groups = [[count for day, count in by_day.items() if day.weekday() == weekday] for weekday in range(7)]
        within = sum(float(stats.chisquare(group).statistic) for group in groups if sum(group)) / (56 - 7)
        weeks = [sum(by_day[day] for day in self._ago(first, first + 6)) for first in range(7, 63, 7)]
        return max(1.0, within, float(stats.variation(weeks, ddof=1)) ** 2 * sum(weeks) / len(weeks))

    def _rate_is_lower(self, kind: str, entity: str, metric: str, cur: Dates, base: Dates) -> float:
        """The share of weekdays on which fewer sessions than before had it."""
        return _share(
            self._own(kind, entity, metric, now) * self._own(kind, entity, "sessions", then)
            < self._own(kind, entity, metric, then) * self._own(kind, entity, "sessions", now)
            for now, then in self._weekdays(cur, base)
        )

    def _count_is_lower(self, kind: str, entity: str, metric: str, cur: Dates, base: Dates) -> float:
        return _share(
            self._own(kind, entity, metric, now) < self._own(kind, entity, metric, then) * len(now) / len(then)
            for now, then in self._weekdays(cur, base)
        )

    # --- money ---------------------------------------------------------------------------------------------------

    def _worth(self, kind: str, entity: str) -> float:
        """Revenue per conversion of 90 days: the entity's own with ten conversions, otherwise the site's."""
        quarter = self._ago(0, 89)
        revenue, orders = (self._own(kind, entity, metric, quarter) for metric in ("purchase_revenue", "key_events"))
        if kind == "event" or revenue <= 0 or orders < 10:
            revenue, orders = self._site("purchase_revenue", quarter), self._site("key_events", quarter)
        return revenue / orders

    def _monthly_revenue(self) -> float:
        quarter = [day for day in self._ago(0, 89) if day in self._days["property"]]
        return self._site("purchase_revenue", quarter) * 30 / len(quarter)

    def _money(self, kind: str, entity: str, cur: Dates | None = None) -> dict[str, float]:
        found = {
            "value_per_conversion": self._worth(kind, entity),
            "site_monthly_revenue": self._monthly_revenue(),
        }
        return found if cur is None else {**found, "site_cur_sessions": self._site("sessions", cur)}

    def _by_money(self, mid: float) -> str:
        monthly = self._monthly_revenue()
        for level, share, amount in (("critical", 0.05, 5000), ("high", 0.02, 2000), ("medium", 0.005, 250)):
            if mid >= amount or mid >= share * monthly:
                return level
        return "low"


def _controlled(verdicts: Verdicts, by_rate: bool) -> Verdicts:
    """The verdicts with q-values; found is only what stays below the false discovery rate."""
    if not verdicts:
        return {}
    p_values = [1.0 if isnan(verdict.p_value) else verdict.p_value for verdict in verdicts.values()]
    q_values = stats.false_discovery_control(p_values, method="bh")
    return {
        entity: replace(
            verdict,
            q_value=float(q),
            tested=len(verdicts),
            found=verdict.found and (not by_rate or q < FALSE_DISCOVERY_RATE),
        )
        for (entity, verdict), q in zip(verdicts.items(), q_values, strict=True)
    }


def _fewer(x1: float, n1: float, x2: float, n2: float) -> float:
    """One-sided p-value of two proportions: the root of Pearson's chi-square without correction."""
    x1, x2 = min(x1, n1), min(x2, n2)
    if x1 + x2 in (0, n1 + n2):
        return nan
    root = sqrt(stats.chi2_contingency([[x1, n1 - x1], [x2, n2 - x2]], correction=False).statistic)
    return float(stats.norm.sf(root) if x1 / n1 < x2 / n2 else stats.norm.cdf(root))


def _difference(x1: float, n1: float, x2: float, n2: float) -> tuple[float, float]:
    """The difference of two rates and its standard error."""
    r1, r2 = min(x1, n1) / n1, min(x2, n2) / n2
    return r1 - r2, sqrt(r1 * (1 - r1) / n1 + r2 * (1 - r2) / n2)


def _interval(mid: float, effect: float, error: float) -> tuple[float, float, float]:
    """Low, mid and high: the value moves with the 90% interval of the effect."""
    margin = abs(Z90 * error / effect) if effect else 1.0
    return mid * max(1 - margin, 0.0), mid, mid * (1 + margin)


def _by_share(share: float, critical: float = 0.10) -> str:
    for level, least in (("critical", critical), ("high", 0.05), ("medium", 0.01)):
        if share >= least:
            return level
    return "low"


def _share(true: Iterable[bool]) -> float:
    answers = list(true)
    return sum(answers) / len(answers)
