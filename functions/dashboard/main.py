"""Show opportunities as they change, and take what people decide about them.

Trigger: HTTP (a browser). Events stream to the page, so it runs on the asynchronous server.
Repeats: safe, because the same decision again changes nothing, and everything else only reads.
"""

from functools import cache
from pathlib import Path

import functions_framework.aio
from starlette.requests import Request
from starlette.types import ASGIApp

from shared.dashboard.site import site
from shared.runtime.clients import connect


@functions_framework.aio.http
async def dashboard(request: Request) -> ASGIApp:
    return application()


@cache
def application() -> ASGIApp:
    # The framework awaits whatever is returned as the answer: an application with routes of its own will do.
    return site(connect(), Path(__file__).parent)
