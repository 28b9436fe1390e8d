"""The names of declarations, resolved over what the statements yield: one value an entity, NULL is NaN."""

import re
from calendar import monthrange
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shared.detectors import expression
from shared.detectors.compiler import CLICK_CURVE, VALUE, history, weeks
from shared.detectors.coverage import Coverage
from shared.detectors.declaration import SUMMED, Detector, Feature, Peers, Span, feature
from shared.detectors.entities import STOCKS, Entities, Floats
from shared.tenants.records import Tenant

LEAST_CONVERSIONS = 10
"""With fewer conversions in 90 days an entity's own value per conversion is noise: the next larger's is taken."""
LEAST_IMPRESSIONS = 1000
"""With fewer impressions at a position its share of clicks is that of the usual curve."""
USUAL_CLICKS = {1: 0.28, 2: 0.15, 3: 0.11, 4: 0.08, 5: 0.06, 6: 0.045, 7: 0.035, 8: 0.03, 9: 0.025, 10: 0.02}
USUAL_CLICKS |= {position: 0.01 for position in range(11, 21)} | {position: 0.004 for position in range(21, 31)}
Curve = tuple[Floats, Floats]


@dataclass
class Table:
    """All entities of a run, and what the tenant says of itself."""

    types: Mapping[str, Entities]
    coverage: Coverage
    tenant: Tenant
    _money: dict[tuple[str, bool], tuple[Floats, NDArray[np.object_]]] = field(default_factory=dict)

    def entities(self, entity_type: str) -> Entities:
        """The entities of a type; none where no statement reads it."""
        nobody = Entities(entity_type, np.empty(0, dtype=object), np.empty(0, dtype=bool))
        return self.types.get(entity_type, nobody)

    @property
    def property_id(self) -> str:
        """The property's id; `site` where no property has rows."""
        ids = self.entities("property").ids
        return str(ids[0]) if len(ids) else "site"

    def money(self, entity_type: str, of_site: bool = False) -> tuple[Floats, NDArray[np.object_]]:
        """Value per conversion of each entity, and whose it is: tenant, entity, channel, site or None.

        of_site: the site's for each of them, as a verdict on the whole needs it.
        """
        key = (entity_type, of_site)
        if key not in self._money:
            self._money[key] = self._value_of_conversions(entity_type, of_site)
        return self._money[key]

    def _value_of_conversions(self, entity_type: str, of_site: bool) -> tuple[Floats, NDArray[np.object_]]:
        entities = self.entities(entity_type)
        value, source = np.full(len(entities.ids), np.nan), np.full(len(entities.ids), None, dtype=object)
        if self.tenant.value_per_conversion is not None:
            value[:], source[:] = self.tenant.value_per_conversion, "tenant"
            return value, source
        site_revenue, site_conversions = (self.earned(entity_type, name) for name in ("revenue", "conversions"))
        if site_revenue > 0 and site_conversions > 0:
            value[:], source[:] = site_revenue / site_conversions, "site"
        if of_site:
            return value, source
        if entity_type == "source_medium":
            of_channel = self._own_values("channel")
            for index, channel in enumerate(entities.label("channel")):
                if channel in of_channel:
                    value[index], source[index] = of_channel[channel], "channel"
        for place, own in self._own_values(entity_type, by_place=True).items():
            value[place], source[place] = own, "entity"
        return value, source

    def earned(self, entity_type: str, metric: str) -> float:
        """The site's revenue or conversions of 90 days, on days that measure both; 0 where there are none."""
        return float(np.nan_to_num(self.site(entity_type, VALUE, "sum", f"value_{metric}")))

    def site(self, entity_type: str, span: Span, kind: str, metric: str, base: Span | None = None) -> float:
        """The site's figure, as entities of a type see it; NaN where nobody measures it."""
        first = entity_type if self.coverage.is_own_site(entity_type) else self.coverage.site_type
        for name in (first, entity_type):
            entities = self.entities(name)
            if len(entities.ids):
                values = statistic(self, name, span, kind, metric, base)
                if not np.all(np.isnan(values)):
                    return float(np.nansum(values))
        return float("nan")

    def click_curve(self) -> Curve:
        """Positions, and the share of impressions that are clicked there: the tenant's, the site's own, the usual one.

        A worse position never has more clicks: noisy neighbours are pooled (isotonic regression). Searches for the
        brand are left out: they are clicked whatever stands beside.
        """
        own_shares = self.tenant.click_shares
        if own_shares:
            places = np.arange(len(own_shares) + 2, dtype=np.float64)
            return places, np.array([own_shares[0], *own_shares, 0.0])
        keywords = self.entities("keyword")
        brand = expression.any_of(self.tenant.brand_terms)
        branded = [bool(brand and re.search(brand, str(one).lower())) for one in keywords.ids]
        counts = ~(keywords.is_rest | np.array(branded, dtype=bool))
        impressions, clicks, weighted = (
            np.nan_to_num(keywords.value(CLICK_CURVE, "sum", name)) * counts
            for name in ("impressions", "clicks", "position_impressions")
        )
        position = np.rint(np.divide(weighted, impressions, out=np.zeros_like(weighted), where=impressions > 0))
        pools: list[tuple[float, float, int]] = []
        for place, usual in USUAL_CLICKS.items():
            shown = float(impressions[position == place].sum())
            own = clicks[position == place].sum() / shown if shown >= LEAST_IMPRESSIONS else usual
            share, weight, number = float(own), max(shown, LEAST_IMPRESSIONS), 1
            while pools and pools[-1][0] < share:
                better, heavier, more = pools.pop()
                share = (better * heavier + share * weight) / (heavier + weight)
                weight, number = heavier + weight, number + more
            pools.append((share, weight, number))
        shares = [share for share, _, number in pools for _ in range(number)]
        return np.array([0.0, *USUAL_CLICKS, 50.0]), np.array([shares[0], *shares, 0.0])

    def _own_values(self, entity_type: str, by_place: bool = False) -> dict[Any, float]:
        entities = self.entities(entity_type)
        revenue, conversions = (entities.value(VALUE, "sum", f"value_{name}") for name in ("revenue", "conversions"))
        own = np.flatnonzero((revenue > 0) & (conversions >= LEAST_CONVERSIONS))
        return {place if by_place else entities.ids[place]: revenue[place] / conversions[place] for place in own}


