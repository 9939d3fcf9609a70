"""What an answer of HubSpot means: one function turns a status, its headers and its body into a `Meaning`.

Nothing else in the product looks at a status code. The function never raises, whatever the body holds: every field
is optional by HubSpot's own word, error pages come as HTML, and the body may be hostile. Messages are kept short and
without personal data, so that a meaning may be logged and shown.
https://developers.hubspot.com/docs/api-reference/error-handling
"""

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from email.utils import parsedate_to_datetime
from typing import Literal

import orjson

Kind = Literal[
    "done", "partly", "invalid", "unauthorised", "forbidden", "gone", "conflict", "too_long", "locked", "limited",
    "migrating", "unavailable", "unclear", "unreachable",
]  # fmt: skip
Policy = Literal["", "secondly", "ten_secondly", "daily"]


class _Broken:
    """Stands for a body that is not JSON."""


BROKEN = _Broken()

_MOST_ERRORS = 1_000
_MOST_NAMES = 1_000
_MOST_TEXT = 200
_LOCK_MS = 2_000
_LONGEST_WAIT_MS = 24 * 3_600_000
_TLS_FAILED = frozenset({525, 526})

_BY_STATUS: Mapping[int, Kind] = {
    401: "unauthorised", 403: "forbidden", 404: "gone", 408: "unavailable", 409: "conflict", 414: "too_long",
    423: "locked", 429: "limited", 477: "migrating",
}  # fmt: skip
_BY_CATEGORY: Mapping[str, tuple[Kind, int]] = {
    "OBJECT_NOT_FOUND": ("gone", 404),
    "CONFLICT": ("conflict", 409),
    "OBJECT_ALREADY_EXISTS": ("conflict", 409),
    "RATE_LIMITS": ("limited", 429),
    "RATE_LIMIT": ("limited", 429),
    "MISSING_SCOPES": ("forbidden", 403),
    "USER_DOES_NOT_HAVE_PERMISSIONS": ("forbidden", 403),
    "EXPIRED_AUTHENTICATION": ("unauthorised", 401),
    "INVALID_AUTHENTICATION": ("unauthorised", 401),
    "LOCKED": ("locked", 423),
    "INTERNAL_ERROR": ("unavailable", 500),
}
_EMAIL = re.compile(r"[^\s<>\"'(),;:]{1,64}(?:@|%40)[^\s<>\"'(),;:]{1,64}")
_WORD = re.compile(r"[\w.:/+-]{1,200}")
_LONG_NUMBER = re.compile(r"\+?\d[\d ()./-]{6,}\d")
_QUOTED = re.compile(r"\"[^\"]*\"?|'[^']*'")
_EXISTING = re.compile(r"Existing ID:\s*(\d{1,20})", re.IGNORECASE)
_DUPLICATES = re.compile(r"Duplicate IDs found in batch input:\s*\[([\d,\s\"']{1,20000})\]", re.IGNORECASE)


@dataclass(frozen=True, kw_only=True, slots=True)
class Code:
    """A reason that HubSpot names, and the properties that it concerns."""

    name: str
    properties: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Meaning:
    """What an answer, or the lack of one, means for whoever called."""

    kind: Kind
    status: int = 0
    category: str = ""
    subcategory: str = ""
    message: str = ""
    codes: tuple[Code, ...] = ()
    ids: tuple[str, ...] = ()
    """The records concerned; with a conflict, the record that is in the way."""
    traces: tuple[str, ...] = ()
    scopes: tuple[str, ...] = ()
    retry_after_ms: int | None = None
    policy: Policy = ""
    correlation_id: str = ""

    @property
    def properties(self) -> tuple[str, ...]:
        """Name the properties concerned, each once."""
        return tuple(dict.fromkeys(name for code in self.codes for name in code.properties))

    @property
    def retryable(self) -> bool:
        """Ask whether the same call may go well at another time."""
        if self.kind == "unavailable":
            return self.status not in _TLS_FAILED
        return self.kind in ("locked", "limited", "migrating", "unclear", "unreachable")

    @property
    def may_have_happened(self) -> bool:
        """Ask whether HubSpot may have done what was asked: only then can a repeat do it twice."""
        return self.kind in ("done", "partly", "unavailable", "unclear")

    def traced(self) -> str:
        """Write it with HubSpot's id of the answer, by which its support finds it."""
        return f"{self} (correlation id {self.correlation_id})" if self.correlation_id else str(self)

    def __str__(self) -> str:
        label = " ".join(str(part) for part in (self.status or "", self.category or self.policy) if part)
        names = f" [{', '.join(self.properties[:5])}]" if self.properties else ""
        return f"{self.kind}{f' ({label})' if label else ''}{f': {self.message}' if self.message else ''}{names}"


