"""Every Firestore query of the code has the index that it needs: the emulator enforces none, production refuses."""

import ast
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from shared.schema.firestore import indexes
from shared.schema.registry import records

ROOT = Path(__file__).resolve().parents[3]
ADAPTERS = {ROOT / "shared" / "adapters" / f"{name}.py" for name in ("firestore", "firestore_scan")}
STORES = {"documents", "_documents", "ops", "_ops"}
"""What variables and attributes of port `Documents` are called."""
ANY_NAME = "{}"
EQUALITIES = ("==", "in")

Fields = tuple[tuple[str, str], ...]


class Unreadable(AssertionError):
    """A query that this test cannot read: write its filters as a literal."""


@dataclass(frozen=True)
class Query:
    """One query. `order_by` as the port takes it; `collection` is the last part of the path."""

    collection: str
    where: Fields = ()
    order_by: str | None = None
    place: str = ""

    def needed(self) -> tuple[frozenset[str], Fields] | None:
        """Equality fields and what follows them in the index; None where single-field indexes, merged, serve it."""
        equal = frozenset(name for name, operator in self.where if operator in EQUALITIES)
        ranged = [name for name, operator in self.where if operator not in EQUALITIES]
        ordered = self.order_by.lstrip("-") if self.order_by else None
        following = {name: "ASCENDING" for name in ranged if name != ordered}
        if ordered and ordered not in equal:
            direction = "DESCENDING" if str(self.order_by).startswith("-") else "ASCENDING"
            following = {ordered: direction, **following}
        if not following or (not equal and len(following) == 1):
            return None
        return equal, tuple(following.items())


def served(query: Query, declared: list[dict[str, Any]]) -> bool:
    """True where declared composite indexes serve the query, or it needs none.

    Firestore merges indexes that end alike, each with some of the equal fields:
    https://firebase.google.com/docs/firestore/query-data/index-overview#taking_advantage_of_index_merging
    """
    needed = query.needed()
    if needed is None:
        return True
    equal, following = needed
    covered: set[str] = set()
    found = False
    for index in declared:
        fields = [(field["fieldPath"], field["order"]) for field in index["fields"]]
        split = len(fields) - len(following)
        head, tail = {name for name, _ in fields[: max(split, 0)]}, tuple(fields[max(split, 0) :])
        # Firestore reads an index backwards as well.
        backwards = tuple((name, _reverse(order)) for name, order in tail)
        if index["collectionGroup"] == query.collection and head <= equal and following in (tail, backwards):
            found, covered = True, covered | head
    return found and covered == equal


def _reverse(order: str) -> str:
    return "ASCENDING" if order == "DESCENDING" else "DESCENDING"


# --- reading the code -----------------------------------------------------------------------------------------------


def queries(source: str, place: str = "") -> Iterator[Query]:
    """Every call of `find` or `count` on a store of documents, wherever it stands."""
    tree = ast.parse(source)
    functions = [node for node in ast.walk(tree) if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)]
    for call in ast.walk(tree):
        if isinstance(call, ast.Call) and _is_find(call):
            around = [node for node in functions if node.lineno <= call.lineno <= (node.end_lineno or 0)]
            scope = max(around, key=lambda node: node.lineno, default=tree)
            yield replace(_query(call, scope), place=f"{place}:{call.lineno}")


def _is_find(call: ast.Call) -> bool:
    function = call.func
    if not isinstance(function, ast.Attribute) or function.attr not in ("find", "count"):
        return False
    holder = function.value.func if isinstance(function.value, ast.Call) else function.value  # self._needs.ops()
    name = holder.attr if isinstance(holder, ast.Attribute) else holder.id if isinstance(holder, ast.Name) else ""
    filtered = {keyword.arg for keyword in call.keywords} & {"where", "order_by"}
    if filtered and name not in STORES and function.attr == "find":
        raise Unreadable(f"line {call.lineno}: is {name!r} a store of documents?")
    return name in STORES


