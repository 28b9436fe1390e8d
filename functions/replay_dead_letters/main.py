"""Deliver again what was set aside, once its cause is mended.

Trigger: HTTP (a person): {"tenant_id"?, "reason"?, "function"?, "since"?, "until"?, "limit"?}, answers 202; Pub/Sub
topic `replay-requested` (push): works, a slice at a time. An operator who names no tenant means all letters.
Repeats: safe, because a letter is settled once what it tells of is durable, and a settled one is not found again; a
crash in between delivers an event once more, which every function stands.
"""

import functions_framework
from flask import Request, Response

from shared.ops.messages import ReplayAsked, ReplayRequested
from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation


@functions_framework.http
def replay_dead_letters(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        if call.pushed:
            call.outcome = clients.replay.work(call.message(ReplayRequested))
        else:
            call.accept(clients.replay.ask(call.message(ReplayAsked), call.caller.subject))
    return call.response
