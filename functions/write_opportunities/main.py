"""Write the opportunities of a finished detector run to Firestore, and measure those completed long enough ago.

Trigger: Pub/Sub topic `detector-run-finished` (push), or a POST of the same message.
Repeats: safe, because an opportunity's id comes from what was found, and a run that has judged it changes nothing;
an outcome is written once.
"""

import functions_framework
from flask import Request, Response

from shared.detectors.messages import DetectorRunFinished
from shared.opportunities.service import OpportunityWriter
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def write_opportunities(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        message = call.message(DetectorRunFinished)
        writer = OpportunityWriter(clients.documents, clients.ops, clients.warehouse, clients.progress)
        call.outcome = writer.write(message)
    return call.response
