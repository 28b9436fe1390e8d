"""Every error that Scout raises on purpose.

The tree answers the only question that a trigger asks: is it worth trying again?

    AppError(message, **fields)
      Rejected       will always fail: set aside with its event and reason, acknowledge
        BadRequest           422  a field is missing or wrong
        Unauthenticated      401  no token, or one that does not verify
        Forbidden            403  a token of somebody else
        UnknownTenant        404  no such tenant
        TooLarge             413  a body above the limit
        CredentialsRefused        a source that takes the tenant's credentials no more
        TenantNotProvisioned      a document of a tenant that has no tables yet
        RetriesExhausted          Unavailable, or a bug, until shortly before the trigger gives up
      Unavailable    503  may work later: raise, so that the trigger retries
        NotNow       503  the service is well, but cannot do this one thing just now
    (anything else)  a bug: raised and retried until it is mended or its time is up; its log line says ERROR
"""

from typing import Any


class AppError(Exception):
    """An error with a sentence for people and fields for machines."""

    status = 500

    def __init__(self, message: str, **fields: Any) -> None:
        super().__init__(message)
        self.message = message
        self.fields = fields

    @property
    def reason(self) -> str:
        """The error's name: what dead letters and problem documents carry as `reason` and `title`."""
        return type(self).__name__


class Rejected(AppError):
    """Will always fail; trying again is waste."""

    status = 422


class BadRequest(Rejected):
    """A field is missing, of the wrong type or out of range; `errors` lists each with what was expected."""

    status = 422


class Unauthenticated(Rejected):
    """No token, or one that does not verify."""

    status = 401


class Forbidden(Rejected):
    """The caller is known, and may not do this."""

    status = 403


class UnknownTenant(Rejected):
    """No tenant of that name is provisioned."""

    status = 404


class NotFound(Rejected):
    """What was asked for does not exist."""

    status = 404


class TooLarge(Rejected):
    """The body is above the limit."""

    status = 413


class CredentialsRefused(Rejected):
    """A source does not take the tenant's credentials: they were revoked, have expired, or may not read this."""


class TenantNotProvisioned(Rejected):
    """A document of a tenant whose tables do not exist; replays once they do."""


class RetriesExhausted(Rejected):
    """Tried until shortly before the trigger gives up; `cause` is the last error. Replays once that is over."""


class Unavailable(AppError):
    """May work later: the trigger retries."""

    status = 503


class NotNow(Unavailable):
    """The service answered, but somebody else is at this very thing, or it is not ready; other calls are well."""
