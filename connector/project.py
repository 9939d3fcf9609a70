"""The app as source files for HubSpot's developer platform: what it may do, and what it is told of.

The files follow from the pack and the portal's options alone and are the same at every writing, so that they can be
kept in git. Files that somebody has changed are never overwritten unasked, and then none is written.
https://developers.hubspot.com/docs/apps/developer-platform/build-apps/app-configuration
https://developers.hubspot.com/docs/apps/developer-platform/add-features/configure-webhooks
"""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from connector.config import Portal
from connector.errors import Refused, UsageError
from connector.needs import scopes, subscriptions
from connector.rulebook.pack import Pack

PROJECT = "hsproject.json"
APP = "src/app/app-hsmeta.json"
WEBHOOKS = "src/app/webhooks/webhooks-hsmeta.json"
_PLATFORM = "2026.03"
_AT_ONCE = 10
"""Requests that HubSpot may have under way: what it allows an account, and it demands more than five."""

Outcome = Literal["found", "made", "changed"]


@dataclass(frozen=True, kw_only=True, slots=True)
class WrittenFile:
    """A file of the project, and what became of it."""

    path: str
    outcome: Outcome


def project_files(portal: Portal, pack: Pack, redirect_url: str | None = None) -> Mapping[str, str]:
    """Give the text of every file, by its path within the project; `redirect_url` is that of an OAuth app."""
    app = _app(portal, pack, redirect_url)
    return {PROJECT: _text(_project()), APP: _text(app), WEBHOOKS: _text(_webhooks(portal, pack))}


def write_project(folder: Path, files: Mapping[str, str], *, force: bool = False) -> list[WrittenFile]:
    """Write the files; raises Refused when one is there that differs, unless it is forced."""
    there = {path: _held(folder / path) for path in files}
    differing = [path for path, text in files.items() if there[path] is not None and there[path] != text]
    if differing and not force:
        found = f"{', '.join(str(folder / path) for path in differing)} would be overwritten"
        raise Refused(f"{found}; expected what the rules and the configuration ask for; compare them, or use --force")
    written = []
    for path, text in files.items():
        if there[path] != text:
            _write(folder / path, text)
        outcome: Outcome = "made" if there[path] is None else "changed" if path in differing else "found"
        written.append(WrittenFile(path=path, outcome=outcome))
    return written


def _project() -> dict[str, Any]:
    return {"name": "stagekeeper", "srcDir": "src", "platformVersion": _PLATFORM}


def _app(portal: Portal, pack: Pack, redirect_url: str | None) -> dict[str, Any]:
    """Describe an app with a static token, or with OAuth: required scopes only, and for accounts of one's own."""
    needed = [scope.name for scope in scopes(portal, pack)]
    auth: dict[str, Any] = {"type": "static", "requiredScopes": needed}
    if portal.oauth is not None:
        required = sorted({"oauth", *needed})
        auth = {"type": "oauth", "redirectUrls": [redirect_url], "requiredScopes": required, "optionalScopes": []}
    return {
        "uid": "stagekeeper",
        "type": "app",
        "config": {
            "name": "Stagekeeper",
            "description": "Keeps every contact in the right lifecycle stage, by rules, and says why.",
            "distribution": "private",
            "auth": auth,
            "permittedUrls": {"fetch": [], "iframe": [], "img": []},
        },
    }


def _webhooks(portal: Portal, pack: Pack) -> dict[str, Any]:
    """Describe the subscriptions, in the types whose events are documented whole."""
    hub: list[dict[str, Any]] = []
    classic: list[dict[str, Any]] = []
    for each in subscriptions(pack):
        named = {"propertyName": each.property} if each.property else {}
        entry = {"subscriptionType": each.type, **named, "active": True}
        (hub if each.type == "contact.privacyDeletion" else classic).append(entry)
    return {
        "uid": "stagekeeper_webhooks",
        "type": "webhooks",
        "config": {
            "settings": {"targetUrl": portal.webhook_url, "maxConcurrentRequests": _AT_ONCE},
            "subscriptions": {"crmObjects": [], "legacyCrmObjects": classic, "hubEvents": hub},
        },
    }


def _text(data: Mapping[str, Any]) -> str:
    return json.dumps(data, indent=2, ensure_ascii=False) + "\n"


def _held(path: Path) -> str | None:
    """Read what is there; a file that is no text differs from any."""
    try:
        return path.read_bytes().decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise _unusable(path, error) from error


def _write(path: Path, text: str) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8", newline="\n")
    except OSError as error:
        raise _unusable(path, error) from error


def _unusable(path: Path, error: OSError) -> UsageError:
    found = f"{path} cannot be read or written ({error.strerror or type(error).__name__})"
    return UsageError(f"{found}; expected a place for a project's files; name another folder")