def _query(call: ast.Call, scope: ast.AST) -> Query:
    given: dict[str, ast.expr] = dict(zip(("collection", "where", "order_by"), call.args, strict=False))
    for keyword in call.keywords:
        if keyword.arg is None:
            raise Unreadable(f"line {call.lineno}: {ast.unparse(call)}")
        given[keyword.arg] = keyword.value
    where = tuple(_filters(given["where"], scope)) if "where" in given else ()
    order_by = _text(given["order_by"]) if "order_by" in given else None
    query = Query(_text(given["collection"]).rpartition("/")[2], where, order_by)
    if query.collection == ANY_NAME and query.needed():
        raise Unreadable(f"line {call.lineno}: which collection?")
    return query


def _filters(node: ast.expr, scope: ast.AST) -> Iterator[tuple[str, str]]:
    """Fields and operators of a list of filters; of a variable, all that is ever put into it."""
    if isinstance(node, ast.List | ast.Tuple):
        for each in node.elts:
            if not isinstance(each, ast.Tuple) or len(each.elts) != 3:
                raise Unreadable(f"line {node.lineno}: {ast.unparse(node)}")
            yield _text(each.elts[0]), _text(each.elts[1])
    elif isinstance(node, ast.Name):
        yield from _put_into(node, scope)
    elif isinstance(node, ast.IfExp):
        yield from _filters(node.body, scope)
        yield from _filters(node.orelse, scope)
    else:
        raise Unreadable(f"line {node.lineno}: {ast.unparse(node)}")


def _put_into(variable: ast.Name, scope: ast.AST) -> Iterator[tuple[str, str]]:
    found = 0
    for node in ast.walk(scope):
        if isinstance(node, ast.Assign | ast.AnnAssign) and node.value is not None:
            targets = node.targets if isinstance(node, ast.Assign) else [node.target]
            if any(isinstance(target, ast.Name) and target.id == variable.id for target in targets):
                found += 1
                yield from _filters(node.value, scope)
        appended = isinstance(node, ast.Call) and ast.unparse(node.func) == f"{variable.id}.append"
        if appended and isinstance(node, ast.Call):
            yield from _filters(ast.List(elts=node.args, lineno=node.lineno), scope)
    if not found:
        raise Unreadable(f"line {variable.lineno}: where does {variable.id} come from?")


def _text(node: ast.expr) -> str:
    """A text; an f-string with its values left out."""
    if isinstance(node, ast.Constant) and isinstance(node.value, str):
        return node.value
    if isinstance(node, ast.JoinedStr):
        return "".join(str(part.value) if isinstance(part, ast.Constant) else ANY_NAME for part in node.values)
    if isinstance(node, ast.Attribute | ast.Name | ast.Call):
        return ANY_NAME
    raise Unreadable(f"line {node.lineno}: {ast.unparse(node)}")


def modules() -> list[Path]:
    """All code that a deployment carries."""
    return [path for folder in ("shared", "functions") for path in sorted((ROOT / folder).rglob("*.py"))]


def all_queries() -> list[Query]:
    found = []
    for path in modules():
        if path not in ADAPTERS:
            found += queries(path.read_text(), str(path.relative_to(ROOT)))
    return found


def declared() -> list[dict[str, Any]]:
    return [*indexes(records())["indexes"], *indexes(records(), "ops")["indexes"]]


# --- what must hold -------------------------------------------------------------------------------------------------


def test_code_has_queries_that_filter_and_order():
    found = all_queries()
    assert Query("progress", (("tenant_id", "=="),), "-started_at") in [replace(query, place="") for query in found]
    assert len([query for query in found if query.needed()]) >= 2


@pytest.mark.parametrize("query", all_queries(), ids=lambda query: query.place)
def test_query_has_the_index_that_it_needs(query: Query):
    assert served(query, declared()), f"{query.place}: declare an index of {query.collection} for {query.needed()}"


