"""Paths of the practice HubSpot: one name for one call, whatever its version."""

import pytest

from connector.sandbox.routes import ROUTES, RouteTable, without_version


@pytest.mark.parametrize(("path", "plain"), [
    ("/crm/v3/objects/contacts", "/crm/objects/contacts"),
    ("/crm/objects/2026-03/contacts/1", "/crm/objects/contacts/1"),
    ("/crm/objects/2026-09/contacts/1", "/crm/objects/contacts/1"),
    ("/crm/v4/objects/contacts/1/associations/tasks", "/crm/objects/contacts/1/associations/tasks"),
    ("/crm/v4/associations/contacts/tasks/batch/read", "/crm/associations/contacts/tasks/batch/read"),
    ("/crm/associations/2026-03/contacts/tasks/batch/read", "/crm/associations/contacts/tasks/batch/read"),
    ("/crm/v3/owners", "/crm/owners"), ("/crm/owners/2026-03/5", "/crm/owners/5"),
    ("/oauth/v3/token", "/oauth/token"), ("/account-info/2026-09/details", "/account-info/details"),
    ("/crm/v4/objects/contacts", None), ("/crm/v3/objects/contacts/1/associations/tasks", None),
    ("/crm/v5/objects/contacts", None), ("/crm/objects/2025-01/contacts", None), ("/contacts/v1/contact", None),
])  # fmt: skip
def test_versions_are_taken_out_of_paths(path: str, plain: str | None) -> None:
    assert without_version(path) == plain


@pytest.mark.parametrize(("method", "path", "name", "scopes"), [
    ("POST", "/crm/v3/objects/0-1/batch/read", "/crm/objects/contacts/batch/read", ("crm.objects.contacts.read",)),
    ("POST", "/crm/v3/objects/tasks/batch/create", "/crm/objects/tasks/batch/create", ("crm.objects.contacts.write",)),
    ("GET", "/crm/v3/objects/deal/5", "/crm/objects/deals/{id}", ("crm.objects.deals.read",)),
    ("POST", "/crm/v4/associations/contact/0-3/batch/read", "/crm/associations/contacts/deals/batch/read",
     ("crm.objects.contacts.read", "crm.objects.deals.read")),
    ("POST", "/crm/v3/properties/contacts/groups", "/crm/properties/contacts/groups", ("crm.schemas.contacts.write",)),
    ("GET", "/crm/v3/properties/contacts/groups", "/crm/properties/contacts/groups", ("crm.objects.contacts.read",)),
    ("GET", "/crm/v3/properties/contacts/email", "/crm/properties/contacts/{name}", ("crm.objects.contacts.read",)),
    ("POST", "/oauth/v1/token", "/oauth/token", ()),
    ("GET", "/crm/v3/owners/", "/crm/owners", ("crm.objects.owners.read",)),
])  # fmt: skip
def test_a_call_has_one_name_and_its_scopes(method: str, path: str, name: str, scopes: tuple[str, ...]) -> None:
    match = RouteTable().find(method, path)
    assert match is not None
    assert (match.name, match.scopes()) == (name, scopes)


def test_searches_and_association_batches_are_limited_in_their_own_way() -> None:
    table = RouteTable()
    search = table.find("POST", "/crm/v3/objects/contacts/search")
    links = table.find("POST", "/crm/v4/associations/contacts/tasks/batch/read")
    read = table.find("POST", "/crm/v3/objects/contacts/batch/read")
    assert [(one.is_search, one.is_exempt) for one in (search, links, read) if one] == [
        (True, False), (False, True), (False, False),
    ]  # fmt: skip


def test_every_route_is_found_by_its_own_path() -> None:
    table = RouteTable()
    for route in ROUTES:
        family, _, rest = route.path.removeprefix("/crm").strip("/").partition("/")
        base = f"/crm/{family}/2026-03" if route.path.startswith("/crm") else f"/{family}/2026-03"
        path = "/".join([base, *(["x" if word[:1] == "{" else word for word in rest.split("/")] if rest else [])])
        match = table.find(route.method, path)
        assert match is not None
        assert match.route == route
