"""Merge changelogs into the current tables that views read, and compact closed hours.

Trigger: Scheduler each minute (a table is merged once its own `merge_every_seconds` have passed), Pub/Sub topic
`merge-requested` (push), HTTP (a person): {"tenant_id"?, "force"?, "compact"?}; an operator who names no tenant
means all of them.
Repeats: safe, because the merge is idempotent and one worker at a time holds a table's lease.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.streaming.merge_all import merge_all
from shared.streaming.messages import MergeRequested


@functions_framework.http
def merge_changes(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        call.outcome = merge_all(call.message(MergeRequested), clients.tenants, clients.merger)
    return call.response
