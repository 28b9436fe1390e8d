"""The small language of declarations: SQL expressions over named features.

Words in capitals are SQL, words in small letters are features. A division is only by a number: ratios of features
are declared under `rates`, where their volume guard can be checked. Expressions are evaluated over arrays (one value
an entity) with SQL's rules: NULL is NaN, a condition is 1, 0 or NaN.
"""

import re
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from shared.detectors.trend import kendall_tau, theil_sen

TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^'\\]*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<word>[A-Z]+(?:_[A-Z]+)*)"
    r"|(?P<operator><=|>=|<>|!=|[-+*/=<>(),]))"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "IF": lambda test, yes, no: _chosen(test, yes, no),
    "COALESCE": lambda first, *rest: _first_known(first, *rest),
    "LEAST": lambda first, *rest: _fold(np.minimum, first, *rest),
    "GREATEST": lambda first, *rest: _fold(np.maximum, first, *rest),
    "ABS": lambda value: np.abs(_float(value)),
    "LN": lambda value: np.log(_float(value)),
    "EXP": lambda value: np.exp(_float(value)),
    "SQRT": lambda value: np.sqrt(_float(value)),
    "ROUND": lambda value: np.round(_float(value)),
    "POW": lambda base, power: np.power(*aligned(_float(base), _float(power))),
    "LOWER": lambda value: _texts(str.lower, value),
    "LENGTH": lambda value: _float(_texts(len, value)),
    "REGEXP_CONTAINS": lambda value, pattern: _matches(value, pattern),
    # Over a series, oldest first; a day without a value counts nowhere.
    "SUM": lambda series: _reduced(np.nansum, series),
    "AVG": lambda series: _reduced(np.nanmean, series),
    "MAX": lambda series: _reduced(np.nanmax, series),
    "MIN": lambda series: _reduced(np.nanmin, series),
    "STDDEV": lambda series: _reduced(_deviation, series),
    "MEDIAN": lambda series: _reduced(np.nanmedian, series),
    "COUNT": lambda series: (~np.isnan(_series(series))).sum(axis=1).astype(float),
    "FIRST": lambda series, number: _reduced(np.nanmean, _series(series)[:, : int(number)]),
    "LATEST": lambda series, number: _reduced(np.nanmean, _series(series)[:, -int(number) :]),
    "SLOPE": lambda series: theil_sen(_series(series)),
    "TAU": lambda series: kendall_tau(_series(series)),
}
"""SQL's, and reducers of a series: FIRST and LATEST are means of its first and last values, SLOPE Theil and Sen's."""
RESOLVED = {"CTR": "ctr_curve"}
"""Functions of one argument that read a table of the run: the share of clicks at a position."""
WORDS = frozenset({*FUNCTIONS, *RESOLVED, "AND", "OR", "NOT", "IS", "NULL", "IN", "BETWEEN", "TRUE", "FALSE"})
FLOOR = re.compile(r"\b([a-z][a-z0-9_]*)\s*>=?\s*")
Resolve = Callable[[str], Any]
Evaluate = Callable[[Resolve], Any]


class ExpressionError(ValueError):
    """An expression that cannot be read; the message says where and why."""


def tokens(expression: str) -> Iterator[tuple[str, str]]:
    """(kind, text) of each token; ExpressionError at the first character that is none."""
    position, before = 0, ""
    expression = expression.strip()
    while position < len(expression):
        found = TOKEN.match(expression, position)
        if found is None:
            raise ExpressionError(f"cannot read {expression[position : position + 20]!r}")
        kind = str(found.lastgroup)
        text = found.group(kind)
        if kind == "word" and text not in WORDS:
            raise ExpressionError(f"{text} is not allowed; these are: {', '.join(sorted(WORDS))}")
        if before == "/" and kind != "number":
            raise ExpressionError(f"division by {text!r}: declare the ratio under rates, with its guard")
        yield kind, text
        before, position = text, found.end()


@cache
def names(expression: str) -> frozenset[str]:
    """The names that an expression uses; ExpressionError where it is none."""
    _parsed(expression)
    found = {text for kind, text in tokens(expression) if kind == "name"}
    return frozenset(found | {RESOLVED[text] for _, text in tokens(expression) if text in RESOLVED})


def floors(condition: str) -> set[str]:
    """The features that a condition demands a least value of: `cur_sessions >= 200`."""
    return set(FLOOR.findall(condition))