def json_of(raw: bytes) -> object:
    """Read a body as JSON: None when it is empty, `BROKEN` when it is something else."""
    if not raw.strip():
        return None
    try:
        return orjson.loads(raw)
    except orjson.JSONDecodeError:
        return BROKEN


def meaning_of(status: int, headers: Mapping[str, str], body: object) -> Meaning:
    """Tell what an answer means; `body` is what `json_of` made of it."""
    low = {str(name).lower(): str(value) for name, value in headers.items()}
    kind = _kind(status, body)
    if kind in ("done", "unclear"):
        message = "the answer is not JSON" if kind == "unclear" else ""
        return Meaning(kind=kind, status=status, message=message, correlation_id=_correlation(low, {}))
    fields = body if isinstance(body, dict) else {}
    meaning = _described(kind, status, fields)
    if not meaning.message:
        meaning = replace(meaning, message=_plain(status, body, low))
    return replace(
        meaning,
        policy=_policy(fields) if kind == "limited" else "",
        retry_after_ms=_retry_after(kind, low),
        correlation_id=_correlation(low, fields),
    )


def meanings_within(body: object) -> tuple[Meaning, ...]:
    """Tell what each error inside a partly done batch means."""
    return tuple(_item(error) for error in _errors(body if isinstance(body, dict) else {}))


def unreachable(message: str) -> Meaning:
    """Say that nothing was sent, so nothing happened."""
    return Meaning(kind="unreachable", message=message)


def unclear(message: str, *, status: int = 0) -> Meaning:
    """Say that the request went out and no whole answer came back."""
    return Meaning(kind="unclear", status=status, message=message)


def _kind(status: int, body: object) -> Kind:
    if 200 <= status < 300:
        if body is BROKEN:
            return "unclear"
        return "partly" if status == 207 or (isinstance(body, dict) and _errors(body)) else "done"
    if status == 400 and isinstance(body, dict) and "BAD_REFRESH_TOKEN" in (body.get("status"), body.get("category")):
        return "unauthorised"
    if status == 404 and body is BROKEN:
        return "invalid"  # a page where JSON was due: the path is wrong, no record is gone
    return _BY_STATUS.get(status) or ("unavailable" if status >= 500 else "invalid")


def _item(error: Mapping[str, object]) -> Meaning:
    category = _word(error.get("category")) or _word(error.get("errorType"))
    kind, status = _BY_CATEGORY.get(category, ("invalid", 400))
    meaning = _described(kind, status, error)
    policy = _policy(error) if kind == "limited" else ""
    return replace(meaning, policy=policy, correlation_id=_correlation({}, error))


def _described(kind: Kind, status: int, fields: Mapping[str, object]) -> Meaning:
    errors = _errors(fields)
    contexts = [_dict(error.get("context")) for error in (fields, *errors)]
    message = fields.get("message")
    text = message[:100_000] if isinstance(message, str) else ""
    return Meaning(
        kind=kind,
        status=status,
        category=_word(fields.get("category")) or _word(fields.get("errorType")),
        subcategory=_word(fields.get("subCategory")),
        message=_short(text),
        codes=_codes(errors, text),
        ids=_names([*_from(contexts, "ids", "id", "fromObjectId"), *_ids_in(text)]),
        traces=_names(_from(contexts, "objectWriteTraceId")),
        scopes=_words(_from(contexts, "requiredGranularScopes", "requiredScopes", "missingScopes")),
    )


def _codes(errors: Iterable[Mapping[str, object]], message: str) -> tuple[Code, ...]:
    """Gather the reasons from the error list, and from the list that HubSpot hides inside the message."""
    found: dict[str, dict[str, None]] = {}
    for error in errors:
        name = _word(error.get("code"))
        if name:
            context = _dict(error.get("context"))
            found.setdefault(name, {}).update(dict.fromkeys(_from([context], "propertyName", "propertyNames")))
    for entry in _hidden(message):
        name = _word(entry.get("error"))
        if name:
            found.setdefault(name, {}).update(dict.fromkeys(_texts(entry.get("name"))))
    return tuple(Code(name=name, properties=_words(names)) for name, names in found.items())


