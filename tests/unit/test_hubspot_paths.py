"""Paths: names without ids, what may be repeated, and the dated spelling."""

import pytest

from connector.hubspot.paths import CallKind, Endpoint, dated, endpoint_of


@pytest.mark.parametrize(
    ("method", "path", "name", "repeatable", "kind"),
    [
        ("POST", "/crm/v3/objects/contacts/batch/read", "POST /crm/objects/contacts/batch/read", True, "call"),
        ("POST", "/crm/v3/objects/contacts/batch/update", "POST /crm/objects/contacts/batch/update", True, "call"),
        ("POST", "/crm/v3/objects/tasks/batch/create", "POST /crm/objects/tasks/batch/create", False, "call"),
        ("POST", "/crm/v3/objects/contacts/search", "POST /crm/objects/contacts/search", True, "search"),
        ("POST", "/crm/v3/objects/contacts/gdpr-delete", "POST /crm/objects/contacts/gdpr-delete", True, "call"),
        ("GET", "/crm/v3/objects/contacts", "GET /crm/objects/contacts", True, "call"),
        ("GET", "/crm/v3/objects/contacts/123", "GET /crm/objects/contacts/{id}", True, "call"),
        ("POST", "/crm/v3/objects/contacts", "POST /crm/objects/contacts", False, "call"),
        (
            "POST", "/crm/v4/associations/contacts/deals/batch/read",
            "POST /crm/associations/contacts/deals/batch/read", True, "exempt",
        ),
        ("GET", "/crm/v3/properties/contacts", "GET /crm/properties/contacts", True, "call"),
        ("POST", "/crm/v3/properties/tasks", "POST /crm/properties/tasks", True, "call"),
        ("PATCH", "/crm/v3/properties/contacts/sk_need", "PATCH /crm/properties/contacts/{id}", True, "call"),
        ("POST", "/crm/v3/properties/contacts/groups", "POST /crm/properties/contacts/groups", True, "call"),
        ("GET", "/crm/v3/owners/", "GET /crm/owners", True, "call"),
        ("GET", "/account-info/v3/details", "GET /account-info/details", True, "call"),
        (
            "POST", "/communication-preferences/v4/statuses/ana%40example.com/unsubscribe-all",
            "POST /communication-preferences/statuses/{id}/unsubscribe-all", True, "call",
        ),
        ("POST", "/something/else", "POST other", False, "call"),
        ("PUT", "/something/else/77", "PUT other", True, "call"),
    ],
)  # fmt: skip
def test_an_endpoint_is_named_without_ids(method: str, path: str, name: str, repeatable: bool, kind: CallKind) -> None:
    assert endpoint_of(method, path) == Endpoint(name=name, repeatable=repeatable, kind=kind)


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ("/crm/v3/objects/contacts/batch/read", "/crm/objects/2026-03/contacts/batch/read"),
        ("/crm/v3/objects/contacts/123", "/crm/objects/2026-03/contacts/123"),
        ("/crm/v4/associations/contacts/deals/batch/read", "/crm/associations/2026-03/contacts/deals/batch/read"),
        ("/crm/v4/objects/contacts/1/associations/deals", "/crm/objects/2026-03/contacts/1/associations/deals"),
        ("/crm/v3/properties/contacts/groups", "/crm/properties/2026-03/contacts/groups"),
        ("/crm/v3/pipelines/deals", "/crm/pipelines/2026-03/deals"),
        ("/crm/v3/owners/", "/crm/owners/2026-03"),
        ("/account-info/v3/details", "/account-info/2026-03/details"),
        ("/communication-preferences/v4/statuses/a/unsubscribe-all",
         "/communication-preferences/2026-03/statuses/a/unsubscribe-all"),
        ("/oauth/v3/token", "/oauth/v3/token"),
    ],
)  # fmt: skip
def test_a_path_is_respelled_for_a_dated_version_and_left_alone_for_v3(path: str, expected: str) -> None:
    assert (dated(path, "2026-03"), dated(path, "v3")) == (expected, path.rstrip("/"))
