"""The declaration of a detector: what an analyst writes, and the checks that refuse a bad one at load."""

from typing import Annotated, Any, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, StringConstraints, model_validator

from shared.detectors import expression
from shared.detectors.metrics import ENTITY_TYPES, METRICS
from shared.detectors.significance import TESTS
from shared.opportunities.records import Direction

Name = Annotated[str, StringConstraints(pattern=r"^[a-z][a-z0-9_]*$", max_length=60)]
BUILT_IN = frozenset({"entity_id", "value_per_conversion", "site_monthly_revenue", "age_days", "history_days"})
FAMILIES = ("days_with", "dates_with", "log2", "log")
"""Of a window and metric, `cur_log_x`: days with x > 0, which days those are, sums of ln(x + 1)^2 and of ln(x + 1)."""


class _Declared(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Window(_Declared):
    """Whole days: the last ones (`days: 7`), those right before another window, or those that end `ago` days back."""

    days: int = Field(ge=1, le=400)
    before: Name | None = None
    ago: int = Field(0, ge=0, le=800)
    optional: bool = Field(False, description="Where its days are not covered its features are NULL, nothing is muted.")
    least_covered: float = Field(0.7, gt=0, le=1, description="Share of its days that must have data.")


class Span(_Declared):
    """A window in days before `as_of`, both inclusive: 0 is `as_of` itself."""

    first: int
    last: int

    @property
    def key(self) -> str:
        """How columns of this window are called."""
        return f"{self.first}_{self.last}"

    @property
    def days(self) -> int:
        """Its length."""
        return self.last - self.first + 1

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
    """A quantile of a feature over comparable entities."""

    of: str
    quantile: float = Field(ge=0, le=1)
    over: Literal["entity_type", "page_template"] = "entity_type"
    among: str = Field(description="Which of them count: a volume condition.")
    at_least: int = Field(ge=2, description="With fewer peers there is no answer.")


class Part(_Declared):
    """A part of the site whose features are read beside the entity's own: `desktop_cur_sessions`."""

    entity_type: str
    where: str = "TRUE"


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
    """Which of the three formulas, and its volume: n against the least volume of the guard."""

    formula: Literal["tested", "interval", "fact"]
    n: str
    min_volume: str


class Detector(_Declared):
    """One detector."""

    id: Name
    name: str = Field(min_length=5)
    entity_type: str = Field(description="Of its findings.")
    reads: str | None = Field(None, description="Entity type of the rows, where it differs; then one verdict a run.")
    only: str | None = Field(None, description="Which entities are judged.")
    direction: Direction
    opportunity_type: Name
    metrics: list[str] = Field(min_length=1)
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
    value: Value
    severity: SeverityRule
    confidence: Confidence
    recommendation: str = Field(min_length=10)
    mutes: Literal["source_table", "event"] | None = None
    dampens: dict[str, Name] = Field({}, description="Entity type -> share by which its findings lose confidence.")
    notes: str | None = Field(None, description="What was decided beyond or against the catalogue, and why.")
    domain: Name

    @property
    def rows_of(self) -> str:
        """The entity type whose rows it reads."""
        return self.reads or self.entity_type

    def span(self, window: str) -> Span:
        """A window in days before `as_of`."""
        declared = self.windows[window]
        first = self.span(declared.before).last + 1 if declared.before else declared.ago
        return Span(first=first, last=first + declared.days - 1)

    def expressions(self) -> dict[str, str]:
        """Every expression of the declaration, by the field that holds it."""
        found = {"guard": self.guard, "effect": self.effect}
        optional: dict[str, str | None] = {
            "only": self.only,
            "same_side": self.same_side,
            "value.formula": self.value.formula,
            "severity.share": self.severity.share,
            "confidence.n": self.confidence.n,
            "confidence.min_volume": self.confidence.min_volume,
        }
        for name, rate in self.rates.items():
            optional |= {f"rates.{name}.of": rate.of, f"rates.{name}.per": rate.per, f"rates.{name}.needs": rate.needs}
        for name, peers in self.peers.items():
            optional |= {f"peers.{name}.of": peers.of, f"peers.{name}.among": peers.among}
        optional |= {f"measures.{name}": measure for name, measure in self.measures.items()}
        optional |= {f"test.args.{name}": argument for name, argument in self.test.args.items()}
        optional |= {f"dampens.{name}": share for name, share in self.dampens.items()}
        found |= {field: text for field, text in optional.items() if text is not None}
        return found

    @model_validator(mode="after")
    def _checked(self) -> Self:
        for problem in _problems(self):
            raise ValueError(problem)
        return self


def feature(detector: Detector, name: str) -> tuple[str, str, str, str] | None:
    """(scope, kind, window, metric) of a feature's name; None where it names no feature of the detector.

    scope: own, site, rest, or a part's name. kind: sum, expected, phi, days, or one of FAMILIES.
    """
    scope = "own"
    for prefix in ("site", "rest", *detector.parts):
        if name.startswith(prefix + "_"):
            scope, name = prefix, name[len(prefix) + 1 :]
            break
    if name.startswith("expected_") and {"cur", "base"} <= set(detector.windows):
        metric = name.removeprefix("expected_")
        return (scope, "expected", "cur", metric) if metric in detector.metrics else None
    if name.startswith("phi_"):
        return (scope, "phi", "cur", name[4:]) if name[4:] in detector.metrics else None
    for window in sorted(detector.windows, key=len, reverse=True):
        if not name.startswith(window + "_"):
            continue
        rest = name[len(window) + 1 :]
        if rest == "days":
            return scope, "days", window, ""
        for kind in FAMILIES:
            if rest.startswith(kind + "_") and rest.removeprefix(kind + "_") in detector.metrics:
                return scope, kind, window, rest.removeprefix(kind + "_")
        if rest in detector.metrics:
            return scope, "sum", window, rest
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
    for name, window in detector.windows.items():
        if window.before is not None and (window.before not in detector.windows or window.before == name):
            yield f"windows.{name}: `before` names no other window"
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
            if feature(detector, name) is None:
                yield f"{field}: unknown name {name!r}"


def _unguarded(detector: Detector) -> Any:
    floors = expression.floors(detector.guard)
    for name, rate in detector.rates.items():
        volumes = expression.names(rate.of) | expression.names(rate.per)
        if rate.needs is None and not volumes & floors:
            yield f"rates.{name}: unguarded ratio: demand a least volume in `guard`, or in its own `needs`"
