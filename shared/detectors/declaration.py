"""The declaration of a detector: what an analyst writes, and the checks that refuse a bad one at load."""

from dataclasses import dataclass
from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.detectors import expression
from shared.detectors.metrics import ENTITY_TYPES, LABELS, METRICS, SCANS, YEAR_AGO_DAYS
from shared.detectors.significance import TESTS
from shared.opportunities.records import Direction

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
BUILT_IN = frozenset(
    {
        "entity_id",
        "value_per_conversion",
        "site_monthly_revenue",
        "age_days",
        "history_days",
        "month_elapsed",
        "ctr_curve",
        "tenant_target_cpa",
        "tenant_target_roas",
        "tenant_own_domains",
        "tenant_brand_terms",
    }
)
SUMMED = ("sum", "days", "mean", "last", "max", "min")
"""Statistics of a metric in a window that SQL works out."""
SERIES = ("daily", "weekly", "monthly", "same_weekday")
"""Series of a metric in a window, oldest first: arguments of tests and of reducers such as MEDIAN."""
LISTED = ("median", "log2", "log", "days_with", "dates_with", *SERIES)
"""Statistics that are worked out of the single days of a window."""
PREFIXES = ("mean", "last", "max", "min", *LISTED)
"""What stands between a window and a metric: `cur_mean_position`; a sum has none: `cur_sessions`."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Declared):
    """Which days: the last ones (`days: 7`), those right before another window, or those that end `ago` days back.

    months: complete calendar months, from the monthly rollup. rows: the entity's newest rows (an e-mail's sends).
    month_to_date: from the first of the month.
    """

    days: int = Field(0, ge=0, le=400)
    months: int = Field(0, ge=0, le=24)
    rows: int = Field(0, ge=0, le=60)
    month_to_date: bool = False
    before: Name | None = None
    ago: int = Field(0, ge=0, le=800)
    optional: bool = Field(False, description="Where its days are not covered its features are NULL, nothing is muted.")
    least_covered: float = Field(0.7, gt=0, le=1, description="Share of its days that must have data.")

    @property
    def unit(self) -> "Unit":
        """What it counts in."""
        return "month" if self.months else "row" if self.rows else "mtd" if self.month_to_date else "day"

    @property
    def length(self) -> int:
        """How many of them; the longest month where it varies."""
        return self.months or self.rows or self.days or 31

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if sum(map(bool, (self.days, self.months, self.rows, self.month_to_date))) != 1:
            raise ValueError("a window has one of days, months, rows, month_to_date")
        return self


Unit = Literal["day", "month", "row", "mtd"]


class Span(_Declared):
    """A window in days (or months, or rows) before `as_of`, both inclusive: 0 is `as_of` itself."""

    first: int
    last: int
    unit: Unit = "day"

    @property
    def key(self) -> str:
        """How columns of this window are called."""
        return f"{self.first}_{self.last}" if self.unit == "day" else f"{self.unit}_{self.first}_{self.last}"

    @property
    def days(self) -> int:
        """Its length."""
        return self.last - self.first + 1

    @property
    def in_days(self) -> bool:
        """True where it is made of days."""
        return self.unit in ("day", "mtd")

    @property
    def is_year_ago(self) -> bool:
        """True where it is read by the statement of days long past."""
        return self.unit == "day" and self.last > YEAR_AGO_DAYS

    def holds(self, ago: int) -> bool:
        """True where the day lies in it."""
        return self.first <= ago <= self.last


class Rate(_Declared):
    """A ratio of two sums. It must be guarded: by the detector's guard, or by its own `needs`."""

    of: str
    per: str
    needs: str | None = Field(None, description="Condition without which the ratio is `otherwise`.")
    otherwise: float | None = None


class Peers(_Declared):
    """One number over comparable entities, the same for each of them.

    how: a quantile; sum, count, max, min; top (sum of the `k` largest); argmax, argmin (that entity's id); rank (1 is
    the smallest: each has its own).
    """

    of: str
    how: Literal["quantile", "sum", "count", "max", "min", "top", "argmax", "argmin", "rank"] = "quantile"
    quantile: float | None = Field(None, ge=0, le=1)
    k: int = Field(3, ge=1)
    over: Name = Field("entity_type", description="`entity_type`, or the label that peers share.")
    among: str = Field(description="Which of them count: a volume condition.")
    at_least: int = Field(2, ge=1, description="With fewer peers there is no answer.")

    @model_validator(mode="after")
    def _has_its_quantile(self) -> Self:
        if (self.how == "quantile") != (self.quantile is not None):
            raise ValueError("`quantile` is needed with how: quantile, and only there")
        if self.over != "entity_type" and self.over not in LABELS:
            raise ValueError(f"over: {self.over!r} is neither entity_type nor a label")
        return self


