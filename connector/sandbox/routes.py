"""From a path to what answers it. HubSpot's version 3 or 4 and its dated paths are the same calls.

A route's name leaves the version out and spells the kind of record in full: `/crm/objects/contacts/batch/read`.
"""

import re
from collections.abc import Callable
from typing import NamedTuple

from connector.sandbox import account_routes as account
from connector.sandbox import association_routes as associations
from connector.sandbox import batch_routes as batches
from connector.sandbox import oauth_routes as oauth
from connector.sandbox import object_routes as objects
from connector.sandbox import property_routes as properties
from connector.sandbox.exchange import Answer, Call
from connector.sandbox.kinds import find_kind
from connector.sandbox.portal import Portal
from connector.sandbox.search import search

Responder = Callable[[Portal, Call], Answer]
_VERSIONED = re.compile(
    r"/crm/(?:(?P<old>v[34])/(?P<family>objects|associations|properties|pipelines|owners)"
    r"|(?P<dated>objects|associations|properties|pipelines|owners)/20\d\d-\d\d)(?P<rest>/.*)?"
)
_DATES = re.compile(r"/2026-(03|09)(/|$)")
_OTHER = re.compile(r"/(account-info|oauth|communication-preferences)/(v1|v2|v3|v4|2026-03|2026-09)(/.*)")


class Route(NamedTuple):
    """One route. `scope` is read or write of what the path is about, or a scope by its name."""

    method: str
    path: str
    responder: Responder
    scope: str


class Match(NamedTuple):
    """A route that fits a path."""

    route: Route
    name: str
    parts: dict[str, str]

    @property
    def is_search(self) -> bool:
        """Ask whether the call has the rate limit of searches."""
        return self.route.responder is search

    @property
    def is_exempt(self) -> bool:
        """Ask whether the call is exempt from the limit per ten seconds, as association batches are."""
        return self.name.startswith("/crm/associations/") and "/batch/" in self.name

    def scopes(self) -> tuple[str, ...]:
        """Name the scopes that the call needs."""
        if self.route.scope not in ("read", "write"):
            return (self.route.scope,) if self.route.scope else ()
        kinds = [find_kind(self.parts[part]) for part in ("type", "from", "to") if part in self.parts]
        return tuple(dict.fromkeys(f"{kind.scope}.{self.route.scope}" for kind in kinds if kind is not None))


