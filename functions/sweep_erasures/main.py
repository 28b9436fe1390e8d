"""Erase again what arrived late of documents and tenants that were erased, until nothing can arrive any more.

Trigger: Scheduler each hour; HTTP (an operator): {}. Erasing itself is asked for by `scout erase`.
Repeats: safe, because what is erased already is not there to be erased again.
"""

import functions_framework
from flask import Request, Response

from shared.erasure.messages import ErasureSweepRequested
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def sweep_erasures(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        call.message(ErasureSweepRequested)
        call.outcome = clients.erasures.sweep(call.caller.operator)
    return call.response
