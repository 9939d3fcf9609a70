"""Whether HubSpot lets us in, and into the right portal; what the token may do; whether the clocks agree."""

from collections.abc import Iterator

from connector.config import Portal
from connector.diagnosis.check import INVALID, Check, broken, ok, roughly, warning
from connector.diagnosis.readings import Readings
from connector.hubspot.allowance import BudgetState
from connector.hubspot.failure import HubSpotError
from connector.moments import MINUTE, SECOND
from connector.needs import Scope, scopes
from connector.rulebook.pack import Pack
from connector.services import limits_of

_SKEW_TOLD = 30 * SECOND
_SKEW_REFUSED = 5 * MINUTE
_SCARCE = 0.1
_GRANT = "add it to the app in HubSpot and install the app again; where the token changes, put in the new one"
_PROBES = {
    "crm.objects.contacts.read": "objects/contacts", "crm.objects.companies.read": "objects/companies",
    "crm.objects.deals.read": "objects/deals", "crm.objects.owners.read": "owners",
}  # fmt: skip
"""By reading scope: what can be read with it alone."""


def token(portal: Portal, readings: Readings) -> Iterator[Check]:
    """Say whether the token is valid, and whose portal it opens."""
    account = readings.account()
    there = account.get("portalId")
    if str(there) != str(portal.id):
        found = f"the access token opens portal {there}, not {portal.id}: events and contacts would be another's"
        yield broken("token", found, f"use the token of portal {portal.id}, or correct its `id`", exit_code=INVALID)
        return
    kind = _kind(portal.access_token.get_secret_value().strip() if portal.access_token else None)
    said = [account.get(name) for name in ("accountType", "dataHostingLocation", "timeZone")]
    where = ", ".join(str(word) for word in said if word)
    yield ok("token", f"valid, {kind}; it opens portal {there}{f' ({where})' if where else ''}")


def app(portal: Portal, readings: Readings) -> Iterator[Check]:
    """Say whether the app's id is configured, by which own writes are recognised when they come back."""
    told = (readings.token() or {}).get("appId")
    if portal.app_id is None:
        value = f"app_id: {told}" if told else "the app's id as `app_id`"
        yield warning("app_id", "it is not configured; every own write is looked at once more", f"write {value}")
    elif told is not None and str(told) != str(portal.app_id):
        found = f"the token is of app {told}, the configuration says {portal.app_id}: own writes are not recognised"
        yield warning("app_id", found, f"write app_id: {told}")
    else:
        yield ok("app_id", f"{portal.app_id}" + ("" if told else "; HubSpot does not tell of which app the token is"))


def clock(readings: Readings) -> Iterator[Check]:
    """Compare this machine's clock with HubSpot's."""
    ahead = readings.hubspot.clock_ahead_ms
    if ahead is None:
        yield warning("clock", "HubSpot's answers name no time to compare with", "see that its time is right")
        return
    off = abs(ahead)
    found = f"this machine's clock is {roughly(off)} {'behind' if ahead > 0 else 'ahead of'} HubSpot's"
    cure = "set this machine's clock, best by NTP; webhooks that are off by five minutes or more are refused"
    if off >= _SKEW_REFUSED:
        yield broken("clock", found, cure)
    elif off > _SKEW_TOLD:
        yield warning("clock", found, cure)
    else:
        yield ok("clock", "it agrees with HubSpot's to within half a minute")


def granted(portal: Portal, pack: Pack, readings: Readings) -> Iterator[Check]:
    """Compare the scopes that the rules and options need with those of the token."""
    needed, told = scopes(portal, pack), readings.token()
    if told is None:
        yield from _probed(needed, readings)
        return
    have = {str(name) for name in told["scopes"]} if isinstance(told["scopes"], list) else set()
    missing = [scope for scope in needed if not scope.is_among(have)]
    yield from map(_missing, missing)
    if not missing:
        yield ok("scopes", f"all {len(needed)} that the rules and options need are there")


def _probed(needed: tuple[Scope, ...], readings: Readings) -> Iterator[Check]:
    """Try to read what can be read, for HubSpot does not list the scopes of this kind of token."""
    lacking = [scope for scope in needed if scope.name in _PROBES and not _may_read(_PROBES[scope.name], readings)]
    yield from map(_missing, lacking)
    unknown = [scope.name for scope in needed if scope.name not in _PROBES and not scope.instead]
    if unknown:
        found = f"HubSpot does not list this token's scopes, and reading does not show {', '.join(unknown)}"
        yield warning("scopes", found, "compare them with the scopes of the app in HubSpot")
    elif not lacking:
        yield ok("scopes", "all that the rules and options need are there")


def _may_read(place: str, readings: Readings) -> bool:
    try:
        readings.hubspot.look_into(place)
    except HubSpotError as failure:
        if failure.meaning.kind != "forbidden":
            raise
        return False
    return True


def _missing(scope: Scope) -> Check:
    found = f"{scope.name} is missing: {scope.why}"
    return broken("scopes", found, _GRANT) if scope.essential else warning("scopes", found, _GRANT)


def budget(portal: Portal, readings: Readings) -> Iterator[Check]:
    """Say how many calls are left, as HubSpot's answers tell."""
    limits, left = limits_of(portal), readings.budget.left()
    state = readings.budget.state()
    others = _others(state)
    found = (
        f"{left['ten_seconds']} of {limits.window} calls left in ten seconds, {left['day']} of {limits.day} today, "
        f"searches {limits.searches} a second{others}"
    )
    if left["day"] <= 0:
        yield broken("budget", found, "wait until HubSpot counts anew at midnight, or raise the account's limit")
    elif left["day"] < limits.day * _SCARCE:
        yield warning("budget", found, "see which apps use the account's calls; or raise its daily limit in HubSpot")
    else:
        yield ok("budget", found)


def _others(state: BudgetState) -> str:
    number = max((level for _, level in state.others), default=0)
    return f"; other apps made {number} calls in the last ten seconds" if number else ""


def _kind(text: str | None) -> str:
    """Say what kind of token it is, by what it begins with; None: it is not configured but granted."""
    if text is None:
        return "of an OAuth app, renewed by itself"
    if text.startswith("pat-"):
        return "the static token of an app"
    return "of an unknown kind: an OAuth token would end after half an hour"