def statistic(
    table: Table, entity_type: str, span: Span, kind: str, metric: str, base: Span | None = None
) -> NDArray[np.float64]:
    """A statistic of a metric in a window, of every entity of a type: (n,), or (n, days) of a series.

    base: the window that an `expected` is worked out of.
    """
    entities, coverage = table.entities(entity_type), table.coverage
    if kind in SUMMED and span.in_days:
        # By the window as it is declared: of the month so far SQL knows it by no other name.
        return entities.value(span, kind, metric)
    span = coverage.resolved(span)
    if kind == "expected":
        return _expected(entities, coverage, span, metric, base)
    if span.unit == "month":
        series = entities.monthly(span, metric)
    elif span.unit == "row":
        series = entities.newest(span, metric)
        if kind == "sum":
            measured = (~np.isnan(series)).sum(axis=1) == entities.newest_count(span)
            return np.where(measured, _of_series(kind, series, metric), np.nan)
    else:
        series = entities.daily(coverage, span, metric)
    return _of_series(kind, series, metric)


def _of_series(kind: str, series: Floats, metric: str) -> NDArray[np.float64]:
    if kind in ("daily", "monthly"):
        return series
    if kind == "weekly":
        return _weekly(series, metric)
    if kind == "same_weekday":
        # The window begins where the current day's week ends: its every seventh day is the current day's weekday.
        return series[:, ::-1][:, 6::7][:, ::-1]
    if kind in ("log", "log2"):
        logs = np.log1p(np.maximum(series, 0))
        return _nansum(logs**2 if kind == "log2" else logs)
    if kind in ("days_with", "dates_with"):
        return np.where(np.isnan(series).all(axis=1), np.nan, (np.nan_to_num(series) > 0).sum(axis=1))
    reduce = {"sum": "SUM", "mean": "AVG", "max": "MAX", "min": "MIN", "median": "MEDIAN"}
    if kind in reduce:
        found: NDArray[np.float64] = expression.FUNCTIONS[reduce[kind]](series)
        return found
    last = np.full(len(series), np.nan)
    for column in series.T:
        last = np.where(np.isnan(column), last, column)
    return last


def _weekly(series: Floats, metric: str) -> Floats:
    """Whole weeks, oldest first: means of a stock, sums of a flow (NaN where a day of the week is missing)."""
    by_week = series.reshape(len(series), -1, 7)
    if metric not in STOCKS:
        found: Floats = by_week.sum(axis=2)
        return found
    return _divided(np.nansum(by_week, axis=2), (~np.isnan(by_week)).sum(axis=2))


