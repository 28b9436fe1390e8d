"""ActiveCampaign over the sample: lists, single objects, what belongs to them, one report of its API's first version.

Answers as https://developers.activecampaign.com/reference/overview says: 20 rows unless a limit is given, 100 at most,
the total as text beside them. Beneath /{account}, as the real one has a host of each account.
"""

from collections.abc import Callable
from datetime import date
from typing import Any

from aiohttp import web

from infra.local.sample.activecampaign import objects as sample
from infra.local.vendors.server import page_cap

NAME = "activecampaign"
ACCOUNT, TOKEN = "sample", "sample-token"
USUAL_ROWS, MOST_ROWS = 20, 100
BELONGS = {"contactLists": "contact", "campaignLists": "campaignid"}
"""What can be asked for beside a list -> the field that says to which of its rows it belongs."""
WITHIN = {("campaigns", "links"): ("links", "campaign"), ("automations", "blocks"): ("automationBlocks", "automation")}
"""What each of some objects has lists of."""
SAYS = {
    401: "You must provide a valid API token.",
    402: "This account is not paid for.",
    403: "You do not have permission to access this resource.",
    404: "No Result found for this request.",
    429: "Rate limit exceeded.",
    500: "An unexpected error occurred.",
    503: "The service is temporarily unavailable.",
}

Row = dict[str, Any]


def routes(today: date) -> list[web.RouteDef]:
    return Account(sample(today)).routes(today)


def error(status: int) -> web.Response:
    return web.json_response({"message": SAYS.get(status, "The request could not be processed.")}, status=status)


class Account:
    """One account, its objects by the name of their list; what is done to them shows in the next answer.

    totals: what a list is said to hold, where that is not what it does. reports: whether the first version is open.
    filters: whether it heeds by which ids objects are asked for.
    """

    NAME = NAME
    error = staticmethod(error)

    def __init__(self, objects: dict[str, list[Row]]) -> None:
        self.objects = {name: list(rows) for name, rows in objects.items()}
        self.totals: dict[str, str] = {}
        self.reports = True
        self.filters = True

    def routes(self, today: date) -> list[web.RouteDef]:
        root = "/{account}/api/3"
        return [
            web.get(f"{root}/users/me", self._open(self._user)),
            web.get(f"{root}/{{list}}", self._open(self._list)),
            web.get(f"{root}/{{list}}/{{id}}", self._open(self._one)),
            web.get(f"{root}/{{list}}/{{id}}/{{within}}", self._open(self._within)),
            web.post("/{account}/admin/api.php", self._report),
        ]

    def _open(self, handler: Callable[[web.Request], web.Response]) -> Callable[[web.Request], Any]:
        async def answer(request: web.Request) -> web.Response:
            if request.match_info["account"] != ACCOUNT:
                return error(404)
            return handler(request) if request.headers.get("Api-Token") == TOKEN else error(401)

        return answer

    def _user(self, request: web.Request) -> web.Response:
        return web.json_response({"user": {"id": "1", "username": "admin", "email": "admin@example.com"}})

    def _list(self, request: web.Request) -> web.Response:
        name = request.match_info["list"]
        if name not in self.objects:
            return error(404)
        ids = request.query.getall("ids[]", []) if self.filters else []
        return self._answer(name, [row for row in self.objects[name] if not ids or row["id"] in ids], request)

    def _answer(self, name: str, those: list[Row], request: web.Request) -> web.Response:
        asked, rows = request.query, list(those)
        if asked.get("orders[id]") == "ASC":
            rows.sort(key=lambda row: int(row["id"]))
        total = self.totals.get(name, str(len(rows)))
        rows = [row for row in rows if int(row["id"]) > int(asked.get("id_greater", "0"))]
        offset, limit = int(asked.get("offset", "0")), min(int(asked.get("limit", USUAL_ROWS)), MOST_ROWS)
        page = rows[offset : offset + min(limit, page_cap(request) or limit)]
        return web.json_response({**self._beside(page, asked), name: _shown(page), "meta": {"total": total}})

    def _one(self, request: web.Request) -> web.Response:
        name = request.match_info["list"]
        row = self._find(name, request.match_info["id"])
        if row is None:
            return error(404)
        return web.json_response({**self._beside([row], request.query), name[:-1]: _shown([row])[0]})

    def _within(self, request: web.Request) -> web.Response:
        within, owner = request.match_info["within"], request.match_info["id"]
        found = WITHIN.get((request.match_info["list"], within))
        if found is None or self._find(request.match_info["list"], owner) is None:
            return error(404)
        name, field = found
        rows = [row for row in self.objects.get(name, []) if str(row[field]) == owner]
        return self._answer(name, rows, request)

    async def _report(self, request: web.Request) -> web.Response:
        """The first version: always HTTP 200, the key in the request, `result_code` says whether it went well."""
        if not self.reports:
            return error(403)
        form = await request.post()
        row = self._find("campaigns", request.query.get("campaignid", ""))
        report = REPORTS.get(request.query.get("api_action", ""))
        told = report(row, request) if row is not None and report is not None else {}
        if form.get("api_key") != TOKEN or not told:
            return web.json_response({"result_code": 0, "result_message": "Failed: Nothing is returned"})
        return web.json_response({"result_code": 1, "result_message": "Success: Something is returned", **told})

    def _find(self, name: str, object_id: str) -> Row | None:
        return next((row for row in self.objects.get(name, []) if row["id"] == object_id), None)

    def _beside(self, page: list[Row], asked: Any) -> dict[str, list[Row]]:
        beside: dict[str, list[Row]] = {}
        ids = {row["id"] for row in page}
        for name in filter(None, asked.get("include", "").split(",")):
            field = BELONGS[name]
            beside[name] = _shown([row for row in self.objects.get(name, []) if row[field] in ids])
        return beside


def _unsubscriptions(row: Row, request: web.Request) -> Row:
    return {"unsubscribes": row["unsubscribes"], "spam_complaints": row.get("_complaints", "0")}


def _opens(row: Row, request: web.Request) -> Row:
    """Numbered, as this version tells its lists."""
    openers = row.get("_openers", [])
    cap = page_cap(request) or len(openers)
    first = cap * (int(request.query.get("page", "1")) - 1)
    return {
        str(number): {"subscriberid": contact, "tstamp": row["sdate"], "times": "1"}
        for number, contact in enumerate(openers[first : first + cap])
    }


REPORTS: dict[str, Callable[[Row, web.Request], Row]] = {
    "campaign_report_unsubscription_totals": _unsubscriptions,
    "campaign_report_open_list": _opens,
}


def _shown(rows: list[Row]) -> list[Row]:
    """Without what the account knows and this API does not tell."""
    return [{field: value for field, value in row.items() if not field.startswith("_")} for row in rows]
