"""The one way to HubSpot: time-outs, retries, the call budget, the token and the path version meet here.

A call goes out at most a few times within some twenty seconds; whatever takes longer is for the inbox. A call that is
not repeatable goes out again only when HubSpot has provably not done it: refused connection, 423, 429, or a 401 that a
fresh token may cure; never after a time-out, a reset or a 5xx.
"""

import contextlib
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from email.utils import parsedate_to_datetime
from http.cookiejar import DefaultCookiePolicy

import orjson
import requests
import structlog
from requests.adapters import HTTPAdapter
from tenacity import RetryCallState, Retrying
from tenacity.wait import wait_random
from urllib3.exceptions import ConnectTimeoutError, MaxRetryError, NewConnectionError, ProxyError

from connector.hubspot.budget import CallBudget
from connector.hubspot.failure import HubSpotError, failure_of
from connector.hubspot.meaning import Meaning, json_of, meaning_of, unclear, unreachable
from connector.hubspot.paths import PLAIN_VERSION, Endpoint, dated, endpoint_of
from connector.hubspot.retries import Patience, is_worth_another_try, step_s, wait_s
from connector.moments import Clock

TOO_LARGE = 64 * 1024 * 1024
_CHUNK = 64 * 1024
_CONNECTIONS = 32
_SECOND_MS = 1_000

_log = structlog.get_logger()


@dataclass(frozen=True, kw_only=True, slots=True)
class Answer:
    """What HubSpot answered to a call that went well, wholly or partly."""

    status: int
    body: object
    meaning: Meaning


@dataclass(frozen=True, kw_only=True, slots=True)
class CallSeen:
    """One try of one call, for metrics; nothing in it tells one record from another."""

    portal: int
    endpoint: str
    outcome: str
    seconds: float
    waited_seconds: float


@dataclass(kw_only=True, slots=True)
class _Call:
    """One call on its way, through all its tries."""

    method: str
    path: str
    query: Sequence[tuple[str, str]]
    payload: bytes | None
    endpoint: Endpoint
    started: int = 0
    waited_s: float = 0.0
    tokens: list[str] = field(default_factory=list)


