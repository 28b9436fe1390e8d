"""Stripe's API through its official client: one account's, patiently, its refusals in Scout's words."""

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import stripe

from shared.adapters.rest import CALL_SECONDS, PATIENCE_SECONDS, Later, given_up, patiently, retry_after
from shared.errors import CredentialsRefused, Rejected, Unavailable
from shared.sources.deadline import seconds_left

VERSION = "2026-10-28.endive"
"""The version of the API that objects are read in, whatever the account's own is."""
PER_PAGE = 100
"""The longest page that Stripe gives."""
PERMISSION = re.compile(r"\brak_\w+")

Given = Mapping[str, Any]
T = TypeVar("T")


class Missing(Rejected):
    """There is no such object: what `parameter` names, or else what the path does."""

    @property
    def parameter(self) -> str | None:
        """The parameter that named it."""
        return self.fields.get("parameter")


class StripeApi:
    """The API as one key sees it; with an account, as that account of the key's platform or organisation.

    Raises CredentialsRefused (401, 403), Missing, Rejected (what else it refuses for good), or Unavailable once trying
    again would last longer than `patience_seconds`.
    """

    def __init__(
        self,
        endpoint: str,
        key: str,
        account: str | None = None,
        patience_seconds: float = PATIENCE_SECONDS,
        call_seconds: float = CALL_SECONDS,
    ) -> None:
        self._patience_seconds = patience_seconds
        self._client = stripe.StripeClient(
            key.strip(),
            stripe_account=account,
            stripe_version=VERSION,
            base_addresses={"api": endpoint},
            # It would not try again after a 429, nor heed Retry-After.
            max_network_retries=0,
            http_client=stripe.RequestsClient(timeout=seconds_left(call_seconds)),
        )

    def get(self, path: str, **parameters: Any) -> Given:
        """What is at a path."""
        return self._ask(path, lambda: self._once(path, parameters))

    def find(self, path: str, name: str, **parameters: Any) -> Given | None:
        """One object of a list, by its id; None where there is none, or none any more."""
        try:
            found = self.get(f"{path}/{quote(name, safe='')}", **parameters)
        except Missing:
            return None
        return None if found.get("deleted") else found

    def page(self, path: str, **parameters: Any) -> tuple[list[Given], bool]:
        """The next page of a list after `starting_after`, and whether there are more."""
        return self._ask(path, lambda: self._page(path, {"limit": PER_PAGE, **parameters}))

    def every(self, path: str, **parameters: Any) -> Iterator[Given]:
        """All that a list has; nothing where what it belongs to, or is narrowed to, is gone."""
        more = True
        while more:
            try:
                found, more = self.page(path, **parameters)
            except Missing as error:
                if error.parameter != "starting_after":
                    return
                # Its last object was deleted meanwhile: what comes after it would be lost.
                raise Unavailable("Stripe's list changed while it was read", resource=resource(path)) from error
            yield from found
            if found:
                parameters["starting_after"] = found[-1]["id"]

    def _ask(self, path: str, ask: Callable[[], T]) -> T:
        try:
            return patiently(ask, self._patience_seconds)
        except Later as error:
            raise given_up("Stripe", error, resource=resource(path)) from error

    def _page(self, path: str, parameters: Given) -> tuple[list[Given], bool]:
        answer = self._once(path, parameters)
        found, more = answer["data"], answer["has_more"]
        if more and (not found or found[-1]["id"] == parameters.get("starting_after")):
            # The page before once more, or none: to go on from here would never end.
            raise Later("the page leads nowhere")
        return found, more

    def _once(self, path: str, parameters: Given) -> Any:
        try:
            return self._client.raw_request("get", path, **parameters).data
        except stripe.StripeError as error:
            # Without the error itself, which carries the answer: it may be about people.
            raise _refusal(error, path) from None


def resource(path: str) -> str:
    """What a path is about: `charges`, or `payment_methods` of a customer."""
    parts = path.split("?")[0].strip("/").split("/")
    return parts[3] if len(parts) > 3 else parts[1]


def _refusal(error: stripe.StripeError, path: str) -> Exception:
    status, headers = error.http_status, error.headers or {}
    # The client leaves the code out of some of its errors.
    code = error.error.code if error.error else None
    said = {"resource": resource(path), "status_given": status} | ({"reason_given": code} if code else {})
    if isinstance(error, stripe.AuthenticationError):
        return CredentialsRefused("Stripe does not take the key", **said)
    if isinstance(error, stripe.PermissionError):
        permission = PERMISSION.search(error.user_message or "")
        needs = {"permission": permission[0]} if permission else {}
        return CredentialsRefused(f"Stripe's key may not read {said['resource']}", **said, **needs)
    if isinstance(error, stripe.RateLimitError | stripe.APIConnectionError) or _passes(error):
        return Later(f"HTTP {status}" if status else type(error).__name__, retry_after(headers))
    parameter = getattr(error, "param", None)
    if code == "resource_missing":
        return Missing("Stripe has no such object", **said, parameter=parameter)
    return Rejected("Stripe refused the request", **said, parameter=parameter)


def _passes(error: stripe.StripeError) -> bool:
    """Stripe's own errors, a conflict with somebody else's request, and what is no answer of the API's at all."""
    status = error.http_status
    return isinstance(error, stripe.APIError) and (
        status is None or status < 300 or status in (409, 429) or status >= 500
    )
