"""Ask one source of a tenant whether it takes the credentials, and say what they open.

Trigger: HTTP (a person, Scheduler): answers what came of it; Pub/Sub topic `check-requested` (push): notes it.
Repeats: safe, because it reads one small thing and notes how the source does.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.sources.messages import CheckAsked, CheckRequested


@functions_framework.http
def check_source(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.checks.run(call.message(CheckRequested))
        else:
            asked = call.message(CheckAsked)
            account = clients.sync.check(asked.tenant_id, asked.source)
            call.outcome = {"source": asked.source, "state": "connected", "account": account}
    return call.response
