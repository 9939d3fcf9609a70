"""The schema of the configuration. Every value may be taken from elsewhere, as in `${HUBSPOT_ACCESS_TOKEN}`."""

from collections.abc import Mapping
from typing import Any

from connector.config import Config
from connector.schema.offers import Offers, Schema, address, one_of
from connector.schema.patterns import DURATION, NAME, NUMBER, REFERENCE, whole
from connector.schema.shapes import shapes, titled

SAID: Mapping[str, str] = {
    "Config": "Stagekeeper's configuration; any value may be `${NAME}`, `${NAME:-default}` or `${file:/path}`.",
    "Worker": "How waiting contacts are worked off.",
    "Config.version": "Always 1.",
    "Config.database": "`sqlite:///stagekeeper.db`, or `postgresql://user:password@host/name` for several machines.",
    "Config.server": "Where the receiver listens and who may look.",
    "Config.worker": "How waiting contacts are worked off.",
    "Config.log": "How and how much is logged.",
    "Config.oauth": "Only for portals of an OAuth app: how their tokens are kept, and where HubSpot sends people back.",
    "OAuth": "How the tokens of OAuth portals are kept, and where HubSpot sends people back.",
    "OAuth.keys": "32 random bytes in URL-safe base64 each: the first one encrypts the tokens, each may decrypt them.",
    "OAuth.redirect_url": "The app's redirect URL, byte for byte: this page's address and `/oauth/callback`.",
    "OAuth.authorize_url": "Where HubSpot asks people to install the app.",
    "Config.portals": "The HubSpot portals.",
    "Server.bind": "Address and port, as in `127.0.0.1:8080`; put a proxy with TLS in front.",
    "Server.ops_token": "Opens the web page and /metrics; without one they answer on loopback only.",
    "Server.read_token": "Opens both to look at, not to act; needs an ops token.",
    "Server.proxies": "How many proxies of our own stand in front; they name the client in X-Forwarded-For.",
    "Server.threads": "How many requests are answered side by side.",
    "Worker.settle": "How long a contact's events are gathered before it is judged, as in `2s`.",
    "Worker.lease": "After how long a claim runs out and another worker takes it, as in `5 minutes`.",
    "Worker.threads": "How many claims of one portal are worked off side by side while it has a backlog.",
    "Worker.keep_events": "For how long judged events are kept; at least `3 days`.",
    "Worker.keep_records": "How long decisions are kept, at least `30 days`, but each contact's last; or `forever`.",
    "Worker.attempts": "After how many attempts a contact is a dead letter.",
    "Worker.reconcile_every": "How often HubSpot is asked what has changed, for missed webhooks; or `never`.",
    "Worker.driver": "auto: a thread on SQLite, Procrastinate on PostgreSQL; thread: also there, without its queue.",
    "Worker.metrics": "Where a worker that runs alone answers /metrics, as in `127.0.0.1:9464`; left out, nowhere.",
    "Log.format": "json for machines, console for people.",
    "Log.level": "What is logged: this and what is worse.",
    "Portal.id": "The portal (hub) id, shown in HubSpot's account menu.",
    "Portal.name": "What people call it.",
    "Portal.access_token": "Of the app that you made in HubSpot; better `${NAME}` than the token itself.",
    "Portal.oauth": "In place of `access_token`: the OAuth app that is installed into the portal.",
    "Installed": "The OAuth app that is installed into a portal.",
    "Installed.client_id": "The app's client id; its secret stands in `client_secret`.",
    "Portal.client_secret": "Of the same app; HubSpot signs its webhooks with it.",
    "Portal.app_id": "Of the same app; its own writes come back with this id.",
    "Portal.webhook_url": "Byte for byte the target URL set in HubSpot.",
    "Portal.allow_v1": "Takes HubSpot's oldest signatures too; better not.",
    "Portal.api_url": "Where HubSpot's API answers.",
    "Portal.api_version": "How paths of the API are spelled.",
    "Portal.rules": "The pack, absolute or relative to this file.",
    "Portal.shadow": "A candidate pack that runs beside `rules` on live traffic and writes nothing.",
    "Portal.mode": "live, or shadow: decide and record, write nothing.",
    "Portal.stages": "The pack's stages as values of HubSpot's lifecycle stage; custom stages have numbers.",
    "Portal.limits": "What HubSpot allows this portal.",
    "Portal.human_wins_for": "For how long a stage that a person set is left as it is, as in `7 days`.",
    "Portal.allow": "What the rules may do beyond properties and tasks.",
    "Portal.owners": "Who gets a task when the contact has no owner.",
    "Portal.calendar": "The working days, and when people are left alone.",
    "Limits.calls_per_10s": "Calls in ten seconds.",
    "Limits.calls_per_day": "Calls in a day.",
    "Limits.reserve": "The share that is left to the portal's other apps, from 0 to below 1.",
    "Allow.backward_moves": "Whether rules with `backward: true` may move HubSpot's stage back.",
    "Allow.create_deals": "Whether deals may be opened.",
    "Allow.erase_contacts": "Whether people may be erased from HubSpot. It is for ever.",
    "Owners.default": "The address of a HubSpot user.",
    "Calendar.time_zone": "As in `Europe/Berlin`.",
    "Calendar.working_days": "The days on which business days are counted.",
    "Calendar.holidays": "A country's code, with a region as in `DE-BY`.",
    "Calendar.quiet_hours": "The time of day in which no task falls due.",
    "QuietHours.from": "As in `18:30`.",
    "QuietHours.to": "As in `08:00`.",
}
_REFERENCE: Schema = {"type": "string", "pattern": REFERENCE}
_SETTLED = frozenset({"Config.version", "Config.portals"})
"""Here no reference can stand: one is always a text."""