def _hidden(message: str) -> list[dict[str, object]]:
    _, bracket, rest = message.partition("[")
    inner = json_of((bracket + rest).strip().encode("utf-8", "replace")) if rest.lstrip().startswith("{") else None
    return _dicts(inner)


def _ids_in(text: str) -> list[str]:
    duplicates = _DUPLICATES.search(text)
    listed = re.findall(r"\d{1,20}", duplicates[1]) if duplicates else []
    return [*_EXISTING.findall(text), *listed]


def _policy(fields: Mapping[str, object]) -> Policy:
    """Tell which limit was hit: by its name, else by the wording, for search answers name no policy."""
    words = f"{_text(fields.get('policyName'))} {_text(fields.get('message'))}".lower()
    if "daily" in words:
        return "daily"
    if "secondly" in words and "ten_secondly" not in words and "ten secondly" not in words:
        return "secondly"
    return "ten_secondly"  # the longer wait is the safe guess


def _retry_after(kind: Kind, headers: Mapping[str, str]) -> int | None:
    told = _seconds(headers.get("retry-after", ""), headers.get("date", ""))
    if kind == "locked":
        return max(told or 0, _LOCK_MS)
    return told


def _seconds(text: str, date: str) -> int | None:
    """Read `Retry-After`, in seconds or as a date beside the answer's own date, as milliseconds."""
    try:
        wait = float(text) * 1_000
    except ValueError:
        try:
            wait = (parsedate_to_datetime(text) - parsedate_to_datetime(date)).total_seconds() * 1_000
        except (ValueError, TypeError, OverflowError, IndexError):
            return None
    return round(min(wait, _LONGEST_WAIT_MS)) if 0 <= wait < float("inf") else None


def _plain(status: int, body: object, headers: Mapping[str, str]) -> str:
    if 300 <= status < 400:
        return "redirected; redirects are not followed: `api_url` should be the final address"
    if body is BROKEN:
        kind = _word(headers.get("content-type", "").partition(";")[0]) or "unknown type"
        return f"a page ({kind}) came where JSON was expected"
    return ""


def _short(message: str) -> str:
    """Keep the sentence and drop what may be somebody's data: addresses, numbers, quoted values, lists of values."""
    head = re.split(r"[\[{]", message[:2_000], maxsplit=1)[0]
    if " was not " in head or " is not " in head:
        head = re.sub(r"^.* (?=(was|is) not )", "… ", head, count=1, flags=re.DOTALL)
    text = _EMAIL.sub("…", head)
    text = _QUOTED.sub("…", text)
    text = _LONG_NUMBER.sub("…", text)
    return " ".join(text.split())[:_MOST_TEXT].rstrip(" :")


def _correlation(headers: Mapping[str, str], fields: Mapping[str, object]) -> str:
    return _word(headers.get("x-hubspot-correlation-id")) or _word(fields.get("correlationId"))


def _errors(fields: Mapping[str, object]) -> list[dict[str, object]]:
    return _dicts(fields.get("errors"))


def _dicts(value: object) -> list[dict[str, object]]:
    return [entry for entry in value[:_MOST_ERRORS] if isinstance(entry, dict)] if isinstance(value, list) else []


def _dict(value: object) -> Mapping[str, object]:
    return value if isinstance(value, dict) else {}


def _from(contexts: Iterable[Mapping[str, object]], *keys: str) -> list[str]:
    return [text for context in contexts for key in keys for text in _texts(context.get(key))]


def _texts(value: object) -> list[str]:
    entries = value[:_MOST_NAMES] if isinstance(value, list) else [value]
    return [text for text in (_text(entry) for entry in entries) if text]


def _text(value: object) -> str:
    if isinstance(value, bool):
        return ""
    return str(value)[:_MOST_TEXT] if isinstance(value, str | int) else ""


def _names(texts: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(texts))[:_MOST_NAMES]


def _word(value: object) -> str:
    """Read a name that HubSpot gives to something; whatever else stands in its place may be somebody's data."""
    text = _text(value)
    return text if _WORD.fullmatch(text) else ""


def _words(texts: Iterable[str]) -> tuple[str, ...]:
    return _names(filter(None, map(_word, texts)))
