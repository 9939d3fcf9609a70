"""The HTTP side: a webhook is answered 204 once its events are on disk, and not before.

Nothing is judged here and HubSpot is not called, so an answer takes milliseconds. Whatever goes wrong on our side is a
503, because HubSpot then delivers again; what we do not want is still 204, because a 4xx is repeated for a day.
https://developers.hubspot.com/docs/api/webhooks
"""

import contextlib
import hmac
import ipaddress
import re
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import flask
import gunicorn.config
import structlog
from gunicorn.glogging import Logger
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, HTTPException, RequestEntityTooLarge, RequestTimeout

from connector.delivery import Delivery, events_of
from connector.errors import StagekeeperError
from connector.gate import PATIENCE_S, READERS, TooBusy, Turns, connections_allowed, guard
from connector.inbox import Inbox
from connector.moments import Clock
from connector.telemetry import Metrics
from connector.tracing import EventKey, point_to, span
from connector.webhook import BodyUnreadable, PortalKey, Sifted, read_elements, sift, verify

LARGEST_BODY = 2 * 1024 * 1024
_READ_AT_MOST = 32 * LARGEST_BODY
_CHUNK = 64 * 1024
_SMALL = 128 * 1024  # several times what HubSpot sends, which is a hundred events at most
_LARGE_AT_ONCE = 32
_RETRY_AFTER = "10"
_UNREAD = {400: "cut_off", 408: "too_slow", 413: "too_large"}
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Forwarded-Proto", "X-Real-IP", "Via")

_log = structlog.get_logger(__name__)


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """The answer of one health check; `hint` says what to do when it is not ok."""

    ok: bool
    hint: str = ""


@dataclass(frozen=True, kw_only=True, slots=True)
class ReceiverParts:
    """What the receiver is made of."""

    keys: tuple[PortalKey, ...]
    inbox: Inbox
    settle_ms: int
    clock: Clock
    metrics: Metrics
    render_metrics: Callable[[], bytes]
    checks: Mapping[str, Callable[[], Check]]
    """What must hold before webhooks can be taken."""
    ops_token: str | None = None
    may_look: Callable[[flask.Request], bool] | None = None
    """Asks whether the sender may see the metrics; left out, `may_operate` by the ops token decides."""
    page: flask.Blueprint | None = None
    at_once: int = 8
    """How many requests are worked on at once, once they have been read."""


def create_app(parts: ReceiverParts) -> flask.Flask:
    """Make the application that a server runs."""
    app = flask.Flask("connector", static_folder=None)
    turns, large = Turns(parts.at_once), threading.BoundedSemaphore(_LARGE_AT_ONCE)
    app.add_url_rule("/webhooks/hubspot", view_func=lambda: _receive(parts, turns, large), endpoint="webhook",
                     methods=["POST"])  # fmt: skip
    app.add_url_rule("/livez", view_func=lambda: _health({"process": lambda: Check(ok=True)}), endpoint="livez")
    app.add_url_rule("/readyz", view_func=lambda: _health(parts.checks), endpoint="readyz")
    app.add_url_rule("/metrics", view_func=lambda: _metrics(parts), endpoint="metrics")
    if parts.page is not None:
        app.register_blueprint(parts.page)
    app.register_error_handler(HTTPException, answer_error)
    app.register_error_handler(Exception, answer_failure)
    app.after_request(_secure)
    app.after_request(lambda response: _count_unavailable(parts.metrics, response))
    app.before_request(lambda: _begin_turn(turns))
    app.teardown_request(_end_turn)
    return app


def _begin_turn(turns: Turns) -> None:
    """Wait for a turn, except where a body has to come first, and where the answer must come whatever else goes on."""
    if flask.request.endpoint not in ("webhook", "livez", None):
        flask.g.turn = contextlib.ExitStack()
        flask.g.turn.enter_context(turns.turn())


def _end_turn(_error: BaseException | None) -> None:
    if turn := flask.g.pop("turn", None):
        turn.close()


# The webhook


def _receive(parts: ReceiverParts, turns: Turns, large: threading.BoundedSemaphore) -> flask.Response:
    try:
        with _body(flask.request, large) as raw_body, turns.turn(), span("webhook") as traced:
            response = _take(parts, raw_body)
            traced.tell(status=response.status_code)
            return response
    except (BadRequest, RequestEntityTooLarge, RequestTimeout) as error:
        parts.metrics.events_rejected.labels(_UNREAD[error.code]).inc()
        _log.warning("webhook.refused", status=error.code, reason=_UNREAD[error.code])
        raise


