"""Copy what a collection already holds into BigQuery, beside the live stream.

Trigger: HTTP (a person): {"collection", "database"?, "since"?, "field"?, "slices"?, "dry_run"?, "tenant_id"?}; with
`dry_run` the estimate, else 202; a tenant names collections of its own only. Pub/Sub topic `backfill-requested`
(push): works on a run for some minutes and asks for the next turn.
Repeats: safe, because slices that are done are noted, streams are committed once, and rows carry their write's version.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.streaming.messages import BackfillAsked, BackfillRequested


@functions_framework.http
def backfill(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.backfills.go_on(call.message(BackfillRequested))
        else:
            asked = call.message(BackfillAsked)
            call.outcome = clients.backfills.ask(asked, call.caller.subject)
            if not asked.dry_run:
                call.accept(call.outcome.run_id)
    return call.response
