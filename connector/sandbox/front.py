"""The front of the practice HubSpot: faults, tokens, scopes and limits first, then the route; everything is counted.

What comes back is a reply that the server carries out, which may also be to hang or to cut the connection.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from email.utils import formatdate
from functools import lru_cache
from urllib.parse import parse_qsl, unquote

import orjson

from connector.sandbox.calls import CallLog, LoggedCall
from connector.sandbox.control_routes import Control
from connector.sandbox.exchange import Answer, Call
from connector.sandbox.faults import Fault, Faults, missing_scope
from connector.sandbox.limits import Limits
from connector.sandbox.oauth_routes import OPEN
from connector.sandbox.portal import Portal
from connector.sandbox.refusals import Refusal, error_body, not_found
from connector.sandbox.routes import Match, RouteTable

LONGEST_TARGET = 8192
_JSON = {"Content-Type": "application/json;charset=utf-8"}
_HTML = {"Content-Type": "text/html"}


@dataclass(frozen=True, kw_only=True, slots=True)
class Reply:
    """What the server is to do: wait, then answer, or wait and cut the connection."""

    status: int
    body: bytes = b""
    headers: Mapping[str, str] = field(default_factory=dict)
    wait_s: float = 0.0
    cut: bool = False


class Front:
    """Answers every request of one practice portal."""

    def __init__(self, portal: Portal, faults: Faults, limits: Limits, calls: CallLog) -> None:
        self._portal = portal
        self._faults = faults
        self._limits = limits
        self._calls = calls
        self._routes = RouteTable()
        self._control = Control(portal, faults, limits, calls)
        self._latency_s = portal.options.latency_ms / 1000

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        """Answer one request."""
        path, _, query = target.partition("?")
        pairs = dict(parse_qsl(query, keep_blank_values=True)) if query else {}
        call = Call(method=method, path=unquote(path), query=pairs, headers=headers, body=body)
        if path.startswith("/sandbox/"):
            return _reply(self._answer_control(call), {})
        match = self._routes.find(method, path)
        reply = self._dated(self._respond(call, match, len(target)))
        self._note(call, match, reply)
        return reply

    def _respond(self, call: Call, match: Match | None, length: int) -> Reply:
        fault = self._faults.strike(call.method, call.path)
        if fault is not None and fault.kind in ("reset", "timeout_before"):
            return Reply(status=0, cut=True, wait_s=fault.seconds if fault.kind == "timeout_before" else 0.0)
        try:
            if fault is not None and fault.kind not in ("timeout_after", "reset_after", "garbage", "slow"):
                raise fault.refusal()
            if length > LONGEST_TARGET:
                raise Refusal(414, error_body("VALIDATION_ERROR", "URI Too Long"))
            if match is None:
                raise not_found()
            headers = self._admit(call, match)
            answer = self._run(call, match)
        except Refusal as refusal:
            return self._spoil(_refusal_reply(refusal, self._latency_s), fault)
        return self._spoil(_reply(answer, headers, self._latency_s), fault)

    def _dated(self, reply: Reply) -> Reply:
        """Say what HubSpot's clock shows, as every answer does."""
        if reply.cut:
            return reply
        date = _http_date((self._portal.now() + self._portal.options.clock_ahead_ms) // 1000)
        return replace(reply, headers={"Date": date, **reply.headers})

    def _admit(self, call: Call, match: Match) -> dict[str, str]:
        if match.name in OPEN:
            return {}
        authorization = call.headers.get("authorization", "")
        self._portal.tokens.check(authorization)
        lacking = [scope for scope in match.scopes() if scope in self._portal.missing_scopes]
        if lacking:
            raise missing_scope(*lacking)
        granted = self._portal.tokens.is_granted(authorization)
        return self._limits.take(search=match.is_search, exempt=match.is_exempt, granted=granted)

    def _run(self, call: Call, match: Match) -> Answer:
        with self._portal.lock:
            full = Call(
                method=call.method, path=call.path, query=call.query, headers=call.headers, body=call.body,
                parts={name: unquote(part) for name, part in match.parts.items()},
            )  # fmt: skip
            return match.route.responder(self._portal, full)

    def _spoil(self, reply: Reply, fault: Fault | None) -> Reply:
        """Do to an answer what a fault that comes after the work does."""
        if fault is None:
            return reply
        if fault.kind == "timeout_after":
            return Reply(status=0, cut=True, wait_s=fault.seconds)
        if fault.kind == "reset_after":
            return Reply(status=0, cut=True)
        if fault.kind == "garbage":
            return Reply(status=200, body=reply.body[: len(reply.body) // 2] + b'{"resu', headers=_JSON)
        if fault.kind == "slow":
            return Reply(status=reply.status, body=reply.body, headers=reply.headers, wait_s=fault.seconds)
        return reply

    def _note(self, call: Call, match: Match | None, reply: Reply) -> None:
        name = match.name if match else "unknown"
        inputs = call.body.count(b'"id"') if "/batch/" in name else 0
        self._calls.add(LoggedCall(self._portal.now(), call.method, call.path, name, reply.status, inputs))

    def _answer_control(self, call: Call) -> Answer:
        try:
            return self._control.answer(call)
        except Refusal as refusal:
            return Answer(refusal.status, refusal.body)


@lru_cache(maxsize=4)
def _http_date(second: int) -> str:
    return formatdate(second, usegmt=True)


def _reply(answer: Answer, headers: Mapping[str, str], wait_s: float = 0.0) -> Reply:
    headers = {**headers, **answer.headers}
    if answer.body is None or isinstance(answer.body, bytes):
        return Reply(status=answer.status, body=answer.body or b"", headers=headers, wait_s=wait_s)
    return Reply(status=answer.status, body=orjson.dumps(answer.body), headers={**_JSON, **headers}, wait_s=wait_s)


def _refusal_reply(refusal: Refusal, wait_s: float) -> Reply:
    if isinstance(refusal.body, bytes):
        return Reply(status=refusal.status, body=refusal.body, headers={**_HTML, **refusal.headers}, wait_s=wait_s)
    return _reply(Answer(refusal.status, refusal.body), refusal.headers, wait_s)