def config_schema(offers: Offers) -> Schema:
    """Give the schema of the configuration."""
    made = shapes(Config, said=SAID, instead=_instead(offers))
    for name, shape in made.items():
        for key, one in shape["properties"].items():
            if f"{name}.{key}" not in _SETTLED:
                _open_to_references(one)
    return titled("The configuration of Stagekeeper", made.pop("Config"), made)


def _instead(offers: Offers) -> dict[str, Schema]:
    duration: Schema = {"type": "string", "pattern": whole(DURATION)}
    secret: Schema = {"type": "string", "pattern": r"\S"}
    url: Schema = {"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://"}
    time: Schema = {"type": "string", "pattern": r"^\d+:\d+$"}
    stage = one_of(offers.stages, others={"type": ["string", "number", "boolean"]})
    default_owner: Schema = address(offers) if offers.owners else {"type": "string"}
    return {
        **dict.fromkeys(("Worker.settle", "Worker.lease", "Worker.keep_events", "Portal.human_wins_for"), duration),
        **dict.fromkeys(("Portal.access_token", "Portal.client_secret"), secret),
        **dict.fromkeys(("Portal.webhook_url", "Portal.api_url", "OAuth.redirect_url", "OAuth.authorize_url"), url),
        **dict.fromkeys(("QuietHours.from", "QuietHours.to"), time),
        "Worker.reconcile_every": {"type": "string", "default": "15 minutes", "pattern": rf"^never$|{whole(DURATION)}"},
        "Worker.keep_records": {"type": "string", "default": "730 days", "pattern": rf"^forever$|{whole(DURATION)}"},
        "Server.bind": {"type": "string", "default": "127.0.0.1:8080", "pattern": r"^.+:\d+$"},
        "Worker.metrics": {"type": "string", "pattern": r"^.+:\d+$"},
        "Portal.stages": {"type": "object", "propertyNames": {"pattern": f"^{NAME}$"}, "additionalProperties": stage},
        "Owners.default": {"anyOf": [default_owner, {"type": "null"}]},
    }


def _open_to_references(key: dict[str, Any]) -> None:
    """Let `${NAME}` stand for a value, and a number in quotes for a number, as references leave them."""
    if "allOf" in key or key.get("type") == "object":
        return
    if key.get("type") == "array":
        items = key["items"]
        if "$ref" not in items:
            key["items"] = {"anyOf": [items, _REFERENCE]}
        return
    value = {name: key.pop(name) for name in list(key) if name not in ("description", "default")}
    said = str(value)
    if value == {"type": "string"}:
        key |= value
        return
    numeric: list[Schema] = [{"type": "string", "pattern": whole(NUMBER)}] if _is_number(said) else []
    key["anyOf"] = [*(value["anyOf"] if set(value) == {"anyOf"} else [value]), *numeric, _REFERENCE]


def _is_number(said: str) -> bool:
    return "'integer'" in said or "'type': 'number'" in said