def _take(parts: ReceiverParts, raw_body: bytes) -> flask.Response:
    verdict = verify(
        flask.request.headers.items(), raw_body, method=flask.request.method, keys=parts.keys, now=parts.clock()
    )
    if verdict.refusal is not None:
        return _refuse(parts, 401, verdict.refusal, "The request is not signed as HubSpot signs it for this address.")
    try:
        elements = read_elements(raw_body)
    except BodyUnreadable as error:
        return _refuse(parts, 400, error.code, str(error))
    sifted = sift(elements, raw_body, verdict=verdict, keys=parts.keys)
    delivery = sifted.delivery
    if delivery is not None:
        parts.inbox.accept(delivery, settle_ms=parts.settle_ms)
        point_to(lambda: _keys_of(delivery))
    # Counted after the commit: what is answered 503 comes again and would be counted twice.
    _count(parts.metrics, sifted)
    _log.info(
        "webhook.accepted", events=len(elements), rejected=dict(sifted.rejected),
        portals=sorted(delivery.apps) if delivery else [], contact_ids=sorted(sifted.contacts),
    )  # fmt: skip
    return flask.Response(status=204)


def _keys_of(delivery: Delivery) -> list[EventKey]:
    return [(event.portal, event.key) for event in events_of(delivery) if event.portal and event.contact]


def _count(metrics: Metrics, sifted: Sifted) -> None:
    for (portal, kind), number in sifted.received.items():
        metrics.events_received.labels(portal, kind).inc(number)
    for reason, number in sifted.rejected.items():
        metrics.events_rejected.labels(reason).inc(number)


@contextlib.contextmanager
def _body(request: flask.Request, large: threading.BoundedSemaphore) -> Iterator[bytes]:
    """Read the raw bytes, whatever the request says of their length; few large ones are held at once."""
    request.max_content_length = None  # the bound is ours
    declared = request.content_length or 0
    if declared > LARGEST_BODY:
        _throw_away(request, declared)
        raise RequestEntityTooLarge
    with contextlib.ExitStack() as held:
        body = bytearray()
        for chunk in _chunks(request):
            body += chunk
            if len(body) > LARGEST_BODY:
                body.clear()
                _throw_away(request, LARGEST_BODY)
                raise RequestEntityTooLarge
            if len(body) > _SMALL and len(body) - len(chunk) <= _SMALL:
                held.enter_context(_place(large))
        yield bytes(body)


def _chunks(request: flask.Request) -> Iterator[bytes]:
    """Give the body piece by piece; the gate ends it for a sender who takes too long."""
    began = time.monotonic()
    missing = request.content_length or 0
    try:
        while chunk := request.stream.read(_CHUNK):
            missing -= len(chunk)
            yield chunk
    except (OSError, ParseException, BadRequest):  # cut off, or chunked wrongly
        missing = 1
    if missing > 0:
        is_slow = time.monotonic() - began > PATIENCE_S / 2
        raise RequestTimeout if is_slow else BadRequest("The body ended before its end.")


@contextlib.contextmanager
def _place(large: threading.BoundedSemaphore) -> Iterator[None]:
    if not large.acquire(blocking=False):
        raise TooBusy
    try:
        yield
    finally:
        large.release()


def _throw_away(request: flask.Request, declared: int) -> None:
    """Read what is too large to its end, if it comes: who is answered while still sending never sees the answer."""
    left = _READ_AT_MOST
    with contextlib.suppress(HTTPException):
        for chunk in _chunks(request) if declared <= _READ_AT_MOST else ():
            left -= len(chunk)
            if left <= 0:
                return


def _refuse(parts: ReceiverParts, status: int, code: str, message: str) -> flask.Response:
    parts.metrics.events_rejected.labels(code).inc()
    _log.warning("webhook.refused", status=status, reason=code)
    return _error(status, code, message)


# Health and metrics


def _health(checks: Mapping[str, Callable[[], Check]]) -> flask.Response:
    answers = {name: _ask(check) for name, check in checks.items()}
    well = all(answer.ok for answer in answers.values())
    body = {
        "status": "ok" if well else "unavailable",
        "checks": {
            name: {"ok": answer.ok} if answer.ok else {"ok": False, "hint": answer.hint}
            for name, answer in answers.items()
        },
    }
    return _json(200 if well else 503, body)


def _ask(check: Callable[[], Check]) -> Check:
    try:
        return check()
    except StagekeeperError as error:
        return Check(ok=False, hint=str(error))


def _metrics(parts: ReceiverParts) -> flask.Response:
    may_look = parts.may_look or (lambda request: may_operate(request, parts.ops_token))
    if not may_look(flask.request):
        return ops_refusal(parts.ops_token)
    return flask.Response(parts.render_metrics(), content_type="text/plain; version=0.0.4; charset=utf-8")


def may_operate(request: flask.Request, ops_token: str | None) -> bool:
    """Ask whether the sender may see what operators see: by the token, or from this machine when there is none."""
    if ops_token:
        scheme, _, given = request.headers.get("Authorization", "").partition(" ")
        known = hmac.compare_digest(given.strip().encode("utf-8", "replace"), ops_token.encode())
        return scheme.lower() == "bearer" and known
    # What a proxy passes on comes from this machine too, so whatever names another sender is not local.
    if any(name in request.headers for name in _FORWARDED):
        return False
    return _is_loopback(request.remote_addr or "") and _names_this_machine(request.headers.get("Host", ""))


