"""Merge changelogs into the current tables that views read, and compact closed hours.

Trigger: Scheduler each minute (the tables whose `merge_every_seconds` have passed) and each hour (those too that were
never merged), Pub/Sub topic `merge-requested` (push), HTTP (a person): {"tenant_id"?, "force"?, "compact"?,
"discover"?}; an operator who names no tenant means all of them.
Repeats: safe, because the merge is idempotent and one worker at a time holds a table's lease.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.streaming.messages import MergeRequested


@functions_framework.http
def merge_changes(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        call.outcome = clients.merges.run(call.message(MergeRequested))
    return call.response