def least(condition: str) -> list[tuple[str, float | str]]:
    """The conjuncts of a condition that demand a least value: (name, number or threshold's name)."""
    conjuncts: list[list[tuple[str, str]]] = [[]]
    depth = 0
    for kind, text in tokens(condition):
        depth += {"(": 1, ")": -1}.get(text, 0)
        if depth == 0 and text in ("OR", "NOT"):
            return []
        if depth == 0 and text == "AND":
            conjuncts.append([])
        else:
            conjuncts[-1].append((kind, text))
    found: list[tuple[str, float | str]] = []
    for conjunct in conjuncts:
        kinds, texts = [kind for kind, _ in conjunct], [text for _, text in conjunct]
        if len(conjunct) == 3 and kinds[0] == "name" and texts[1] in (">", ">=") and kinds[2] in ("name", "number"):
            found.append((texts[0], float(texts[2]) if kinds[2] == "number" else texts[2]))
    return found


def evaluate(expression: str, resolve: Resolve) -> Any:
    """The expression's value; `resolve` gives the array (or number) of a name."""
    with np.errstate(all="ignore"):
        return _parsed(expression)(resolve)


def true(condition: Any) -> Any:
    """Where a condition holds: neither 0 nor NULL."""
    return np.nan_to_num(_float(condition)) != 0


@cache
def _parsed(expression: str) -> Evaluate:
    parser = _Parser([*tokens(expression)])
    found = parser.either()
    if parser.position < len(parser.tokens):
        raise ExpressionError(f"cannot read on from {parser.tokens[parser.position][1]!r}")
    return found


@dataclass
class _Parser:
    """Recursive descent; each method is one level of precedence, the loosest first."""

    tokens: list[tuple[str, str]]
    position: int = 0

    def either(self) -> Evaluate:
        left = self.both()
        while self._take("OR"):
            left = _binary(_or, left, self.both())
        return left

    def both(self) -> Evaluate:
        left = self.negated()
        while self._take("AND"):
            left = _binary(_and, left, self.negated())
        return left

    def negated(self) -> Evaluate:
        if self._take("NOT"):
            inner = self.negated()
            return lambda resolve: 1 - _float(inner(resolve))
        return self.comparison()

    def comparison(self) -> Evaluate:
        left = self.sum()
        for operator, compare in COMPARISONS.items():
            if self._take(operator):
                return _binary(compare, left, self.sum())
        if self._take("IS"):
            wanted = 0.0 if self._take("NOT") else 1.0
            self._expect("NULL")
            return lambda resolve: np.where(_is_null(left(resolve)), wanted, 1 - wanted)
        if self._take("BETWEEN"):
            low = self.sum()
            self._expect("AND")
            return _binary(_and, _binary(_compare(np.greater_equal), left, low), self._at_most(left))
        opposite = self._take("NOT")
        if self._take("IN"):
            inside = self._any_of(left)
            return (lambda resolve: 1 - _float(inside(resolve))) if opposite else inside
        if opposite:
            raise ExpressionError("NOT is followed by IN here")
        return left

    def _at_most(self, left: Evaluate) -> Evaluate:
        return _binary(_compare(np.less_equal), left, self.sum())

    def _any_of(self, left: Evaluate) -> Evaluate:
        self._expect("(")
        found = _binary(_equal, left, self.sum())
        while self._take(","):
            found = _binary(_or, found, _binary(_equal, left, self.sum()))
        self._expect(")")
        return found

    def sum(self) -> Evaluate:
        left = self.product()
        while True:
            if self._take("+"):
                left = _binary(np.add, left, self.product())
            elif self._take("-"):
                left = _binary(np.subtract, left, self.product())
            else:
                return left

    def product(self) -> Evaluate:
        left = self.single()
        while True:
            if self._take("*"):
                left = _binary(np.multiply, left, self.single())
            elif self._take("/"):
                left = _binary(np.divide, left, self.single())
            else:
                return left

    def single(self) -> Evaluate:
        if self._take("-"):
            inner = self.single()
            return lambda resolve: -_float(inner(resolve))
        if self._take("("):
            inside = self.either()
            self._expect(")")
            return inside
        if self.position == len(self.tokens):
            raise ExpressionError("it ends too early")
        kind, text = self.tokens[self.position]
        self.position += 1
        if kind == "number":
            return lambda resolve: float(text)
        if kind == "text":
            return lambda resolve: text[1:-1]
        if kind == "name":
            return lambda resolve: resolve(text)
        if text in ("TRUE", "FALSE", "NULL"):
            return lambda resolve: {"TRUE": 1.0, "FALSE": 0.0, "NULL": np.nan}[text]
        if text in RESOLVED:
            return self._looked_up(RESOLVED[text])
        if text in FUNCTIONS:
            return self._call(text)
        raise ExpressionError(f"{text!r} is not expected here")

    def _call(self, function: str) -> Evaluate:
        self._expect("(")
        arguments = [self.either()]
        while self._take(","):
            arguments.append(self.either())
        self._expect(")")
        return lambda resolve: FUNCTIONS[function](*(argument(resolve) for argument in arguments))

    def _looked_up(self, table: str) -> Evaluate:
        self._expect("(")
        place = self.either()
        self._expect(")")
        return lambda resolve: np.interp(_float(place(resolve)), *resolve(table))

    def _take(self, text: str) -> bool:
        taken = self.position < len(self.tokens) and self.tokens[self.position][1] == text
        self.position += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise ExpressionError(f"{text!r} is missing")


