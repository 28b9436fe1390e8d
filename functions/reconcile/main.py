"""Compare Firestore with BigQuery, document by document, and repair what differs where that is asked for.

Trigger: Pub/Sub topic `reconcile-requested` (push): works on a slice and asks for the next; HTTP (a person, Scheduler
each day): answers 202. {"collection"?, "database"?, "repair"?, "tenant_id"?}; without a collection all there are.
Repeats: safe, because a slice goes on behind the cursor of the last one under the run's lease, differences have fixed
ids, and each is looked at again before it is repaired.
"""

import functions_framework
from flask import Request, Response

from shared.comparison.messages import ReconcileAsked, ReconcileRequested
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def reconcile(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.reconciler.work(call.message(ReconcileRequested))
        else:
            asked = clients.reconciler.ask(call.message(ReconcileAsked), clients.tenants.ids, call.caller.subject)
            call.accept(*asked.run_ids)
            call.outcome = asked
    return call.response