class Part(_Declared):
    """Entities whose features are read beside the entity's own, by the part's name: `desktop_cur_sessions`.

    Without a relation: the sum over all that satisfy `where`, the same for everybody. within: over those that share
    this label's value with the entity. id: the one whose id the entity's label holds (with `id: entity_id`: the one of
    the same id), or that a peer names (argmax, argmin). whose: those whose label holds the entity's id.
    optional: where nobody measures them, or they are too small to be kept by themselves, their features are NULL, and
    nothing is muted.
    """

    entity_type: str
    where: str = "TRUE"
    within: Name | None = None
    id: Name | None = None
    whose: Name | None = None
    optional: bool = False

    @model_validator(mode="after")
    def _one_relation(self) -> Self:
        if sum(one is not None for one in (self.within, self.id, self.whose)) > 1:
            raise ValueError("a part has at most one of within, id, whose")
        for label in {self.within, self.whose} - {None, "entity_id"}:
            if label not in LABELS:
                raise ValueError(f"{label!r} is no label")
        return self


class Test(_Declared):
    """The test of significance. `q` is the false discovery rate allowed over the entities that passed the guard."""

    name: str
    side: Literal["less", "greater", "two_sided"] = "two_sided"
    args: dict[str, str] = {}
    q: float | None = Field(0.10, gt=0, lt=1)
    p: float | None = Field(None, gt=0, lt=1, description="Also demanded of p itself.")


class Factors(_Declared):
    """Low and high as multiples of the middle, where no test gives an interval."""

    low: float = Field(ge=0, le=1)
    high: float = Field(ge=1)


class Value(_Declared):
    """What acting is worth in a month, as a formula; or why no value is claimed."""

    formula: str | None = None
    range: Literal["interval"] | Factors = "interval"
    none: str | None = None

    @model_validator(mode="after")
    def _one_of(self) -> Self:
        if (self.formula is None) == (self.none is None):
            raise ValueError("a value needs a formula, or the reason (`none`) why none is claimed")
        return self


class SeverityRule(_Declared):
    """money: by the monthly value. share: by a share of the site, with the least share of each level."""

    money: bool = False
    share: Name | None = None
    critical: float = 0.10
    high: float = 0.05
    medium: float = 0.01


class Confidence(_Declared):
    """Which formula, and its volume: n against the least volume of the guard.

    tested: 0.55 (1 - q) + 0.25 min(1, n / 5 least) + 0.2 same side. interval: n / (n + least) (1 - half the interval's
    relative width). fact: 0.95, or 0.80 below five times the least volume. joined: 0.5 n / (n + 3 least) + 0.3 (1 - cv)
    + 0.2 match rate. trend: 0.6 |tau| + 0.2 min(1, periods / 12) + 0.2 (1 - q). anomaly: 0.6 min(1, (|z| - 2) / 4) +
    0.2 min(1, n days / 90) + 0.2 same side.
    """

    formula: Literal["tested", "interval", "fact", "joined", "trend", "anomaly"]
    n: str
    min_volume: str
    cv: str | None = Field(None, description="joined: coefficient of variation of what it stands on; 0 if left out.")
    match_rate: str | None = Field(None, description="joined: share of rows that found their partner; 1 if left out.")


class Estimates(_Declared):
    """What content teams plan with."""

    traffic: str | None = Field(None, description="Visits a month that acting may win.")
    difficulty: str | None = Field(None, description="0 to 100.")