def _expected(entities: Entities, coverage: Coverage, cur: Span, metric: str, base: Span | None) -> Floats:
    if base is None:
        raise expression.ExpressionError("`expected` needs the windows cur and base")
    days = entities.daily(coverage, base, metric)[:, ::-1]
    weighted = np.nan_to_num(days) @ coverage.weights(entities.entity_type, base, cur)
    return np.where(np.isnan(entities.value(base, "sum", metric)), np.nan, weighted)


def _nansum(values: Floats) -> Floats:
    return np.where(np.isnan(values).all(axis=1), np.nan, np.nansum(values, axis=1))


class Names:
    """The names of one declaration over one table; each is worked out once."""

    def __init__(self, detector: Detector, table: Table) -> None:
        self.detector = detector
        self.table = table
        self.entities = table.entities(detector.rows_of)
        self.known: dict[str, Any] = {}
        self._texts: dict[str, Any] = {}
        self._open: list[str] = []

    def of(self, text: str) -> Any:
        """An expression, an array with one value (or series) an entity."""
        if text not in self._texts:
            value = expression.evaluate(text, self.name)
            scalar = np.ndim(value) == 0
            self._texts[text] = np.broadcast_to(value, (len(self.entities.ids),)) if scalar else value
        return self._texts[text]

    def name(self, name: str) -> Any:
        """A name's array or number."""
        if name in self._open:
            raise expression.ExpressionError(f"{self.detector.id}: {name} is defined by itself")
        if name not in self.known:
            self._open.append(name)
            self.known[name] = self._worked_out(name)
            self._open.pop()
        return self.known[name]

    def same_side(self, indexes: NDArray[np.int64]) -> Floats:
        """Share of weekdays on which the declared comparison holds, of these entities; NaN where none is comparable."""
        if self.detector.same_side is None:
            return np.full(len(indexes), np.nan)
        sides = expression.evaluate(self.detector.same_side, lambda name: self._by_weekday(name, indexes))
        return _divided(np.nansum(sides, axis=1), (~np.isnan(sides)).sum(axis=1))

    def present(self, index: int) -> list[int] | None:
        """The days (before `as_of`) that a `dates_with` feature counts; None where the declaration has none."""
        if self._dated is None:
            return None
        span = self.detector.span(self._dated.window)
        days = self.entities.daily(self.table.coverage, span, self._dated.metric)[index][::-1]
        return [span.first + int(place) for place in np.flatnonzero(np.nan_to_num(days) > 0)]

    @cached_property
    def _dated(self) -> Feature | None:
        """The declaration's feature of kind `dates_with`."""
        names = {name for text in self.detector.expressions().values() for name in expression.names(text)}
        found = (feature(self.detector, name) for name in sorted(names))
        return next((one for one in found if one is not None and one.kind == "dates_with"), None)

    def _worked_out(self, name: str) -> Any:
        detector, tenant = self.detector, self.table.tenant
        if name in detector.thresholds:
            return detector.thresholds[name]
        if name in detector.measures:
            return self.of(detector.measures[name])
        if name in detector.rates:
            return self._rate(name)
        if name in detector.peers:
            return self._peers(detector.peers[name])
        built_in: dict[str, Callable[[], Any]] = {
            "age_days": lambda: self.entities.oldest + 1,
            "history_days": lambda: float(self.table.coverage.count(detector.rows_of, history(detector))),
            "value_per_conversion": lambda: self.table.money(detector.rows_of, bool(detector.reads))[0],
            "site_monthly_revenue": self._monthly_revenue,
            "month_elapsed": self._month_elapsed,
            "ctr_curve": self.table.click_curve,
            "tenant_target_cpa": lambda: _or_nan(tenant.target_cpa),
            "tenant_target_roas": lambda: _or_nan(tenant.target_roas),
            "tenant_own_domains": lambda: expression.any_of(tenant.own_domains),
            "tenant_brand_terms": lambda: expression.any_of(tenant.brand_terms),
        }
        if name == "entity_id":
            return self.entities.ids
        if name in built_in:
            return built_in[name]()
        return self._feature(name)

    def _monthly_revenue(self) -> float:
        days = max(self.table.coverage.count(self.table.coverage.site_type, VALUE), 1)
        return self.table.earned(self.detector.rows_of, "revenue") * 30 / days

    def _month_elapsed(self) -> float:
        as_of = self.table.coverage.as_of
        return as_of.day / monthrange(as_of.year, as_of.month)[1]

    def _rate(self, name: str) -> Floats:
        rate = self.detector.rates[name]
        of, per = expression.aligned(*(np.asarray(self.of(text), dtype=np.float64) for text in (rate.of, rate.per)))
        of, per = np.broadcast_arrays(of, per)
        ratio = np.divide(of, per, out=np.full(of.shape, np.nan), where=(per != 0) & ~np.isnan(per))
        if rate.needs is not None:
            holds, ratio = expression.aligned(expression.true(self.of(rate.needs)), ratio)
            ratio = np.where(holds, ratio, np.nan)
        return ratio if rate.otherwise is None else np.where(np.isnan(ratio), rate.otherwise, ratio)

    def _peers(self, peers: Peers) -> Any:
        among = expression.true(self.of(peers.among)) & self.entities.is_one
        values = np.where(among, np.asarray(self.of(peers.of), dtype=np.float64), np.nan)
        groups = np.zeros(len(values), dtype=object) if peers.over == "entity_type" else self._label(peers.over)
        names = peers.how in ("argmax", "argmin")
        found: Any = np.full(values.shape, None if names else np.nan, dtype=object if names else np.float64)
        places: dict[Any, list[int]] = {}
        for place, group in enumerate(groups):
            if group is not None:
                places.setdefault(group, []).append(place)
        for mine in places.values():
            at = np.array(mine)
            known = at[~np.isnan(values[at])]
            if known.size >= peers.at_least:
                if peers.how == "rank":
                    found[known] = np.argsort(np.argsort(values[known], kind="stable"), kind="stable") + 1.0
                else:
                    found[at] = self._over(peers, values[known], known)
        return found

    def _over(self, peers: Peers, values: Floats, places: NDArray[np.int64]) -> Any:
        match peers.how:
            case "quantile":
                return float(np.quantile(values, peers.quantile or 0.0))
            case "sum":
                return float(values.sum())
            case "count":
                return float(values.size)
            case "max":
                return float(values.max())
            case "min":
                return float(values.min())
            case "top":
                return float(np.sort(values)[-peers.k :].sum())
            case "argmax":
                return self.entities.ids[places[int(values.argmax())]]
            case _:
                return self.entities.ids[places[int(values.argmin())]]

    def _label(self, name: str) -> NDArray[np.object_]:
        labels = self.entities.label(name)
        if name != "page_template":
            return labels
        # A page that nobody gave a template has the first segment of its path.
        return np.array(
            [
                known if known or page is None else "/" + page.lstrip("/").split("/")[0].split("?")[0]
                for known, page in zip(labels, self.entities.ids, strict=True)
            ],
            dtype=object,
        )

    def _feature(self, name: str) -> Any:
        found = feature(self.detector, name)
        if found is None:
            raise expression.ExpressionError(f"{self.detector.id}: unknown name {name!r}")
        span = self.detector.span(found.window)
        if found.scope in self.detector.parts:
            return self._part(found, span)
        if found.kind == "label":
            return self._label(found.metric)
        if found.kind == "days":
            return float(self.table.coverage.count(self.detector.rows_of, span))
        if found.kind == "phi":
            return self._phi(found.metric)
        own = self._statistic(self.detector.rows_of, found, span)
        if found.scope == "own":
            return own
        base = self.detector.span("base") if found.kind == "expected" else None
        site = self.table.site(self.detector.rows_of, span, found.kind, found.metric, base)
        return site if found.scope == "site" else np.maximum(site - own, 0)

    def _statistic(self, entity_type: str, found: Feature, span: Span) -> NDArray[np.float64]:
        base = self.detector.span("base") if found.kind == "expected" else None
        return statistic(self.table, entity_type, span, found.kind, found.metric, base)

    def _part(self, found: Feature, span: Span) -> Any:
        """A part's figure: summed over all that belong to it, or over those that are related to each entity."""
        part = self.detector.parts[found.scope]
        if found.kind == "days":
            return float(self.table.coverage.count(part.entity_type, span))
        others = self.table.entities(part.entity_type)
        thresholds = self.detector.thresholds
        inside = expression.evaluate(
            part.where, lambda name: thresholds[name] if name in thresholds else others.label(name)
        )
        chosen = np.flatnonzero(np.broadcast_to(expression.true(inside), others.ids.shape))
        labels = found.kind == "label"
        values: Any = others.label(found.metric) if labels else self._statistic(part.entity_type, found, span)
        if part.within is None and part.id is None and part.whose is None:
            if labels:
                return values[chosen[0]] if chosen.size else None
            total = _related_sum(values[chosen], np.zeros(chosen.size, dtype=np.int64), 1)
            return float(total[0]) if values.ndim == 1 else np.repeat(total, len(self.entities.ids), axis=0)
        theirs = others.ids if part.id is not None else others.label(str(part.within or part.whose))
        mine = self.entities.ids if part.whose is not None else self._key(str(part.within or part.id))
        codes: dict[Any, int] = {}
        group = np.array([codes.setdefault(theirs[place], len(codes)) for place in chosen], dtype=np.int64)
        of_mine = np.array([codes.get(key, -1) if key is not None else -1 for key in mine], dtype=np.int64)
        if labels:
            texts = np.full(len(codes) + 1, None, dtype=object)
            texts[group] = values[chosen]
            return texts[of_mine]
        sums = _related_sum(values[chosen], group, len(codes))
        nothing = np.full((1, *sums.shape[1:]), np.nan)
        return np.concatenate([sums, nothing])[of_mine]

    def _key(self, name: str) -> Any:
        """What a part is found by: a label, or the id that a peer names."""
        return self.name(name) if name in self.detector.peers else self.entities.label(name)

    def _phi(self, metric: str) -> Floats:
        """Overdispersion over the eight weeks before: at least 1, by days within weekdays or by whole weeks.

        Days alone would miss that weeks drift as a whole; weeks alone are too few to be sure.
        """
        span, coverage, entity_type = history(self.detector), self.table.coverage, self.detector.rows_of
        there, weekday = coverage.covered(entity_type, span), coverage.weekdays(span)
        values = np.nan_to_num(self.entities.daily(coverage, span, metric)[:, ::-1]) * there
        spread = np.zeros(len(values))
        for day in range(7):
            chosen = values[:, there & (weekday == day)]
            total = chosen.sum(axis=1)
            squares = chosen.shape[1] * (chosen**2).sum(axis=1) - total**2
            spread += np.divide(squares, total, out=np.zeros_like(total), where=total > 0)
        phi = spread / max(int(there.sum()) - 7, 1)
        full = [week for week in weeks(span) if coverage.count(entity_type, week) == week.days]
        if len(full) > 1:
            sums = np.stack(
                [values[:, week.first - span.first : week.last - span.first + 1].sum(axis=1) for week in full]
            )
            mean = sums.mean(axis=0)
            weekly = np.divide(sums.var(axis=0, ddof=1), mean, out=np.ones_like(mean), where=mean > 0)
            phi = np.maximum(phi, weekly)
        return np.maximum(phi, 1.0)

    def _by_weekday(self, name: str, indexes: NDArray[np.int64]) -> Any:
        """The entity's own sums by weekday, (n, 7); any other name has one value for all of them."""
        found = feature(self.detector, name)
        coverage, entity_type = self.table.coverage, self.detector.rows_of
        if found is None or found.scope != "own" or found.kind not in ("sum", "expected"):
            value = self.name(name)
            return value if np.ndim(value) == 0 else np.asarray(value)[indexes]
        cur = self.detector.span(found.window)
        if not cur.in_days:
            # Rows and months know no weekdays: each of the current ones is asked, of other windows their sum.
            return self._single(cur, found.metric)[indexes] if found.window == "cur" else self.name(name)[indexes]
        span = self.detector.span("base") if found.kind == "expected" else cur
        there, weekday = coverage.covered(entity_type, span), coverage.weekdays(span)
        days = self.entities.daily(coverage, span, found.metric)[indexes][:, ::-1]
        if found.kind == "expected":
            days = days * coverage.weights(entity_type, span, cur)
        sums = np.stack([np.nansum(days[:, there & (weekday == day)], axis=1) for day in range(7)], axis=1)
        unknown = np.bincount(weekday[there], minlength=7) == 0
        measured = ~np.isnan(self.entities.value(span, "sum", found.metric))[indexes]
        return np.where(unknown | ~measured[:, None], np.nan, sums)

    def _single(self, span: Span, metric: str) -> Floats:
        """The single rows or months of a window."""
        return self.entities.newest(span, metric) if span.unit == "row" else self.entities.monthly(span, metric)


def _related_sum(values: Floats, group: NDArray[np.int64], groups: int) -> Floats:
    """Sums of values (or of series) by group; NaN where none of a group has one."""
    total, known = np.zeros((groups, *values.shape[1:])), np.zeros((groups, *values.shape[1:]))
    np.add.at(total, group, np.nan_to_num(values))
    np.add.at(known, group, ~np.isnan(values))
    return np.where(known > 0, total, np.nan)


def _divided(total: Any, number: Any) -> Floats:
    found: Floats = np.full(np.shape(total), np.nan)
    np.divide(total, number, out=found, where=np.asarray(number) > 0)
    return found


def _or_nan(value: float | None) -> float:
    return float("nan") if value is None else value


def _month_days(as_of: Any) -> int:
    import calendar

    return calendar.monthrange(as_of.year, as_of.month)[1]
