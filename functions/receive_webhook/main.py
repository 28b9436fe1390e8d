"""Take what a vendor says has changed, fetch it, and write it to the same raw collections as a sync.

Trigger: HTTP (a vendor): POST /<source>/<tenant_id>, signed with the tenant's webhook secret.
Repeats: safe, because a delivery only tells which object to fetch, and what was asked for later stays.
"""

import functions_framework
from flask import Request, Response

from shared.runtime.clients import Clients, connect
from shared.runtime.invocation import invocation
from shared.sources.webhook import Delivery


@functions_framework.http
def receive_webhook(request: Request) -> Response:
    return handle(request, connect())


def handle(request: Request, clients: Clients) -> Response:
    with invocation(request, clients) as call:
        delivery = Delivery(call.raw(), {name.lower(): value for name, value in request.headers}, request.args)
        source, _, tenant_id = request.path.strip("/").partition("/")
        call.outcome = clients.webhooks.receive(tenant_id, source, delivery)
    return call.response
