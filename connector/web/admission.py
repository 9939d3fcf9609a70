"""Who may look and who may act: by login, by a script's header, or from this machine where there is no ops token.

Scripts (`Authorization: Bearer …`, or Basic with the token as password) may look only: what acts is a form, made for
one session. Without a token a request must also name this machine: a name of somebody else's that leads here (DNS
rebinding) is how a page in this machine's own browser would reach us.
"""

import base64
import binascii
import ipaddress
from dataclasses import dataclass, replace

import flask
import structlog
from werkzeug.exceptions import Forbidden, TooManyRequests, Unauthorized

from connector.config import Config
from connector.moments import SECOND, Clock
from connector.receiver import may_operate
from connector.web.attempts import Attempts
from connector.web.sessions import Role, Session, Sessions, Tokens

_LOCAL_ONLY = (
    "This page answers on this machine only, by the name localhost or 127.0.0.1. "
    "Set server.ops_token in the configuration to open it elsewhere."
)
_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Visitor:
    """Who asks: what they may do, and the session their forms are made for; scripts have none."""

    role: Role | None
    session: Session | None

    @property
    def may_look(self) -> bool:
        """Ask whether pages are shown."""
        return self.role is not None

    @property
    def may_act(self) -> bool:
        """Ask whether forms are taken."""
        return self.role is Role.FULL and self.session is not None


class Admission:
    """Says who a request comes from, and keeps those waiting who guess."""

    def __init__(self, *, tokens: Tokens, proxies: int, sessions: Sessions, attempts: Attempts) -> None:
        self.sessions = sessions
        self.needs_login = tokens != Tokens()
        self._tokens = tokens
        self._proxies = proxies
        self._attempts = attempts

    def visitor(self, request: flask.Request) -> Visitor:
        """Say who asks; raises Forbidden, Unauthorized (wrong token in a header) or TooManyRequests."""
        session = self.sessions.read(request.cookies.get(cookie_name(request)))
        if not self.needs_login:
            if not may_operate(request, None):
                raise Forbidden(_LOCAL_ONLY)
            return Visitor(role=Role.FULL, session=session or self.sessions.begin())
        if "Authorization" in request.headers:
            return Visitor(role=self._role_by_header(request), session=None)
        session = session or self.sessions.begin()
        return Visitor(role=session.role, session=session)

    def log_in(self, request: flask.Request, token: str) -> Visitor | None:
        """Begin a new session for a token, None when it is wrong; raises TooManyRequests."""
        role = self._role_of(request, token)
        return None if role is None else Visitor(role=role, session=self.sessions.begin(role))

    def renewed(self, visitor: Visitor) -> Visitor:
        """Say that the visitor is still there."""
        return visitor if visitor.session is None else replace(visitor, session=self.sessions.renewed(visitor.session))

    def may_look(self, request: flask.Request) -> bool:
        """Ask whether a request may see what has no page of its own; raises Forbidden or TooManyRequests."""
        try:
            return self.visitor(request).may_look
        except Unauthorized:
            return False

    def _role_by_header(self, request: flask.Request) -> Role:
        role = self._role_of(request, _given(request.headers["Authorization"]))
        if role is None:
            raise Unauthorized("The token is wrong.")
        return role

    def _role_of(self, request: flask.Request, token: str) -> Role | None:
        role = self._tokens.role_of(token)
        client = client_of(request, self._proxies)
        wait = self._attempts.wait_ms(client, right=role is not None)
        if wait:
            _log.warning("page.login_limited", client=client, wait_ms=wait)
            text = "Too many wrong tokens came from this address; wait a minute."
            raise TooManyRequests(text, retry_after=-(-wait // SECOND))
        if role is None:
            _log.warning("page.login_failed", client=client)
        return role


def make_admission(config: Config, clock: Clock) -> Admission:
    """Make the admission that a configuration describes."""
    full, read = config.server.ops_token, config.server.read_token
    tokens = Tokens(
        full=full.get_secret_value() if full else None, read=read.get_secret_value() if read else None
    )  # fmt: skip
    client_secrets = [portal.client_secret.get_secret_value() for portal in config.portals]
    sessions = Sessions(tokens, client_secrets=client_secrets, clock=clock)
    return Admission(tokens=tokens, proxies=config.server.proxies, sessions=sessions, attempts=Attempts(clock))


def came_safely(request: flask.Request) -> bool:
    """Ask whether the browser speaks TLS; who lies about it keeps nobody but himself from logging in."""
    return request.is_secure or "https" in request.headers.get("X-Forwarded-Proto", "").lower()


def cookie_name(request: flask.Request) -> str:
    """Name the session's cookie; by `__Host-` a browser takes it from nobody but this very host, over TLS."""
    return "__Host-stagekeeper" if came_safely(request) else "stagekeeper"


def client_of(request: flask.Request, proxies: int) -> str:
    """Name the network that a request comes from: an address, of IPv6 its first half, which one household has.

    What a request says of its origin is believed of as many proxies as there are, and no further.
    """
    chain = [part.strip() for part in request.headers.get("X-Forwarded-For", "").split(",")]
    text = chain[-proxies] if 0 < proxies <= len(chain) else request.remote_addr or ""
    if text.count(":") == 1:
        text = text.partition(":")[0]  # some proxies write the port, too
    try:
        address = ipaddress.ip_address(text.strip("[]"))
    except ValueError:
        return "unknown"
    if address.version == 4:
        return str(address)
    return str(address.ipv4_mapped or ipaddress.ip_network((int(address) >> 64 << 64, 64)))


def _given(authorization: str) -> str:
    """Read the token out of a header; of Basic it is the password."""
    scheme, _, given = authorization.partition(" ")
    if scheme.lower() == "bearer":
        return given.strip()
    if scheme.lower() != "basic":
        return ""
    try:
        return base64.b64decode(given, validate=True).partition(b":")[2].decode()
    except (binascii.Error, ValueError):
        return ""
