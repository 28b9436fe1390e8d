"""Google's token endpoint: exchanges the sample's refresh token for access tokens, and says invalid_grant to others.

https://developers.google.com/identity/protocols/oauth2/web-server#offline
"""

from datetime import date

from aiohttp import web

NAME = "google_oauth"
CLIENT_ID, CLIENT_SECRET, REFRESH_TOKEN = "sample-client", "sample-secret", "sample-refresh-token"
ACCESS_TOKEN = "sample-access-token"  # noqa: S105 - opens the sample alone
LASTS_SECONDS = 3599

SAYS = {
    400: ("invalid_grant", "Token has been expired or revoked."),
    401: ("invalid_client", "The OAuth client was not found."),
    403: ("org_internal", "This client is restricted to users within its organization."),
    429: ("rate_limit_exceeded", "Rate Limit Exceeded"),
    500: ("internal_failure", "Internal error."),
    503: ("temporarily_unavailable", "The server is temporarily unable to handle the request."),
}


def routes(today: date) -> list[web.RouteDef]:
    return [web.post("/token", exchange)]


def error(status: int) -> web.Response:
    """As OAuth 2.0 answers, RFC 6749, section 5.2."""
    code, words = SAYS.get(status, ("invalid_request", "Bad request."))
    return web.json_response({"error": code, "error_description": words}, status=status)


def is_signed_in(request: web.Request) -> bool:
    """True where a request of another vendor of Google's carries an access token that was given here."""
    return request.headers.get("Authorization") == f"Bearer {ACCESS_TOKEN}"


async def exchange(request: web.Request) -> web.Response:
    form = await request.post()
    if form.get("grant_type") != "refresh_token":
        return web.json_response({"error": "unsupported_grant_type"}, status=400)
    if (form.get("client_id"), form.get("client_secret")) != (CLIENT_ID, CLIENT_SECRET):
        return error(401)
    if form.get("refresh_token") != REFRESH_TOKEN:
        return error(400)
    return web.json_response({"access_token": ACCESS_TOKEN, "expires_in": LASTS_SECONDS, "token_type": "Bearer"})