ROUTES = (
    Route("POST", "/crm/objects/{type}/batch/read", batches.read_batch, "read"),
    Route("POST", "/crm/objects/{type}/batch/create", batches.create_batch, "write"),
    Route("POST", "/crm/objects/{type}/batch/update", batches.update_batch, "write"),
    Route("POST", "/crm/objects/{type}/batch/upsert", batches.upsert_batch, "write"),
    Route("POST", "/crm/objects/{type}/batch/archive", batches.archive_batch, "write"),
    Route("POST", "/crm/objects/{type}/search", search, "read"),
    Route("POST", "/crm/objects/{type}/merge", objects.merge, "write"),
    Route("POST", "/crm/objects/{type}/gdpr-delete", objects.gdpr_delete, "write"),
    Route("GET", "/crm/objects/{type}", objects.list_all, "read"),
    Route("POST", "/crm/objects/{type}", objects.create_one, "write"),
    Route("GET", "/crm/objects/{type}/{id}", objects.read_one, "read"),
    Route("PATCH", "/crm/objects/{type}/{id}", objects.update_one, "write"),
    Route("DELETE", "/crm/objects/{type}/{id}", objects.delete_one, "write"),
    Route("GET", "/crm/objects/{type}/{id}/associations/{to}", associations.read_one, "read"),
    Route("PUT", "/crm/objects/{type}/{id}/associations/default/{to}/{to_id}", associations.put_default, "write"),
    Route("PUT", "/crm/objects/{type}/{id}/associations/{to}/{to_id}", associations.put_labelled, "write"),
    Route("DELETE", "/crm/objects/{type}/{id}/associations/{to}/{to_id}", associations.remove, "write"),
    Route("POST", "/crm/associations/{from}/{to}/batch/read", associations.read_batch, "read"),
    Route("POST", "/crm/associations/{from}/{to}/batch/create", associations.create_batch, "write"),
    Route(
        "POST", "/crm/associations/{from}/{to}/batch/associate/default", associations.create_default_batch, "write"
    ),
    Route("GET", "/crm/associations/{from}/{to}/labels", associations.labels, "read"),
    Route("GET", "/crm/properties/{type}", properties.list_all, "read"),
    Route("POST", "/crm/properties/{type}", properties.create_one, "crm.schemas.contacts.write"),
    Route("POST", "/crm/properties/{type}/batch/create", properties.create_batch, "crm.schemas.contacts.write"),
    Route("POST", "/crm/properties/{type}/batch/read", properties.read_batch, "read"),
    Route("GET", "/crm/properties/{type}/groups", properties.list_groups, "read"),
    Route("POST", "/crm/properties/{type}/groups", properties.create_group, "crm.schemas.contacts.write"),
    Route("GET", "/crm/properties/{type}/groups/{name}", properties.read_group, "read"),
    Route("GET", "/crm/properties/{type}/{name}", properties.read_one, "read"),
    Route("PATCH", "/crm/properties/{type}/{name}", properties.change_one, "crm.schemas.contacts.write"),
    Route("DELETE", "/crm/properties/{type}/{name}", properties.archive_one, "crm.schemas.contacts.write"),
    Route("GET", "/crm/pipelines/{type}", account.list_pipelines, "read"),
    Route("GET", "/crm/pipelines/{type}/{id}", account.read_pipeline, "read"),
    Route("GET", "/crm/pipelines/{type}/{id}/stages", account.list_stages, "read"),
    Route("GET", "/crm/owners", account.list_owners, "crm.objects.owners.read"),
    Route("GET", "/crm/owners/{id}", account.read_owner, "crm.objects.owners.read"),
    Route("GET", "/account-info/details", account.details, ""),
    Route("GET", oauth.AUTHORIZE, oauth.authorize, ""),
    Route("POST", "/oauth/token", oauth.grant_token, ""),
    Route("GET", "/oauth/access-tokens/{token}", oauth.access_token, ""),
    Route("GET", "/oauth/refresh-tokens/{token}", oauth.refresh_token, ""),
    Route("DELETE", "/oauth/refresh-tokens/{token}", oauth.revoke_refresh_token, ""),
    Route("POST", "/oauth/private-apps/get/access-token-info", account.token_info, ""),
    Route("GET", "/communication-preferences/definitions", account.definitions, "communication_preferences.read"),
    Route(
        "GET", "/communication-preferences/statuses/{email}", account.read_statuses, "communication_preferences.read"
    ),
    Route(
        "POST", "/communication-preferences/statuses/{email}", account.write_status, "communication_preferences.write"
    ),
    Route(
        "GET", "/communication-preferences/statuses/{email}/unsubscribe-all", account.read_unsubscribed,
        "communication_preferences.read",
    ),
    Route(
        "POST", "/communication-preferences/statuses/{email}/unsubscribe-all", account.unsubscribe_all,
        "communication_preferences.write",
    ),
)  # fmt: skip


class RouteTable:
    """Finds the route of a path; literal words win over braces."""

    def __init__(self, routes: tuple[Route, ...] = ROUTES) -> None:
        self._by_shape: dict[tuple[str, int], list[tuple[Route, list[str]]]] = {}
        for route in sorted(routes, key=lambda one: one.path.count("{")):
            words = route.path.split("/")
            self._by_shape.setdefault((route.method, len(words)), []).append((route, words))

    def find(self, method: str, path: str) -> Match | None:
        """Find the route; None when HubSpot has no such path."""
        plain = without_version(path.rstrip("/"))
        if plain is None:
            return None
        given = plain.split("/")
        for route, words in self._by_shape.get((method, len(given)), ()):
            if all(word == have or (word[:1] == "{" and have) for word, have in zip(words, given, strict=True)):
                parts = {word[1:-1]: have for word, have in zip(words, given, strict=True) if word[:1] == "{"}
                return Match(route, _name(words, parts), parts)
        return None


def without_version(path: str) -> str | None:
    """Take the version out of a path; None when HubSpot has no such version."""
    match = _VERSIONED.fullmatch(path)
    if match:
        if match["dated"] and not _DATES.search(path):
            return None
        family, rest = match["family"] or match["dated"], match["rest"] or ""
        fits = ("/associations" in path) == (match["old"] == "v4")
        return f"/crm/{family}{rest}" if match["dated"] or fits else None
    if path == oauth.AUTHORIZE:  # a page for people, which has no version
        return path
    other = _OTHER.fullmatch(path)
    return f"/{other[1]}{other[3]}" if other else None


def _name(words: list[str], parts: dict[str, str]) -> str:
    shown = []
    for word in words:
        kind = find_kind(parts[word[1:-1]]) if word in ("{type}", "{from}", "{to}") else None
        shown.append(kind.plural if kind else word)
    return "/".join(shown)
