"""Sessions of the web page: signed cookies, so that every process on every machine knows them without a table.

A key is derived from a token of the page and from the portals' client secrets: another token ends all its sessions, and
a stolen cookie is no help in guessing a weak token. The price: a session that is ended by logging out is known to be
ended only in the process that was told, until it would have run out; elsewhere only its cookie is gone.
"""

import enum
import hashlib
import hmac
import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable
from dataclasses import dataclass, replace

from itsdangerous import BadData, URLSafeSerializer

from connector.moments import DAY, HOUR, MINUTE, Clock

IDLE = 8 * HOUR
LONGEST = DAY
_RENEWED_AFTER = 5 * MINUTE
_SKEW = MINUTE
"""By so much the clocks of machines that share sessions may differ."""
_LONGEST_COOKIE = 500
_MOST_ENDED = 10_000


class Role(enum.StrEnum):
    """What a visitor may do: look, or look and act."""

    READ = "read"
    FULL = "full"


@dataclass(frozen=True, kw_only=True, slots=True)
class Tokens:
    """The tokens that open the page; without any, the page is for this machine alone."""

    full: str | None = None
    read: str | None = None

    def role_of(self, given: str) -> Role | None:
        """Tell which role a token gives; both are compared, in a time that tells nothing."""
        is_full, is_read = _is_same(given, self.full), _is_same(given, self.read)
        return Role.FULL if is_full else Role.READ if is_read else None


@dataclass(frozen=True, kw_only=True, slots=True)
class Session:
    """One browser for a time; `role` is None until it has logged in."""

    id: str
    role: Role | None
    began: int
    seen: int


class Sessions:
    """Begins sessions, writes them into cookies, reads them back, ends them; thread-safe."""

    def __init__(self, tokens: Tokens, *, client_secrets: Iterable[str], clock: Clock) -> None:
        root = hashlib.sha256("\0".join(sorted(client_secrets)).encode()).digest()
        named = {None: "", Role.FULL: tokens.full, Role.READ: tokens.read}
        self._keys = {role: _key(root, role, token) for role, token in named.items() if token is not None}
        self._clock = clock
        self._ended: OrderedDict[str, int] = OrderedDict()
        self._lock = threading.Lock()

    def begin(self, role: Role | None = None) -> Session:
        """Begin a session with an id that nobody has seen before."""
        now = self._clock()
        return Session(id=secrets.token_urlsafe(16), role=role, began=now, seen=now)

    def write(self, session: Session) -> str:
        """Write a session as the text of its cookie."""
        return str(self._signer(session.role).dumps([session.id, session.began, session.seen]))

    def read(self, cookie: str | None) -> Session | None:
        """Read a cookie; None when it is not ours, was changed, has run out or was ended."""
        if not cookie or len(cookie) > _LONGEST_COOKIE:
            return None
        for role in self._keys:
            try:
                id_, began, seen = self._signer(role).loads(cookie)
            except BadData:
                continue
            session = Session(id=str(id_), role=role, began=int(began), seen=int(seen))
            return session if self._holds(session) else None
        return None

    def renewed(self, session: Session) -> Session:
        """Say that a session is in use; the same one when that was said a moment ago."""
        now = self._clock()
        return replace(session, seen=now) if now - session.seen >= _RENEWED_AFTER else session

    def end(self, session: Session) -> None:
        """End a session, whoever else may hold a copy of its cookie."""
        with self._lock:
            self._ended[session.id] = session.began
            while len(self._ended) > _MOST_ENDED:
                self._ended.popitem(last=False)

    def form_key(self, session: Session) -> str:
        """Give what proves that a form was made for this session: no other site can read it."""
        return hmac.new(self._keys[session.role], b"form " + session.id.encode(), "sha256").hexdigest()

    def is_form_key(self, session: Session, given: str) -> bool:
        """Ask whether a form was made for this session."""
        return _is_same(given, self.form_key(session))

    def _holds(self, session: Session) -> bool:
        now = self._clock()
        if session.seen > now + _SKEW or now - session.seen >= IDLE or now - session.began >= LONGEST:
            return False
        with self._lock:
            return session.id not in self._ended

    def _signer(self, role: Role | None) -> URLSafeSerializer:
        options = {"key_derivation": "hmac", "digest_method": hashlib.sha256}
        return URLSafeSerializer(self._keys[role], salt="stagekeeper session", signer_kwargs=options)


def _key(root: bytes, role: Role | None, token: str) -> bytes:
    return hmac.digest(root, f"stagekeeper page\0{role or 'visitor'}\0{token}".encode(), "sha256")


def _is_same(given: str, wanted: str | None) -> bool:
    """Compare in a time that does not depend on where they differ; what is not set is the same as nothing."""
    return wanted is not None and hmac.compare_digest(given.encode("utf-8", "replace"), wanted.encode())
