"""How Stripe shows its objects: references as ids or expanded, long lists cut, lists filtered and paged."""

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

Object = dict[str, Any]
Tree = dict[str, Any]

REFERENCES = {
    "charge": "charges",
    "customer": "customers",
    "default_payment_method": "payment_methods",
    "default_source": "payment_methods",
    "latest_invoice": "invoices",
    "payment_intent": "payment_intents",
    "product": "products",
}
"""Fields that hold an id, and the list of what they refer to."""
INCLUDABLE = ("line_items", "payments", "refunds")
"""Fields that are there only where they are expanded."""
EXPANDABLE = {
    "charges": ("customer", "payment_intent", "payment_intent.amount_details.line_items", "refunds"),
    "refunds": ("charge", "payment_intent"),
    "disputes": ("charge", "payment_intent"),
    "customers": ("default_source", "invoice_settings.default_payment_method"),
    "prices": ("product",),
    "subscriptions": (
        "customer",
        "customer.default_source",
        "customer.invoice_settings.default_payment_method",
        "default_payment_method",
        "default_source",
        "latest_invoice",
    ),
    "invoices": ("customer", "payments"),
}
URLS = {
    "items": "/v1/subscription_items?subscription={id}",
    "line_items": "/v1/payment_intents/{id}/amount_details_line_items",
    "lines": "/v1/invoices/{id}/lines",
    "payments": "/v1/invoice_payments?invoice={id}",
    "refunds": "/v1/refunds?charge={id}",
}
MOST_WITHIN = 10
"""An object holds the first of a list within it; the others are asked for."""
BOUNDS = {
    "gte": lambda made, bound: made >= bound,
    "gt": lambda made, bound: made > bound,
    "lte": lambda made, bound: made <= bound,
    "lt": lambda made, bound: made < bound,
}


class Refused(Exception):
    """What Stripe says of a request that it does not take."""

    def __init__(
        self,
        message: str,
        code: str | None = None,
        parameter: str | None = None,
        status: int = 400,
        kind: str = "invalid_request_error",
    ) -> None:
        super().__init__(message)
        self.message, self.code, self.parameter, self.status, self.kind = message, code, parameter, status, kind


class Finder(Protocol):
    """Where objects are found by their list and id."""

    def find(self, name: str, object_id: str) -> Object: ...


def view(shop: Finder, name: str, found: Object, query: Mapping[str, str]) -> Object:
    """A single object, expanded as asked."""
    _check(query, ("expand",))
    shown: Object = _shown(shop, found, _tree(name, query, ""), found["id"])
    return shown


def listed(
    shop: Finder,
    name: str,
    those: Sequence[Object],
    query: Mapping[str, str],
    url: str,
    filters: Sequence[str],
    cap: int | None,
) -> Object:
    """A page of a list: `those` in their order, filtered, after the cursor."""
    _check(query, ("created", "ending_before", "expand", "limit", "starting_after", *filters))
    tree, limit = _tree(name, query, "data."), int(query.get("limit", 10))
    if not 1 <= limit <= 100:
        raise Refused("This value must be between 1 and 100.", "parameter_invalid_integer", "limit")
    kept = [one for one in _filtered(name, those, query, filters)]
    ids = [one["id"] for one in those]
    if "starting_after" in query:
        after = set(ids[: _place(ids, query, "starting_after") + 1])
        kept = [one for one in kept if one["id"] not in after]
    if "ending_before" in query:
        before = set(ids[: _place(ids, query, "ending_before")])
        kept = [one for one in kept if one["id"] in before][-limit:]
    page = kept[: min(limit, cap or limit)]
    data = [_shown(shop, one, tree, one["id"]) for one in page]
    return {"object": "list", "url": url, "has_more": len(kept) > len(page), "data": data}


def _check(query: Mapping[str, str], known: Sequence[str]) -> None:
    for name in query:
        if name.split("[")[0] not in known:
            raise Refused(f"Received unknown parameter: {name}", "parameter_unknown", name)


def _place(ids: list[str], query: Mapping[str, str], cursor: str) -> int:
    if query[cursor] not in ids:
        raise Refused(f"No such object: '{query[cursor]}'", "resource_missing", cursor)
    return ids.index(query[cursor])


def _filtered(name: str, those: Sequence[Object], query: Mapping[str, str], filters: Sequence[str]) -> list[Object]:
    kept = list(those)
    for key, value in query.items():
        bound = re.fullmatch(r"created\[(\w+)\]", key)
        if bound:
            kept = [one for one in kept if BOUNDS[bound[1]](one["created"], int(value))]
        elif key in filters and key not in ("status", "subscription", "type"):
            kept = [one for one in kept if _id(one.get(key)) == value]
    types = {value for key, value in query.items() if key.startswith("types[")}
    if types:
        kept = [one for one in kept if one["type"] in types]
    if name == "subscriptions" and query.get("status") != "all":
        kept = [one for one in kept if one["status"] != "canceled"]
    return kept


def _tree(name: str, query: Mapping[str, str], prefix: str) -> Tree:
    """What is to be expanded, as a tree: {"customer": {"default_source": {}}}."""
    tree: Tree = {}
    for key, path in query.items():
        if not key.startswith("expand["):
            continue
        inner = path.removeprefix(prefix)
        if not path.startswith(prefix) or inner not in EXPANDABLE.get(name, ()):
            raise Refused(f"This property cannot be expanded ({path}).", parameter="expand")
        if path.count(".") > 3:
            raise Refused("You cannot expand more than 4 levels of a property.", parameter="expand")
        branch = tree
        for part in inner.split("."):
            branch = branch.setdefault(part, {})
    return tree


def _shown(shop: Finder, value: Any, tree: Tree, owner: str) -> Any:
    if isinstance(value, list):
        return [_shown(shop, one, tree, owner) for one in value]
    if not isinstance(value, dict):
        return value
    owner, shown = value.get("id", owner), {}
    for name, inner in value.items():
        if name in REFERENCES and _id(inner) is not None:
            whole = name in tree
            shown[name] = _shown(shop, _referred(shop, name, inner), tree[name], owner) if whole else _id(inner)
        elif name not in INCLUDABLE or name in tree:
            shown[name] = _cut(_shown(shop, inner, tree.get(name, {}), owner), name, owner)
    return shown


def _referred(shop: Finder, name: str, value: Any) -> Object:
    """What an id refers to; of what the account leaves out there is the id alone."""
    if isinstance(value, dict):
        return value
    try:
        return shop.find(REFERENCES[name], value)
    except Refused:
        return {"id": value}


def _cut(value: Any, name: str, owner: str) -> Any:
    if name not in URLS or not isinstance(value, dict) or value.get("object") != "list":
        return value
    data = value["data"]
    return value | {"data": data[:MOST_WITHIN], "has_more": len(data) > MOST_WITHIN, "url": URLS[name].format(id=owner)}


def _id(value: Any) -> Any:
    """An id, of a reference or of what is there itself."""
    return value.get("id") if isinstance(value, dict) else value
