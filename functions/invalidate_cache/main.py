"""Forget cached answers: a scope, the keys of a pattern, or both.

Trigger: HTTP (a person), or Pub/Sub topic `cache-invalidation-requested` (push).
Repeats: safe, because what is forgotten is simply loaded again.
"""

import functions_framework
from flask import Request, Response

from shared.caches.messages import CacheInvalidationRequested
from shared.caches.service import Invalidation
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def invalidate_cache(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        asked = call.message(CacheInvalidationRequested)
        call.outcome = Invalidation(clients.cache, clients.tenants.ids).run(asked, call.caller.operator)
    return call.response
