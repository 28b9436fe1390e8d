"""Make daily metrics and entities of the raw rows that changed.

Trigger: Pub/Sub topics `source-synced` and `etl-requested` (push): works; HTTP (a person, Scheduler): answers 202.
Repeats: safe, because the days that changed are rebuilt from the views, and a row that is as it should be stays.
"""

import functions_framework
from flask import Request, Response

from shared.analytics.messages import EtlAsked, EtlRequested
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def run_etl(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.etl.work(call.message(EtlRequested))
        else:
            asked = clients.etl.ask(call.message(EtlAsked), clients.tenants.ids, call.caller.subject)
            call.accept(*asked.run_ids)
            call.outcome = asked
    return call.response