def _binary(operation: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda resolve: operation(*aligned(left(resolve), right(resolve)))


def any_of(words: Iterable[str]) -> str:
    """A pattern that finds any of the words; empty, which finds nothing, where there are none. A blank is no word."""
    return "|".join(re.escape(word.strip().lower()) for word in words if word.strip())


def aligned(left: Any, right: Any) -> tuple[Any, Any]:
    """One value an entity beside a series of each: the value stands beside each day."""
    if np.ndim(left) == 2 and np.ndim(right) == 1:
        return left, np.asarray(right)[:, None]
    if np.ndim(left) == 1 and np.ndim(right) == 2:
        return np.asarray(left)[:, None], right
    return left, right


def _float(value: Any) -> Any:
    return np.asarray(value, dtype=np.float64)


def _series(value: Any) -> Any:
    if np.ndim(value) != 2:
        raise ExpressionError("a series is needed: `<window>_daily_<metric>` or alike")
    return _float(value)


def _reduced(reduce: Callable[..., Any], series: Any) -> Any:
    values = _series(series)
    known = ~np.isnan(values).all(axis=1) if values.shape[1] else np.zeros(len(values), dtype=bool)
    found = np.full(len(values), np.nan)
    if known.any():
        found[known] = reduce(values[known], axis=1)
    return found


def _deviation(values: Any, axis: int) -> Any:
    spread = np.nansum((values - np.nanmean(values, axis=axis)[:, None]) ** 2, axis=axis)
    return np.sqrt(spread / ((~np.isnan(values)).sum(axis=axis) - 1))


def _is_text(value: Any) -> bool:
    return isinstance(value, str) or np.asarray(value).dtype == object


def _is_null(value: Any) -> Any:
    return np.asarray(value, dtype=object) == None if _is_text(value) else np.isnan(_float(value))  # noqa: E711


def _texts(change: Callable[[str], Any], value: Any) -> Any:
    if isinstance(value, str):
        return change(value)
    return np.array([None if one is None else change(one) for one in value], dtype=object)


def _matches(value: Any, pattern: str) -> Any:
    search = re.compile(pattern).search
    return _float(_texts(lambda one: float(search(one) is not None), value)) if pattern else np.zeros(np.shape(value))


def _chosen(test: Any, yes: Any, no: Any) -> Any:
    if np.ndim(test) != 2 and 2 not in (np.ndim(yes), np.ndim(no)):
        return np.where(true(test), yes, no)
    test, yes = aligned(_float(test), yes)
    test, no = aligned(test, no)
    return np.where(true(test), *aligned(yes, no))


def _and(left: Any, right: Any) -> Any:
    left, right = _float(left), _float(right)
    return np.where((left == 0) | (right == 0), 0.0, left * right)


def _or(left: Any, right: Any) -> Any:
    left, right = _float(left), _float(right)
    return np.where((left == 1) | (right == 1), 1.0, left + right)


def _compare(operation: Callable[[Any, Any], Any]) -> Callable[[Any, Any], Any]:
    def compare(left: Any, right: Any) -> Any:
        left, right = _float(left), _float(right)
        return np.where(np.isnan(left) | np.isnan(right), np.nan, operation(left, right))

    return compare


def _equal(left: Any, right: Any) -> Any:
    if _is_text(left) or _is_text(right):
        left, right = np.asarray(left, dtype=object), np.asarray(right, dtype=object)
        return np.where((left == None) | (right == None), np.nan, _float(left == right))  # noqa: E711
    return _compare(np.equal)(left, right)


def _unequal(left: Any, right: Any) -> Any:
    return 1 - _equal(left, right)


def _first_known(first: Any, *rest: Any) -> Any:
    for other in rest:
        first, other = aligned(first, other)
        first = np.where(_is_null(first), other, first)
    return first


def _fold(operation: Callable[[Any, Any], Any], first: Any, *rest: Any) -> Any:
    for other in rest:
        first = operation(*aligned(_float(first), _float(other)))
    return first


COMPARISONS: dict[str, Callable[[Any, Any], Any]] = {
    "=": _equal,
    "<>": _unequal,
    "!=": _unequal,
    "<=": _compare(np.less_equal),
    ">=": _compare(np.greater_equal),
    "<": _compare(np.less),
    ">": _compare(np.greater),
}
