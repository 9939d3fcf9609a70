"""How HubSpot says no: the bodies of its errors, and the exception that carries one to the server."""

import uuid
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple

from connector.errors import StagekeeperError

JsonObject = dict[str, Any]


class Flaw(NamedTuple):
    """One thing wrong with one value in a write."""

    name: str
    code: str
    message: str


class Refusal(StagekeeperError):
    """The practice HubSpot refuses this call."""

    code: ClassVar[str] = "sandbox-refused"

    def __init__(self, status: int, body: JsonObject | bytes, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(body["message"] if isinstance(body, dict) else f"status {status}")
        self.status = status
        self.body = body
        self.headers = dict(headers or {})


def error_body(category: str, message: str, **more: Any) -> JsonObject:
    """Make the body that HubSpot sends with an error."""
    return {
        "status": "error",
        "message": message,
        "correlationId": str(uuid.uuid4()),
        "category": category,
        **more,
    }


def invalid(message: str, **more: Any) -> Refusal:
    """Refuse with 400 VALIDATION_ERROR."""
    return Refusal(400, error_body("VALIDATION_ERROR", message, **more))


def not_found(message: str = "resource not found", **more: Any) -> Refusal:
    """Refuse with 404 OBJECT_NOT_FOUND."""
    return Refusal(404, error_body("OBJECT_NOT_FOUND", message, **more))


def invalid_values(flaws: Sequence[Flaw]) -> Refusal:
    """Refuse with 400 and name every flaw; a flaw that means a conflict refuses with 409 as HubSpot does."""
    conflict = next((flaw for flaw in flaws if flaw.code == "CONFLICT"), None)
    if conflict:
        return Refusal(409, error_body("CONFLICT", conflict.message))
    return Refusal(400, error_body("VALIDATION_ERROR", flaws_message(flaws), errors=flaw_details(flaws)))


def flaws_message(flaws: Sequence[Flaw]) -> str:
    """Say in HubSpot's one sentence what is wrong with the values."""
    return "Property values were not valid: " + "; ".join(flaw.message for flaw in flaws)


def flaw_details(flaws: Sequence[Flaw]) -> list[JsonObject]:
    """List the flaws as the `errors` of an error body."""
    return [
        {"message": flaw.message, "code": flaw.code, "context": {"propertyName": [flaw.name]}}
        for flaw in flaws
    ]