@pytest.mark.parametrize("query", [query for query in all_queries() if query.where or query.order_by], ids=str)
def test_query_asks_a_declared_collection_for_fields_that_it_has(query: Query):
    named = {record.collection.name: set(record.model_fields) for record in records() if record.collection}
    asked = {name.partition(".")[0] for name, _ in query.where} | {str(query.order_by).lstrip("-")} - {"None"}
    # A field that a feed names is one of its record: tests/unit/sources/test_gone.py.
    asked -= {ANY_NAME}
    assert any(asked <= fields for name, fields in named.items() if query.collection in (name, ANY_NAME))


def test_no_query_asks_for_a_field_that_is_in_no_index():
    unindexed = {record.collection.name: set(record.collection.unindexed) for record in records() if record.collection}
    for query in all_queries():
        asked = {name for name, _ in query.where} | {str(query.order_by).lstrip("-")}
        assert not asked & unindexed.get(query.collection, set()), query.place


def test_no_module_but_the_adapters_builds_queries_of_its_own():
    own = {path.name for path in modules() if path not in ADAPTERS and "FieldFilter" in path.read_text()}
    own |= {path.name for path in modules() if path not in ADAPTERS and "collection_group(" in path.read_text()}
    assert own == set()


INDEX = {"collectionGroup": "progress", "fields": [
    {"fieldPath": "tenant_id", "order": "ASCENDING"},
    {"fieldPath": "kind", "order": "ASCENDING"},
    {"fieldPath": "started_at", "order": "DESCENDING"},
]}  # fmt: skip
BOTH = (("kind", "=="), ("tenant_id", "=="))


MERGED = [
    {"collectionGroup": "letters", "fields": [
        {"fieldPath": field, "order": "ASCENDING"}, {"fieldPath": "at", "order": "DESCENDING"}
    ]} for field in ("kind", "tenant_id")
]  # fmt: skip


@pytest.mark.parametrize(
    ("query", "answer"),
    [
        (Query("progress", BOTH, "-started_at"), True),
        (Query("progress", BOTH, "started_at"), True),
        (Query("progress", (*BOTH, ("started_at", ">")), "-started_at"), True),
        (Query("progress", (*BOTH, ("started_at", ">"))), True),
        (Query("arrivals", BOTH, "-started_at"), False),
        (Query("progress", (("tenant_id", "=="),), "-started_at"), False),
        (Query("progress", BOTH, "-updated_at"), False),
        (Query("progress", (*BOTH, ("status", "==")), "-started_at"), False),
        (Query("letters", BOTH, "-at"), True),
        (Query("letters", BOTH, "at"), True),
        (Query("letters", BOTH[:1], "at"), True),
        (Query("letters", (*BOTH, ("at", ">="))), True),
        (Query("letters", (*BOTH, ("status", "==")), "-at"), False),
        (Query("letters", BOTH, "-other"), False),
        (Query("progress", (("started_at", ">"), ("updated_at", ">"))), False),
        (Query("progress", BOTH), True),
        (Query("progress", (), "-updated_at"), True),
        (Query("progress", (("updated_at", ">"),), "updated_at"), True),
    ],
    ids=str,
)
def test_indexes_serve_equal_fields_in_any_order_alone_or_merged_then_the_order_forwards_or_backwards(
    query: Query, answer: bool
):
    assert served(query, [INDEX, *MERGED]) is answer


def test_filters_in_a_variable_are_all_read():
    source = """
def count(self, event_id):
    where: list = [("status", "==", "waiting")]
    if event_id:
        where.append(("event_id", "==", event_id))
    return self._ops.find("dead_letters", where=where, order_by="-set_aside_at")
"""
    [query] = queries(source)
    assert query.where == (("status", "=="), ("event_id", "=="))
    assert not served(query, declared())


@pytest.mark.parametrize(
    "source",
    [
        "def f(clients, where):\n    clients.ops.find('progress', where=where)",
        "clients.ops.find('progress', where=made())",
        "clients.ops.find('progress', order_by='a' + b)",
        "clients.ops.find(collection, where=[('a', '==', 1)], order_by='b')",
        "store.find('progress', order_by='a')",
        "clients.ops.find('progress', **options)",
    ],
)
def test_a_query_that_cannot_be_read_is_refused(source: str):
    with pytest.raises(Unreadable):
        list(queries(source))
