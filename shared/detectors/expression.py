"""The small language of declarations: SQL expressions over named features.

Words in capitals are SQL, words in small letters are features. A division is only by a number: ratios of features
are declared under `rates`, where their volume guard can be checked. Expressions are evaluated over arrays (one value
an entity) with SQL's rules: NULL is NaN, a condition is 1, 0 or NaN.
"""

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^'\\]*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<word>[A-Z]+)"
    r"|(?P<operator><=|>=|<>|!=|[-+*/=<>(),]))"
)
FUNCTIONS: dict[str, Callable[..., Any]] = {
    "IF": lambda test, yes, no: np.where(np.nan_to_num(_float(test)) != 0, yes, no),
    "COALESCE": lambda first, *rest: _first_known(first, *rest),
    "LEAST": lambda first, *rest: _fold(np.minimum, first, *rest),
    "GREATEST": lambda first, *rest: _fold(np.maximum, first, *rest),
    "ABS": lambda value: np.abs(_float(value)),
    "LN": lambda value: np.log(_float(value)),
    "EXP": lambda value: np.exp(_float(value)),
    "SQRT": lambda value: np.sqrt(_float(value)),
    "POW": lambda base, power: np.power(_float(base), _float(power)),
}
WORDS = frozenset({*FUNCTIONS, "AND", "OR", "NOT", "IS", "NULL", "IN", "BETWEEN", "TRUE", "FALSE"})
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


def names(expression: str) -> set[str]:
    """The features that an expression uses; ExpressionError where it is none."""
    _parsed(expression)
    return {text for kind, text in tokens(expression) if kind == "name"}


def floors(condition: str) -> set[str]:
    """The features that a condition demands a least value of: `cur_sessions >= 200`."""
    return set(FLOOR.findall(condition))


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
            return lambda resolve: np.where(np.isnan(_float(left(resolve))), wanted, 1 - wanted)
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

    def _take(self, text: str) -> bool:
        taken = self.position < len(self.tokens) and self.tokens[self.position][1] == text
        self.position += taken
        return taken

    def _expect(self, text: str) -> None:
        if not self._take(text):
            raise ExpressionError(f"{text!r} is missing")


def _binary(operation: Callable[[Any, Any], Any], left: Evaluate, right: Evaluate) -> Evaluate:
    return lambda resolve: operation(left(resolve), right(resolve))


def _float(value: Any) -> Any:
    return np.asarray(value, dtype=np.float64)


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
    if isinstance(left, str) or isinstance(right, str):
        return _float(np.asarray(left, dtype=object) == np.asarray(right, dtype=object))
    return _compare(np.equal)(left, right)


def _unequal(left: Any, right: Any) -> Any:
    return 1 - _equal(left, right)


def _first_known(first: Any, *rest: Any) -> Any:
    for other in rest:
        first = np.where(np.isnan(_float(first)), other, first)
    return first


def _fold(operation: Callable[[Any, Any], Any], first: Any, *rest: Any) -> Any:
    for other in rest:
        first = operation(_float(first), _float(other))
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