class Detector(_Declared):
    """One detector."""

    id: Name
    name: str = Field(min_length=5)
    entity_type: str = Field(description="Of its findings.")
    reads: str | None = Field(None, description="Entity type of the rows, where it differs; then one verdict a run.")
    scan: Literal["web", "search", "ads", "customers"] | None = Field(None, description="Where not its domain's.")
    tier: Literal["core", "extended"] = "core"
    stands_on: list[str] = Field([], description="Its source tables, where they are not its entity type's.")
    only: str | None = Field(None, description="Which entities are judged.")
    direction: Direction
    opportunity_type: Name
    metrics: list[str] = Field(min_length=1)
    labels: list[Name] = []
    does_without: list[Name] = Field([], description="Of its metrics those that count only where they are measured.")
    windows: dict[Name, Window]
    thresholds: dict[Name, float] = {}
    rates: dict[Name, Rate] = {}
    parts: dict[Name, Part] = {}
    peers: dict[Name, Peers] = {}
    measures: dict[Name, str] = {}
    guard: str
    effect: str
    test: Test
    same_side: str | None = Field(None, description="Per weekday: the current side of it that the finding is about.")
    cause: Name | None = Field(None, description="What moved; findings of one cause may have one root.")
    change: str = Field(description="How much it is off, in the unit of its cause; grows as it gets worse.")
    yields_to: list[Name] = Field([], description="Detectors whose finding of the same entity says it better.")
    value: Value
    estimates: Estimates = Estimates()
    severity: SeverityRule
    confidence: Confidence
    recommendation: str = Field(min_length=10)
    mutes: Literal["days", "source", "event"] | None = Field(
        None, description="Its findings silence: missing days of a source, a source, an event's step."
    )
    dampens: dict[str, Name | float] = Field(
        {}, description="Entity type, or `source`: share by which the confidence of findings on it falls."
    )
    notes: str | None = Field(None, description="What was decided beyond or against the catalogue, and why.")
    domain: Name

    @property
    def rows_of(self) -> str:
        """The entity type whose rows it reads."""
        return self.reads or self.entity_type

    @property
    def scanned_by(self) -> str:
        """The scan whose statement reads its rows."""
        return self.scan or next(name for name, domains in SCANS.items() if self.domain in domains)

    @property
    def needed_parts(self) -> list[str]:
        """The entity types of the parts that it cannot do without."""
        return [part.entity_type for part in self.parts.values() if not part.optional]

    def span(self, window: str) -> Span:
        """A window in days (months, rows) before `as_of`."""
        declared = self.windows[window]
        start = declared.ago or (1 if declared.unit in ("month", "row") else 0)
        first = self.span(declared.before).last + 1 if declared.before else start
        return Span(first=first, last=first + declared.length - 1, unit=declared.unit)

    def type_of(self, scope: str) -> str:
        """The entity type that a feature's scope reads: its own, or a part's."""
        return self.parts[scope].entity_type if scope in self.parts else self.rows_of

    def expressions(self) -> dict[str, str]:
        """Every expression of the declaration, by the field that holds it."""
        found = {"guard": self.guard, "effect": self.effect}
        optional: dict[str, str | None] = {
            "only": self.only,
            "same_side": self.same_side,
            "change": self.change,
            "estimates.traffic": self.estimates.traffic,
            "estimates.difficulty": self.estimates.difficulty,
            "value.formula": self.value.formula,
            "severity.share": self.severity.share,
            "confidence.n": self.confidence.n,
            "confidence.min_volume": self.confidence.min_volume,
            "confidence.cv": self.confidence.cv,
            "confidence.match_rate": self.confidence.match_rate,
        }
        for name, rate in self.rates.items():
            optional |= {f"rates.{name}.of": rate.of, f"rates.{name}.per": rate.per, f"rates.{name}.needs": rate.needs}
        for name, peers in self.peers.items():
            optional |= {f"peers.{name}.of": peers.of, f"peers.{name}.among": peers.among}
        optional |= {f"measures.{name}": measure for name, measure in self.measures.items()}
        optional |= {f"test.args.{name}": argument for name, argument in self.test.args.items()}
        optional |= {f"parts.{name}.where": part.where for name, part in self.parts.items()}
        optional |= {f"dampens.{name}": share for name, share in self.dampens.items() if isinstance(share, str)}
        found |= {field: text for field, text in optional.items() if text is not None}
        return found

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self


@dataclass(frozen=True)
class Feature:
    """What a name in a declaration reads.

    scope: own, site, rest, or a part's name. kind: sum, expected, phi, days, label, or one of PREFIXES.
    """

    scope: str
    kind: str
    window: str = "cur"
    metric: str = ""


