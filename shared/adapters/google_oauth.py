"""Google accounts that gave access: their refresh tokens are exchanged for access tokens, each kept until it ends.

https://developers.google.com/identity/protocols/oauth2/web-server#offline
"""

import time
from collections.abc import Callable, Generator
from typing import Any

import httpx
from pydantic import BaseModel, Field, ValidationError

from shared.adapters.rest import PATIENCE_SECONDS, Reason, Rest
from shared.errors import CredentialsRefused, Rejected, Unavailable

MARGIN_SECONDS = 60.0
"""A token that ends sooner is exchanged already: it has to last for the request."""


class Account(BaseModel, frozen=True):
    """What Secret Manager holds of one account, as JSON; what else the JSON holds is of no use here."""

    client_id: str = Field(min_length=1, repr=False)
    client_secret: str = Field(min_length=1, repr=False)
    refresh_token: str = Field(min_length=1, repr=False)

    @classmethod
    def read(cls, credentials: str) -> "Account":
        """An account from its JSON; CredentialsRefused, naming fields and never their values, where it is none."""
        try:
            return cls.model_validate_json(credentials)
        except ValidationError as error:
            wrong = sorted({".".join(map(str, one["loc"])) for one in error.errors()} - {""})
            raise CredentialsRefused(
                "the credentials cannot be read",
                expected=f"JSON: {', '.join(cls.model_fields)}",
                fields_wrong=wrong,
            ) from None


class GoogleOAuth:
    """The access tokens of accounts; a process keeps them for all its tenants."""

    def __init__(
        self,
        endpoint: str,
        patience_seconds: float = PATIENCE_SECONDS,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._endpoint = endpoint
        self._rest = Rest("Google's sign-in", endpoint, {}, reason=_reason, patience_seconds=patience_seconds)
        self._clock = clock
        self._tokens: dict[Account, tuple[str, float]] = {}

    def auth(self, credentials: str) -> httpx.Auth:
        """What makes a request one of the account. CredentialsRefused where Google takes the account no more."""
        return _Bearer(self, Account.read(credentials))

    def token(self, account: Account) -> str:
        """The account's access token: the one that is kept, or a new one."""
        token, ends_at = self._tokens.get(account, ("", 0.0))
        if self._clock() < ends_at - MARGIN_SECONDS:
            return token
        asked_at = self._clock()
        answer = self._exchange(account)
        try:
            token, lasts = str(answer["access_token"]), float(answer["expires_in"])
        except (KeyError, TypeError, ValueError) as error:
            raise Unavailable("Google's sign-in gave no token", cause=type(error).__name__) from error
        self._tokens[account] = token, asked_at + lasts
        return token

    def forget(self, account: Account) -> None:
        """The account's token is good no more, whatever was said about its end."""
        self._tokens.pop(account, None)

    def _exchange(self, account: Account) -> Any:
        try:
            return self._rest.post_form(self._endpoint, account.model_dump() | {"grant_type": "refresh_token"})
        except CredentialsRefused:
            raise
        except Rejected as error:
            # 400 invalid_grant: revoked, expired, or of another client. The request holds nothing but credentials.
            said = {name: error.fields[name] for name in ("status_given", "reason_given") if name in error.fields}
            raise CredentialsRefused("Google's sign-in refused the credentials", **said) from None


class _Bearer(httpx.Auth):
    def __init__(self, accounts: GoogleOAuth, account: Account) -> None:
        self._accounts = accounts
        self._account = account

    def sync_auth_flow(self, request: httpx.Request) -> Generator[httpx.Request, httpx.Response, None]:
        request.headers["authorization"] = f"Bearer {self._accounts.token(self._account)}"
        answer = yield request
        if answer.status_code == httpx.codes.UNAUTHORIZED:
            # Ended before its time: whether the account still lets us in, a new one tells.
            self._accounts.forget(self._account)
            request.headers["authorization"] = f"Bearer {self._accounts.token(self._account)}"
            yield request


def _reason(body: Any) -> Reason:
    code = body.get("error") if isinstance(body, dict) else None
    return Reason(code=code if isinstance(code, str) else None)