class Transport:
    """Sends calls for one portal; thread-safe."""

    def __init__(  # noqa: PLR0913  # plain arguments instead of the configuration, all named
        self,
        *,
        portal: int,
        access_token: Callable[[], str] | str,
        on_refused: Callable[[str], None] | None = None,
        api_url: str,
        budget: CallBudget,
        clock: Clock,
        api_version: str = PLAIN_VERSION,
        patience: Patience | None = None,
        sleep: Callable[[float], None] | None = None,
        on_call: Callable[[CallSeen], None] | None = None,
        trust_env: bool = False,
    ) -> None:
        self._portal = portal
        self._access_token = access_token
        self._on_refused = on_refused
        self._api_url = api_url.rstrip("/")
        self._budget = budget
        self._clock = clock
        self._version = api_version
        self._patience = patience or Patience()
        self._sleep = sleep or budget.pause
        self._on_call = on_call
        self._trust_env = trust_env
        self._session: requests.Session | None = None
        self._lock = threading.Lock()
        self._making = 0
        self.clock_ahead_ms: int | None = None
        """How far HubSpot's clock was ahead of ours at the latest answer, within a second."""

    def send(self, method: str, path: str, *, query: Sequence[tuple[str, str]] = (), body: object = None) -> Answer:
        """Send a call, again when that is safe and of use; raises HubSpotError when it did not go well."""
        call = _Call(
            method=method,
            path=path,
            query=query,
            payload=None if body is None else orjson.dumps(body),
            endpoint=endpoint_of(method, path),
        )
        retrying = Retrying(
            retry=lambda state: self._is_worth_another_try(state, call),
            wait=_wait,
            stop=lambda state: self._is_enough(state, call),
            sleep=self._sleep,
            before_sleep=lambda state: self._tell_retry(state, call),
            reraise=True,
        )
        try:
            return retrying(self._try, call)
        except HubSpotError as failure:
            self._tell_failure(failure.meaning, call)
            raise

    @property
    def is_making(self) -> bool:
        """Ask whether a call is under way that must not be repeated before it is known what became of it."""
        return self._making > 0

    def close(self) -> None:
        """Close the connections; the next call opens new ones."""
        with self._lock:
            session, self._session = self._session, None
        if session is not None:
            session.close()

    def _try(self, call: _Call) -> Answer:
        token = self._token(call)
        call.waited_s += self._budget.wait_for_turn(call.endpoint.kind)
        sent = self._clock()
        call.started = call.started or sent
        with self._under_way(call):
            meaning, status, body = self._exchange(call, token, sent)
        self._tell_seen(call, meaning, sent)
        if meaning.kind in ("done", "partly"):
            return Answer(status=status, body=body, meaning=meaning)
        until = self._heed(meaning)
        raise failure_of(meaning, portal=self._portal, endpoint=call.endpoint.name, now=self._clock(), until=until)

    def token(self) -> str:
        """Give the access token of now."""
        return (self._access_token if isinstance(self._access_token, str) else self._access_token()).strip()

    def _token(self, call: _Call) -> str:
        """Ask for the token at each try, so that a refreshed one is used at once."""
        token = self.token()
        if not token or not token.isascii() or not token.isprintable() or " " in token:
            meaning = Meaning(kind="unauthorised", message="the access token is empty or malformed; nothing was sent")
            raise failure_of(meaning, portal=self._portal, endpoint=call.endpoint.name, now=self._clock())
        call.tokens.append(token)
        return token

    @contextlib.contextmanager
    def _under_way(self, call: _Call) -> Iterator[None]:
        making = 0 if call.endpoint.repeatable else 1
        with self._lock:
            self._making += making
        try:
            yield
        finally:
            with self._lock:
                self._making -= making

    def _exchange(self, call: _Call, token: str, sent: int) -> tuple[Meaning, int, object]:
        try:
            with self._open().request(
                call.method,
                self._api_url + dated(call.path, self._version),
                params=list(call.query),
                data=call.payload,
                headers=_headers(token, call.payload),
                timeout=(self._patience.connect_s, self._patience.read_s),
                allow_redirects=False,
                stream=True,
            ) as response:
                self._compare_clocks(response.headers.get("date"), sent)
                raw = self._read(response, sent)
                refused = _is_one_too_many(response.status_code, raw)
                self._budget.hear(response.headers, sent=sent, kind=call.endpoint.kind, refused=refused)
                if raw is None:
                    return unclear("the answer was too large or too slow", status=response.status_code), 0, None
                body = json_of(raw)
                return meaning_of(response.status_code, response.headers, body), response.status_code, body
        except requests.exceptions.RequestException as error:
            self._budget.hear({}, sent=sent, kind=call.endpoint.kind)
            return _without_answer(error), 0, None

    def _compare_clocks(self, date: str | None, sent: int) -> None:
        """Compare the date of an answer with the middle of the time that it took."""
        with contextlib.suppress(ValueError, TypeError, OverflowError):  # nobody promises that it is readable
            theirs = round(parsedate_to_datetime(date or "").timestamp() * 1_000)
            self.clock_ahead_ms = theirs - (sent + self._clock()) // 2

    def _read(self, response: requests.Response, sent: int) -> bytes | None:
        """Read the answer within bounds of size and time."""
        chunks: list[bytes] = []
        size = 0
        for chunk in response.iter_content(_CHUNK):
            size += len(chunk)
            if size > TOO_LARGE or self._clock() - sent > self._patience.answer_s * 1_000:
                return None
            chunks.append(chunk)
        return b"".join(chunks)

    def _open(self) -> requests.Session:
        """Open the session at the first call, so that a process that forks before has none to share."""
        with self._lock:
            if self._session is None:
                session = requests.Session()
                session.trust_env = self._trust_env
                session.cookies.set_policy(DefaultCookiePolicy(allowed_domains=[]))
                adapter = HTTPAdapter(pool_maxsize=_CONNECTIONS, max_retries=0)
                session.mount("https://", adapter)
                session.mount("http://", adapter)
                self._session = session
            return self._session

    def _heed(self, meaning: Meaning) -> int | None:
        """Let the whole portal wait when HubSpot said so; give the end of that wait when it is far."""
        if meaning.policy == "daily":
            return self._budget.end_day()
        if meaning.kind == "limited":
            # Longer than that a full window makes everybody wait by itself: the budget has learnt that it is full.
            self._budget.block(min(max(_SECOND_MS, meaning.retry_after_ms or 0), 60_000))
        return None

    def _is_worth_another_try(self, state: RetryCallState, call: _Call) -> bool:
        error = state.outcome.exception() if state.outcome else None
        if not isinstance(error, HubSpotError) or not call.started:
            return False
        meaning = error.meaning
        if meaning.kind == "unauthorised":
            return self._has_fresh_token(call)
        return is_worth_another_try(meaning, repeatable=call.endpoint.repeatable)

    def _has_fresh_token(self, call: _Call) -> bool:
        """Ask for another token, once: what a fresh one does not cure, another will not."""
        if not callable(self._access_token) or len(set(call.tokens)) > 1:
            return False
        if self._on_refused is not None:
            self._on_refused(call.tokens[-1])
        return self._access_token().strip() not in call.tokens

    def _is_enough(self, state: RetryCallState, call: _Call) -> bool:
        elapsed_s = (self._clock() - call.started) / 1_000
        return state.attempt_number >= self._patience.tries or elapsed_s + state.upcoming_sleep > self._patience.total_s

    def _tell_retry(self, state: RetryCallState, call: _Call) -> None:
        call.waited_s += state.upcoming_sleep
        meaning = _meaning_in(state)
        _log.info(
            "hubspot.retry_scheduled",
            **self._fields(meaning, call),
            attempt=state.attempt_number,
            wait_ms=round(state.upcoming_sleep * 1_000),
        )

    def _tell_failure(self, meaning: Meaning, call: _Call) -> None:
        tell = _log.info if meaning.kind in ("gone", "conflict") else _log.warning
        tell("hubspot.call_failed", **self._fields(meaning, call), attempts=len(call.tokens))

    def _tell_seen(self, call: _Call, meaning: Meaning, sent: int) -> None:
        took, waited = self._clock() - sent, round(call.waited_s * 1_000)
        _log.debug("hubspot.called", **self._fields(meaning, call), duration_ms=took, waited_ms=waited)
        if self._on_call is not None:
            self._on_call(
                CallSeen(
                    portal=self._portal,
                    endpoint=call.endpoint.name,
                    outcome=meaning.kind,
                    seconds=took / 1_000,
                    waited_seconds=call.waited_s,
                )
            )
        call.waited_s = 0.0

    def _fields(self, meaning: Meaning, call: _Call) -> dict[str, object]:
        return {
            "portal": self._portal,
            "endpoint": call.endpoint.name,
            "outcome": meaning.kind,
            "status": meaning.status,
            "category": meaning.category,
            "properties": meaning.properties[:10],
            "correlation_id": meaning.correlation_id,
        }


