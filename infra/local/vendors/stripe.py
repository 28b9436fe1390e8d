"""Stripe over the sample: lists, single objects, events and the account, for the key of the sample.

Answers as https://docs.stripe.com/api says: newest first, after a cursor, references as ids unless they are expanded.
What Stripe would refuse (a parameter or an expansion that there is not, a cursor of nothing) is refused here, too.
"""

from collections.abc import Callable
from datetime import date
from functools import partial
from typing import Any

from aiohttp import web

from infra.local.sample.stripe import objects as sample
from infra.local.vendors.server import page_cap
from infra.local.vendors.stripe_view import Object, Refused, listed, view

NAME = "stripe"
KEY = "sk_test_sample"
LISTS = {
    "charges": ("customer", "payment_intent"),
    "refunds": ("charge", "payment_intent"),
    "disputes": ("charge", "payment_intent"),
    "customers": ("email",),
    "prices": ("active", "product", "type"),
    "products": ("active",),
    "subscriptions": ("customer", "price", "status"),
    "invoices": ("customer", "subscription", "status"),
    "events": ("type", "types"),
    "payment_methods": ("customer", "type"),
    "payment_intents": ("customer",),
}
"""What each list can be filtered by, besides `created`."""
ACCOUNT = {
    "id": "acct_sample",
    "object": "account",
    "country": "US",
    "default_currency": "usd",
    "settings": {"dashboard": {"display_name": "Google Merchandise Store", "timezone": "Etc/UTC"}},
}

SAYS = {
    401: ("invalid_request_error", "api_key_invalid", "Invalid API Key provided: sk_test_*****rong"),
    403: (
        "invalid_request_error",
        None,
        "The provided key 'rk_test_*****mple' does not have the required permissions for this endpoint on account "
        "'acct_sample'. Having the 'rak_sample_read' permission would allow this request to continue.",
    ),
    404: ("invalid_request_error", "resource_missing", "No such object"),
    429: ("invalid_request_error", "rate_limit", "Request rate limit exceeded."),
    500: ("api_error", None, "An unknown error occurred"),
    503: ("api_error", None, "Stripe is temporarily unavailable"),
}


def routes(today: date) -> list[web.RouteDef]:
    return Shop(sample(today)).routes(today)


def error(status: int) -> web.Response:
    """As Stripe answers: https://docs.stripe.com/api/errors."""
    kind, code, words = SAYS.get(status, ("invalid_request_error", None, "Bad request."))
    return _refused(Refused(words, code, status=status, kind=kind))


class Shop:
    """One account, its objects by the name of their list, oldest first; what is done to them shows in the next answer.

    A deleted object stays, with `deleted`, as Stripe tells of it: lists have it no more.
    """

    NAME = NAME
    error = staticmethod(error)

    def __init__(self, objects: dict[str, list[Object]]) -> None:
        self.objects = objects

    def routes(self, today: date) -> list[web.RouteDef]:
        return [
            web.get("/v1/account", _answering(lambda request: ACCOUNT)),
            web.get("/v1/customers/{id}/payment_methods", _answering(self._methods)),
            web.get("/v1/invoices/{id}/lines", _answering(partial(self._within, "invoices", ("lines",)))),
            web.get("/v1/subscription_items", _answering(self._items)),
            web.get(
                "/v1/payment_intents/{id}/amount_details_line_items",
                _answering(partial(self._within, "payment_intents", ("amount_details", "line_items"))),
            ),
            *(web.get(f"/v1/{name}", _answering(partial(self._list, name))) for name in LISTS),
            *(web.get(f"/v1/{name}/{{id}}", _answering(partial(self._one, name))) for name in LISTS),
        ]

    def find(self, name: str, object_id: str) -> Object:
        """An object of a list; Refused as where there is none."""
        for found in self.objects.get(name, []):
            if found["id"] == object_id:
                return found
        raise Refused(f"No such {name[:-1]}: '{object_id}'", "resource_missing", parameter="id", status=404)

    def there(self, name: str, object_id: str, parameter: str) -> Object:
        """An object that is not deleted; Refused as where a parameter names one that is."""
        found = self.find(name, object_id)
        if found.get("deleted"):
            raise Refused(f"No such {name[:-1]}: '{object_id}'", "resource_missing", parameter, status=404)
        return found

    def _list(self, name: str, request: web.Request) -> Object:
        if "product" in request.query:
            self.there("products", request.query["product"], "product")
        there = [one for one in reversed(self.objects.get(name, [])) if not one.get("deleted")]
        those = sorted(there, key=lambda one: int(one["created"]), reverse=True)
        return listed(self, name, those, request.query, f"/v1/{name}", LISTS[name], page_cap(request))

    def _one(self, name: str, request: web.Request) -> Object:
        return view(self, name, self.find(name, request.match_info["id"]), request.query)

    def _methods(self, request: web.Request) -> Object:
        customer = self.there("customers", request.match_info["id"], "customer")["id"]
        those = [one for one in self.objects.get("payment_methods", []) if one.get("customer") == customer]
        return listed(self, "payment_methods", those, request.query, request.path, (), page_cap(request))

    def _items(self, request: web.Request) -> Object:
        of = self.find("subscriptions", request.query.get("subscription", ""))
        those, path = of["items"]["data"], f"{request.path}?subscription={of['id']}"
        return listed(self, "subscription_items", those, request.query, path, ("subscription",), page_cap(request))

    def _within(self, name: str, where: tuple[str, ...], request: web.Request) -> Object:
        found: Any = self.find(name, request.match_info["id"])
        for field in where:
            found = found[field]
        return listed(self, "lines", found["data"], request.query, request.path, (), page_cap(request))


def _answering(answer: Callable[[web.Request], Object]) -> Callable[[web.Request], Any]:
    async def handle(request: web.Request) -> web.Response:
        if request.headers.get("Authorization") != f"Bearer {KEY}":
            return error(401)
        try:
            return web.json_response(answer(request))
        except Refused as refused:
            return _refused(refused)

    return handle


def _refused(refused: Refused) -> web.Response:
    said = {"type": refused.kind, "code": refused.code, "param": refused.parameter, "message": refused.message}
    return web.json_response(
        {"error": {name: value for name, value in said.items() if value is not None}}, status=refused.status
    )
