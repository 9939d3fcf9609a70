"""Paths: what a call is called in metrics, whether it may be repeated, and how its path is spelled in each version.

Written in the spelling of the official client (v3, and v4 for associations); `dated` respells it. v1 to v3 lose
support in September 2027 and v4 in March 2027, so the version is a setting, applied here and nowhere else.
https://developers.hubspot.com/docs/api-reference/overview
"""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

CallKind = Literal["call", "search", "exempt"]
"""Which limits a call counts for; exempt: the day's only."""

ACCOUNT = "/account-info/v3/details"
TOKEN_INFO = "/oauth/v2/private-apps/get/access-token-info"  # noqa: S105  # a path
UNSUBSCRIBE_ALL = "/communication-preferences/v4/statuses/{email}/unsubscribe-all"
PLAIN_VERSION = "v3"


@dataclass(frozen=True, kw_only=True, slots=True)
class Endpoint:
    """One kind of call; the name carries no ids, so it may label a metric."""

    name: str
    repeatable: bool
    kind: CallKind = "call"


# Repeatable: doing it twice leaves HubSpot as doing it once. Creating a property or a group is, for the second
# attempt is refused by its name; creating records is not, for HubSpot offers no idempotency key.
_REPEATABLE_POSTS = (
    "/crm/objects/{type}/batch/read",
    "/crm/objects/{type}/batch/update",
    "/crm/objects/{type}/batch/archive",
    "/crm/objects/{type}/search",
    "/crm/objects/{type}/gdpr-delete",
    "/crm/associations/{type}/{type}/batch/read",
    "/crm/properties/{type}",
    "/crm/properties/{type}/groups",
    "/communication-preferences/statuses/{id}/unsubscribe-all",
    TOKEN_INFO,
)
_OTHERS = (
    "/crm/objects/{type}",
    "/crm/objects/{type}/{id}",
    "/crm/objects/{type}/batch/create",
    "/crm/properties/{type}/{id}",
    "/crm/properties/{type}/groups/{id}",
    "/crm/pipelines/{type}",
    "/crm/owners",
    "/account-info/details",
)


def _pattern(template: str) -> re.Pattern[str]:
    return re.compile(template.replace("{type}", r"[a-z0-9_-]+").replace("{id}", r"[^/]+"))


def _compiled(templates: Iterable[str]) -> tuple[tuple[str, re.Pattern[str]], ...]:
    return tuple((template, _pattern(template)) for template in templates)


_KNOWN = _compiled((*_REPEATABLE_POSTS, *_OTHERS))
_VERSIONED = re.compile(r"^/(crm|account-info|communication-preferences)/v\d(?=/)")
_CRM = re.compile(r"^/crm/v[34]/(objects|associations|properties|pipelines|owners)(?=/|$)")
_APPS = re.compile(r"^/(account-info|communication-preferences)/v\d(?=/)")


def endpoint_of(method: str, path: str) -> Endpoint:
    """Tell what kind of call this is; an unknown POST counts as one that must not be repeated."""
    plain = _VERSIONED.sub(r"/\1", path).rstrip("/")
    template = next((template for template, pattern in _KNOWN if pattern.fullmatch(plain)), "")
    name = _named(template, plain) if template else "other"
    return Endpoint(
        name=f"{method} {name}",
        repeatable=method != "POST" or template in _REPEATABLE_POSTS,
        kind=_kind(template),
    )


def _kind(template: str) -> CallKind:
    """Tell which limits count a call; batches of associations are exempt from that of ten seconds.

    https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
    """
    if template.startswith("/crm/associations/"):
        return "exempt"
    return "search" if template.endswith("/search") else "call"


def dated(path: str, version: str) -> str:
    """Respell a path for a dated version (`2026-03`); `v3` leaves it as it is, but for a slash at the end."""
    path = path.rstrip("/")
    if version == PLAIN_VERSION:
        return path
    if _CRM.match(path):
        return _CRM.sub(rf"/crm/\1/{version}", path)
    return _APPS.sub(rf"/\1/{version}", path)


def _named(template: str, plain: str) -> str:
    """Put the object types back where the template has them; ids stay out."""
    words = zip(template.split("/"), plain.split("/"), strict=True)
    return "/".join(found if word == "{type}" else word for word, found in words)