def _is_loopback(text: str) -> bool:
    try:
        address = ipaddress.ip_address(text)
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return (mapped or address).is_loopback


def _names_this_machine(host: str) -> bool:
    """Ask whether a Host header is loopback's own: a page in this machine's browser may have a name that leads here."""
    name = host.rpartition(":")[0] if re.search(r":\d*$", host) and not host.endswith("]") else host
    name = name.removeprefix("[").removesuffix("]").lower().rstrip(".")
    return name == "localhost" or name.endswith(".localhost") or _is_loopback(name)


def ops_refusal(ops_token: str | None) -> flask.Response:
    """Answer a sender who may not see what operators see."""
    if ops_token:
        response = _error(401, "token_wrong", "Send the ops token: Authorization: Bearer …")
        response.headers["WWW-Authenticate"] = 'Bearer realm="stagekeeper"'
        return response
    text = "This answers on loopback only, by the name localhost or 127.0.0.1; set server.ops_token to open it."
    return _error(403, "not_local", text)


# Answers


def _json(status: int, body: Mapping[str, object]) -> flask.Response:
    response = flask.jsonify(body)
    response.status_code = status
    return response


def _error(status: int, code: str, message: str) -> flask.Response:
    return _json(status, {"error": {"code": code, "message": message}})


def answer_error(error: HTTPException) -> flask.Response:
    """Answer what a request got wrong."""
    code = error.name.lower().replace(" ", "_")
    response = _error(error.code or 500, code, error.description or error.name)
    for name, value in error.get_headers():
        if name in {"Allow", "Retry-After"}:
            response.headers[name] = value
    if error.code in {408, 413}:
        response.headers["Connection"] = "close"  # the rest of the body is still on its way
    return response


def answer_failure(error: Exception) -> flask.Response:
    """Answer 503 for whatever went wrong on our side, so that HubSpot delivers again; the trace stays in the log."""
    if isinstance(error, StagekeeperError):
        _log.error("request.failed", path=flask.request.path, code=error.code, error=str(error))
    else:
        _log.error("request.failed", path=flask.request.path, code="unexpected", exc_info=error)
    response = _error(503, "unavailable", "The request could not be served now; send it again.")
    response.headers["Retry-After"] = _RETRY_AFTER
    return response


def _secure(response: flask.Response) -> flask.Response:
    for name, value in (
        ("X-Content-Type-Options", "nosniff"),
        ("X-Frame-Options", "DENY"),
        ("Referrer-Policy", "no-referrer"),
        ("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'"),
        ("Cache-Control", "no-store"),
    ):
        response.headers.setdefault(name, value)  # the page brings its own policy
    return response


def _count_unavailable(metrics: Metrics, response: flask.Response) -> flask.Response:
    """Count the webhooks that were not acknowledged through our own fault: HubSpot delivers them again."""
    if flask.request.endpoint == "webhook" and response.status_code >= 500:
        metrics.events_rejected.labels("unavailable").inc()
    return response


# The server


class QuietLog(Logger):  # type: ignore[misc]  # gunicorn ships no types
    """Sends what gunicorn says to the log of the product instead of writing lines of its own."""

    def setup(self, cfg: gunicorn.config.Config) -> None:
        """Leave the lines to whoever configured logging."""
        super().setup(cfg)
        for log in (self.error_log, self.access_log):
            log.handlers.clear()
            log.propagate = True


def gunicorn_options(*, bind: str, workers: int = 1) -> dict[str, object]:
    """Say how gunicorn serves the receiver: threads, small limits, and nothing written outside its own process."""
    connections = connections_allowed()
    options: dict[str, object] = {
        "bind": bind,
        "worker_class": "gthread",
        "workers": workers,
        "threads": min(READERS, connections // 2),
        "worker_connections": connections,
        "timeout": 60,
        "graceful_timeout": 20,
        "keepalive": 75,  # longer than a proxy keeps its side, so that it is never us who close under a request
        "limit_request_line": 4_094,
        "limit_request_fields": 60,
        "limit_request_field_size": 8_190,
        "forwarded_allow_ips": "",  # nothing that a request says of its origin is believed
        "accesslog": None,
        "logger_class": QuietLog,
        "control_socket_disable": True,  # it would write into the home directory
        "post_worker_init": _guard,
    }
    # Releases of gunicorn differ in what they know; https://docs.gunicorn.org/en/stable/settings.html
    known = {setting.name for setting in gunicorn.config.KNOWN_SETTINGS}
    return {name: value for name, value in options.items() if name in known}


def _guard(worker: Any) -> None:  # gunicorn ships no types
    guard(worker.sockets)
