"""Run the catalogue of detectors for one tenant; what they find goes to `detector_findings`.

Trigger: Pub/Sub topics `etl-finished` and `detectors-requested` (push): works; HTTP (a person): answers 202, or
explains a detector.
Repeats: safe, because a run's id and day come from what asked for it, and the run replaces its own findings.
"""

import functions_framework
from flask import Request, Response

from shared.detectors.messages import DetectorsAsked, DetectorsRequested
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def run_detectors(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.detectors.work(call.message(DetectorsRequested), call.envelope.subscription)
        elif (asked := call.message(DetectorsAsked)).explain is not None:
            call.outcome = clients.detectors.explain(asked)
        else:
            call.outcome = clients.detectors.ask(asked, call.caller.subject)
            call.accept(*call.outcome.run_ids)
    return call.response