def post_form(url: str, fields: Mapping[str, str], clock: Clock) -> tuple[Meaning, object]:
    """Send a form to HubSpot, once and without a token, and give what was answered."""
    patience, sent = Patience(), clock()
    headers = {"Accept": "application/json", "User-Agent": "stagekeeper"}
    try:
        with requests.Session() as session:
            session.trust_env = False
            answer = session.post(
                url, data=dict(fields), headers=headers, timeout=(patience.connect_s, patience.read_s),
                allow_redirects=False, stream=True,
            )  # fmt: skip
            raw = bytearray()
            for chunk in answer.iter_content(_CHUNK):
                raw += chunk
                if len(raw) > _CHUNK or clock() - sent > patience.answer_s * 1_000:
                    return unclear("the answer was too large or too slow", status=answer.status_code), None
            body = json_of(bytes(raw))
            return meaning_of(answer.status_code, answer.headers, body), body
    except requests.exceptions.RequestException as error:
        return _without_answer(error), None


def _is_one_too_many(status: int, raw: bytes | None) -> bool:
    """Ask whether the limit of ten seconds refused the call."""
    return status == 429 and meaning_of(status, {}, json_of(raw or b"")).policy == "ten_secondly"


def _headers(token: str, payload: bytes | None) -> dict[str, str]:
    headers = {"Authorization": f"Bearer {token}", "Accept": "application/json", "User-Agent": "stagekeeper"}
    return headers if payload is None else {**headers, "Content-Type": "application/json"}


def _wait(state: RetryCallState) -> float:
    """Wait with some jitter, so that workers do not come back together; a fresh token need not wait."""
    meaning = _meaning_in(state)
    if meaning.kind == "unauthorised":
        return 0.0
    return wait_s(meaning, state.attempt_number) + float(wait_random(0, step_s(meaning) / 4)(state))


def _meaning_in(state: RetryCallState) -> Meaning:
    error = state.outcome.exception() if state.outcome else None
    return error.meaning if isinstance(error, HubSpotError) else unclear("no answer")


def _without_answer(error: requests.exceptions.RequestException) -> Meaning:
    """Tell a call that never left from one whose fate is unknown; what is not certain counts as unknown."""
    name = type(error).__name__
    if isinstance(error, requests.exceptions.ConnectTimeout | requests.exceptions.ProxyError):
        return unreachable(name)
    if isinstance(error, requests.exceptions.SSLError):
        return unreachable("TLS: certificate not trusted") if "CERTIFICATE_VERIFY" in str(error) else unclear(name)
    if isinstance(error, ValueError):  # InvalidURL and its like
        return unreachable(f"{name}: the call could not be built; is `api_url` right?")
    cause = error.args[0] if error.args else None
    reason = cause.reason if isinstance(cause, MaxRetryError) else cause
    if isinstance(reason, NewConnectionError | ConnectTimeoutError | ProxyError):
        return unreachable(f"{type(reason).__name__}; is `api_url` right, and may this machine call it?")
    return unclear(name)
