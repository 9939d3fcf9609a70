"""One check: what was looked at, what was found, what to do about it; and how none of them hides another."""

from collections.abc import Callable, Collection, Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any, Literal

from connector.config import Config
from connector.errors import StagekeeperError
from connector.hubspot.failure import PortalTrouble
from connector.moments import DAY, HOUR, MINUTE, SECOND, write_duration
from connector.store.engine import password_in

State = Literal["ok", "warning", "broken"]
INVALID, UNREACHABLE = 3, 5
"""What a broken check says of the exit code: files are wrong, or something cannot be reached or used."""
_SHORTEST_SECRET = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Check:
    """What one check found."""

    id: str
    state: State
    found: str
    cure: str = ""
    portal: int | None = None
    exit_code: int = UNREACHABLE

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {name: getattr(self, name) for name in ("id", "portal", "state", "found", "cure")}


def ok(id_: str, found: str) -> Check:
    """Say that something is well."""
    return Check(id=id_, state="ok", found=found)


def warning(id_: str, found: str, cure: str) -> Check:
    """Say that something is not as it should be, though work goes on."""
    return Check(id=id_, state="warning", found=found, cure=cure)


def broken(id_: str, found: str, cure: str, *, exit_code: int = UNREACHABLE) -> Check:
    """Say that something does not work."""
    return Check(id=id_, state="broken", found=found, cure=cure, exit_code=exit_code)


def examined(
    id_: str, examine: Callable[[], Iterable[Check]], *, portal: int | None = None, secrets: Collection[str] = ()
) -> Iterator[Check]:
    """Give what a check finds; when it fails itself, that is what it finds, and the next one goes on."""
    try:
        found = list(examine())
    except StagekeeperError as error:
        found = [failed(id_, error)]
    except Exception as error:  # noqa: BLE001 - whatever is wrong with one check must not hide what the others find
        text = f"it could not be examined: {type(error).__name__}: {error}"
        found = [broken(id_, text.splitlines()[0][:300], "tell the makers of Stagekeeper, with this line")]
    for check in found:
        yield replace(cleaned(check, secrets), portal=portal)


def failed(id_: str, error: StagekeeperError) -> Check:
    """Make a check of what went wrong; our messages end with what to do."""
    code = INVALID if error.exit_code == INVALID else UNREACHABLE
    if isinstance(error, PortalTrouble):
        return broken(id_, str(error).removesuffix(f"; {error.cure}"), error.cure, exit_code=code)
    found, _, cure = str(error).rpartition("; ")
    again = "try again; when it stays so, look into the log"
    return broken(id_, found or cure, cure if found else again, exit_code=code)


def secrets_of(config: Config) -> frozenset[str]:
    """Name every text that must never be shown."""
    given = [config.server.ops_token, config.server.read_token]
    given += [secret for portal in config.portals for secret in (portal.access_token, portal.client_secret)]
    given += config.oauth.keys if config.oauth else []
    texts = [secret.get_secret_value().strip() for secret in given if secret is not None]
    return frozenset(text for text in (*texts, password_in(config.database)) if len(text) >= _SHORTEST_SECRET)


def cleaned(check: Check, secrets: Collection[str]) -> Check:
    """Leave secrets out of a check."""
    return replace(check, found=_without(secrets, check.found), cure=_without(secrets, check.cure))


def _without(secrets: Collection[str], text: str) -> str:
    """Leave secrets out of a text, the longest first: one may be part of another."""
    for secret in sorted(secrets, key=len, reverse=True):
        text = text.replace(secret, "…")
    return text


def some(names: Iterable[str], most: int = 8) -> str:
    """List names, not too many."""
    listed = list(names)
    more = len(listed) - most
    return ", ".join(listed[:most]) + (f" and {more} more" if more > 0 else "")


def roughly(duration: int) -> str:
    """Write a duration as people say it: its largest unit."""
    size = next((size for size in (DAY, HOUR, MINUTE) if duration >= size), SECOND)
    return write_duration(duration - duration % size) if duration >= SECOND else "a moment"
