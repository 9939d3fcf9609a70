"""What HubSpot refuses or leaves open, as exceptions: one for a call, one for everything in the portal."""

from datetime import UTC, datetime
from typing import ClassVar

from connector.errors import StagekeeperError
from connector.hubspot.meaning import Meaning

_WHOLE_PORTAL = frozenset({"unauthorised", "forbidden", "migrating"})
_HOUR_MS = 3_600_000


class HubSpotError(StagekeeperError):
    """HubSpot did not do what was asked."""

    code: ClassVar[str] = "hubspot"
    exit_code: ClassVar[int] = 5

    def __init__(self, message: str = "", *, meaning: Meaning) -> None:
        super().__init__(message or str(meaning))
        self.meaning = meaning


class PortalTrouble(HubSpotError):
    """No call for this portal can go well until somebody acts, or until a time."""

    code: ClassVar[str] = "portal-trouble"

    def __init__(self, message: str = "", *, meaning: Meaning, cure: str, until: int | None = None) -> None:
        super().__init__(message, meaning=meaning)
        self.cure = cure
        self.until = until


def concerns_portal(meaning: Meaning) -> bool:
    """Ask whether every other call for the portal would fare the same."""
    return meaning.kind in _WHOLE_PORTAL or meaning.policy == "daily"


def failure_of(meaning: Meaning, *, portal: int, endpoint: str, now: int, until: int | None = None) -> HubSpotError:
    """Make the exception that a meaning calls for."""
    found = f"HubSpot portal {portal}: {endpoint}: {meaning.traced()}"
    if not concerns_portal(meaning):
        return HubSpotError(found, meaning=meaning)
    if meaning.kind == "migrating":
        until = now + (meaning.retry_after_ms or _HOUR_MS)
    cure = _cure(meaning, until)
    return PortalTrouble(f"{found}; {cure}", meaning=meaning, cure=cure, until=until)


def _cure(meaning: Meaning, until: int | None) -> str:
    if meaning.kind == "unauthorised":
        return (
            "set a valid `access_token` for this portal (it may have been rotated, or the app uninstalled), "
            "then start Stagekeeper again; when it becomes valid again, work goes on by itself; where the portal has "
            "`oauth`, connect it anew on the page /connect"
        )
    if meaning.kind == "forbidden":
        scopes = f" the scopes {', '.join(meaning.scopes)}" if meaning.scopes else " the scopes that the README lists"
        return f"give the app{scopes} in HubSpot; work then goes on by itself"
    at = datetime.fromtimestamp(until / 1_000, tz=UTC).isoformat(timespec="minutes") if until else "later"
    if meaning.kind == "migrating":
        return f"nothing to do: HubSpot is moving the account, work goes on by itself at {at}"
    return f"nothing to do: work goes on by itself at {at}; if it happens often, raise the account's daily limit"