def feature(detector: Detector, name: str) -> Feature | None:
    """The feature of a name; None where it names no feature of the detector."""
    if name in detector.labels:
        # Before parts: `hub_id` is a label, whatever the part `hub` has.
        return Feature("own", "label", metric=name)
    scope = "own"
    for prefix in ("site", "rest", *sorted(detector.parts, key=len, reverse=True)):
        if name.startswith(prefix + "_"):
            scope, name = prefix, name[len(prefix) + 1 :]
            break
    if name in (*detector.labels, "entity_id") and scope not in ("site", "rest"):
        return Feature(scope, "label", metric=name)
    metrics = detector.metrics
    if name.removeprefix("expected_") in metrics and name.startswith("expected_"):
        return Feature(scope, "expected", metric=name[9:]) if {"cur", "base"} <= set(detector.windows) else None
    if name.startswith("phi_"):
        return Feature(scope, "phi", metric=name[4:]) if name[4:] in metrics else None
    for window in sorted(detector.windows, key=len, reverse=True):
        if not name.startswith(window + "_"):
            continue
        rest = name[len(window) + 1 :]
        if rest == "days":
            return Feature(scope, "days", window)
        if rest in metrics:
            return Feature(scope, "sum", window, rest)
        for kind in PREFIXES:
            if rest.startswith(kind + "_") and rest.removeprefix(kind + "_") in metrics:
                return Feature(scope, kind, window, rest.removeprefix(kind + "_"))
    return None


def _problems(detector: Detector) -> Any:
    for entity_type in (
        detector.entity_type,
        detector.rows_of,
        *(part.entity_type for part in detector.parts.values()),
    ):
        if entity_type not in ENTITY_TYPES:
            yield f"entity_type: {entity_type!r} is not one of {', '.join(sorted(ENTITY_TYPES))}"
    for metric in detector.metrics:
        if metric not in METRICS:
            yield f"metrics: unknown metric {metric!r}"
    for metric in detector.does_without:
        if metric not in detector.metrics:
            yield f"does_without: {metric!r} is none of `metrics`"
    for label in detector.labels:
        if label not in LABELS:
            yield f"labels: unknown label {label!r}"
    for name, part in detector.parts.items():
        if part.id is not None and part.id not in {"entity_id", *LABELS, *detector.peers}:
            yield f"parts.{name}.id: {part.id!r} is neither a label nor one of `peers`"
    if detector.scan is None and not any(detector.domain in domains for domains in SCANS.values()):
        yield f"scan: domain {detector.domain!r} belongs to no scan: say which"
    for name, window in detector.windows.items():
        if window.before is not None and (window.before not in detector.windows or window.before == name):
            yield f"windows.{name}: `before` names no other window"
        elif window.before is not None and detector.windows[window.before].unit != window.unit:
            yield f"windows.{name}: days come before days, months before months, rows before rows"
    if "cur" not in detector.windows:
        yield "windows: one of them is called `cur`"
    yield from _wrong_expressions(detector)
    yield from _unguarded(detector)
    test = TESTS.get(detector.test.name)
    if test is None:
        yield f"test.name: {detector.test.name!r} is not one of {', '.join(sorted(TESTS))}"
    elif set(detector.test.args) != set(test.args):
        yield f"test.args: {detector.test.name} takes {', '.join(test.args) or 'none'}"
    if detector.value.range == "interval" and detector.value.formula and test is not None and not test.interval:
        yield "value.range: this test gives no interval: say low and high as multiples of the middle"


def _wrong_expressions(detector: Detector) -> Any:
    declared = {*detector.rates, *detector.peers, *detector.measures, *detector.thresholds, *BUILT_IN}
    for field, text in detector.expressions().items():
        try:
            used = expression.names(text)
        except expression.ExpressionError as error:
            yield f"{field}: {error}"
            continue
        for name in sorted(used - declared):
            found = feature(detector, name)
            if found is None:
                yield f"{field}: unknown name {name!r}"
            elif (problem := _misread(detector, found)) is not None:
                yield f"{field}: {name}: {problem}"


def _misread(detector: Detector, found: Feature) -> str | None:
    """Why a feature cannot be worked out of its window."""
    unit = detector.span(found.window).unit
    if unit == "month" and found.kind in ("same_weekday", "weekly", "dates_with", "log", "log2", "daily"):
        return "a window of months has monthly figures only"
    if unit == "row" and found.kind in ("same_weekday", "weekly", "dates_with"):
        return "a window of rows knows no weekdays"
    if unit != "month" and found.kind == "monthly":
        return "monthly figures need a window of months"
    if found.kind in LISTED and detector.span(found.window).is_year_ago:
        return "days of a year ago are only summed"
    return None


def _unguarded(detector: Detector) -> Any:
    floors = expression.floors(detector.guard)
    for name, rate in detector.rates.items():
        volumes = expression.names(rate.of) | expression.names(rate.per)
        if rate.needs is None and not volumes & floors:
            yield f"rates.{name}: unguarded ratio: demand a least volume in `guard`, or in its own `needs`"
