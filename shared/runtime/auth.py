"""Who calls: tokens verified by issuer, audience and key, all from settings.

A tenant's token carries `tenant_id`. An operator's token (Scheduler, Pub/Sub's service account, an engineer)
is one whose verified e-mail address the issuer's setting lists; only an operator may name a tenant.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

from shared.errors import BadRequest, Forbidden, Unauthenticated, Unavailable
from shared.settings import TokenIssuer

LEEWAY_SECONDS = 30


@dataclass(frozen=True)
class Caller:
    """Somebody whose token verified."""

    subject: str
    tenant_id: str | None
    operator: bool

    def tenant(self, named: str | None) -> str:
        """The tenant this call is for: the token's, or, for an operator, the one that the body names."""
        if self.operator:
            if not named:
                raise BadRequest("tenant_id is missing", errors=[{"field": "tenant_id", "expected": "the tenant's id"}])
            return named
        if self.tenant_id is None:
            raise Forbidden("the token names no tenant", expected="a tenant_id claim, or an operator's token")
        if named and named != self.tenant_id:
            raise Forbidden("the token is of another tenant", field="tenant_id")
        return self.tenant_id


class Verifier:
    """Verifies bearer tokens; keys are fetched once and kept."""

    def __init__(self, issuers: Sequence[TokenIssuer]) -> None:
        self._issuers = {issuer.issuer: issuer for issuer in issuers}

    def verify(self, authorization: str | None) -> Caller:
        """The caller behind an `Authorization` header; Unauthenticated says what is wrong with it."""
        scheme, _, token = (authorization or "").partition(" ")
        if scheme.lower() != "bearer" or not token:
            raise Unauthenticated("no token", expected="Authorization: Bearer <token>")
        return self.verify_token(token.strip())

    def verify_token(self, token: str) -> Caller:
        """The caller behind a token; Unauthenticated says what is wrong with it."""
        import jwt

        try:
            unverified = jwt.decode(token, options={"verify_signature": False})
            issuer = self._issuers.get(str(unverified.get("iss", "")))
            if issuer is None:
                raise Unauthenticated("the token's issuer is not accepted")
            claims = jwt.decode(
                token,
                self._keys[issuer.issuer].get_signing_key_from_jwt(token).key,
                algorithms=["RS256", "ES256"],
                audience=issuer.audience,
                issuer=issuer.issuer,
                leeway=LEEWAY_SECONDS,
                options={"require": ["exp", "iss", "aud"]},
            )
        except jwt.PyJWKClientConnectionError as error:
            raise Unavailable("the issuer's keys cannot be fetched") from error
        except jwt.ExpiredSignatureError as error:
            raise Unauthenticated("the token has expired") from error
        except jwt.PyJWTError as error:
            raise Unauthenticated("the token does not verify") from error
        email = str(claims.get("email", ""))
        # Google sets email_verified on service accounts' tokens; an address nobody verified is no operator.
        operator = email in issuer.operators and claims.get("email_verified") is True
        tenant = claims.get("tenant_id")
        return Caller(
            subject=email or str(claims.get("sub", "")),
            tenant_id=str(tenant) if tenant else None,
            operator=operator,
        )

    @cached_property
    def _keys(self) -> "dict[str, jwt.PyJWKClient]":  # type: ignore[name-defined]  # noqa: F821
        import jwt

        return {
            issuer.issuer: jwt.PyJWKClient(issuer.jwks_url, cache_keys=True, lifespan=3600)
            for issuer in self._issuers.values()
        }
