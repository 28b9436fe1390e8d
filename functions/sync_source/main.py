"""Pull one source since its cursor into Firestore's raw collections.

Trigger: HTTP (a person, Scheduler): answers 202 and publishes; Pub/Sub topic `sync-requested` (push): works.
Repeats: safe, because a row's document id is made of its day and dimensions, and a slice is worked once.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.sources.messages import SyncAsked, SyncRequested


@functions_framework.http
def sync_source(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.sync.run(call.message(SyncRequested))
        else:
            asked = clients.sync.ask(call.message(SyncAsked), call.caller.subject)
            call.accept(*asked.run_ids)
            call.outcome = asked
    return call.response
