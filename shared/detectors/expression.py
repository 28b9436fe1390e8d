"""The small language of declarations: SQL expressions over named features.

Words in capitals are SQL, words in small letters are features. A division is only by a number: ratios of features
are declared under `rates`, where their volume guard can be checked.
"""

import re
from collections.abc import Callable, Iterator

TOKEN = re.compile(
    r"\s*(?:(?P<text>'[^'\\]*')|(?P<number>\d+(?:\.\d+)?)|(?P<name>[a-z][a-z0-9_]*)|(?P<word>[A-Z]+)"
    r"|(?P<operator><=|>=|<>|!=|[-+*/=<>(),]))"
)
WORDS = frozenset(
    ("AND", "OR", "NOT", "IS", "NULL", "IN", "BETWEEN", "LIKE", "TRUE", "FALSE")
    + ("IF", "COALESCE", "LEAST", "GREATEST", "ABS", "LN", "EXP", "SQRT", "POW")
)
FLOOR = re.compile(r"\b([a-z][a-z0-9_]*)\s*>=?\s*")


class ExpressionError(ValueError):
    """An expression that cannot be compiled; the message says where and why."""


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
    """The features that an expression uses."""
    return {text for kind, text in tokens(expression) if kind == "name"}


def floors(condition: str) -> set[str]:
    """The features that a condition demands a least value of: `cur_sessions >= 200`."""
    return set(FLOOR.findall(condition))


def substitute(expression: str, resolve: Callable[[str], str]) -> str:
    """The expression with each feature replaced by what `resolve` says of it."""
    return " ".join(resolve(text) if kind == "name" else text for kind, text in tokens(expression))
