"""The configuration: one YAML file, read strictly; secrets come from the environment or from files.

`${NAME}` takes an environment variable, `${NAME:-default}` one with a default, `${file:/run/secrets/x}` reads a file.
Every fault is reported with its place; a value that was interpolated is never shown.
"""

import base64
import contextlib
import os
from collections.abc import Collection, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any, Literal
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import AfterValidator, BeforeValidator, Field, SecretStr
from pydantic_core import PydanticCustomError

from connector.moments import DAY, MINUTE, SECOND, WEEK, read_duration
from connector.problems import Place, Problem, is_broken
from connector.references import put_in_references, secret_places
from connector.rulebook.pack import Name, Text
from connector.rulebook.reading import Document, read_file
from connector.rulebook.shape import Shape, shape

DEFAULT_PATH = "config.yaml"
PATH_VARIABLE = "STAGEKEEPER_CONFIG"
_NO_CONFIG = f"`stagekeeper init` writes one into this folder; another one is named by --config or {PATH_VARIABLE}"
_SECRETS = frozenset({"access_token", "client_secret", "ops_token", "read_token", "database", "keys"})


def _duration(value: Any) -> Any:
    if isinstance(value, str):
        found = read_duration(value)
        if found is None:
            raise PydanticCustomError("unreadable-duration", "expected a duration such as `2s` or `30 minutes`")
        return found
    raise PydanticCustomError("unreadable-duration", "expected a duration such as `2s` or `30 minutes`")


def _pace(value: Any) -> Any:
    if value == "never":
        return None
    found = read_duration(value) if isinstance(value, str) else None
    if not found:
        raise PydanticCustomError("unreadable-duration", "expected a duration such as `15 minutes`, or `never`")
    return found


def _keep(value: Any) -> Any:
    if value == "forever":
        return None
    found = read_duration(value) if isinstance(value, str) else None
    if found is None or found < 30 * DAY:
        raise PydanticCustomError("unreadable-duration", "expected at least `30 days`, or `forever`")
    return found


def _secret(value: SecretStr) -> SecretStr:
    if not value.get_secret_value().strip():
        raise PydanticCustomError("missing-secret", "expected a secret; set the variable that is named here")
    return value


def _sealing_key(value: SecretStr) -> SecretStr:
    with contextlib.suppress(ValueError):
        if len(base64.urlsafe_b64decode(value.get_secret_value())) == 32:
            return value
    raise PydanticCustomError(
        "wrong-value", "expected 32 random bytes in URL-safe base64; `openssl rand -base64 32 | tr +/ -_` makes some"
    )


def _there(value: Any) -> Any:
    if value is None:
        raise PydanticCustomError("wrong-type", "expected a value; leave the key out where there is none")
    return value


def _no_empty_secret(value: Any) -> Any:
    return None if value == "" else value


def _zone(value: str) -> str:
    try:
        ZoneInfo(value)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise PydanticCustomError("unknown-time-zone", "expected a time zone such as Europe/Berlin") from None
    return value


def _time(value: str) -> str:
    hours, colon, minutes = value.partition(":")
    if not colon or not (hours.isdecimal() and minutes.isdecimal()) or int(hours) > 23 or int(minutes) > 59:
        raise PydanticCustomError("wrong-value", "expected a time of day such as 18:30")
    return value


def _url(value: str) -> str:
    parts = urlsplit(value)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise PydanticCustomError("wrong-url", "expected a complete URL such as https://hooks.example.com/webhooks/hubspot")
    return value


def _database(value: str) -> str:
    scheme, mark, rest = value.partition("://")
    kind = scheme.partition("+")[0]
    is_nothing = rest.partition("?")[0] in ("", "/")
    if not mark or kind not in ("sqlite", "postgresql", "postgres") or (kind == "sqlite" and is_nothing):
        raise PydanticCustomError(
            "wrong-url", "expected sqlite:///path/to/file.db or postgresql://user:password@host/name"
        )
    return value


def _bind(value: str) -> str:
    host, colon, port = value.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65_535:
        raise PydanticCustomError("wrong-value", "expected host:port, as in 127.0.0.1:8080")
    return value


def _country(value: str) -> str:
    import holidays as holiday_tables  # noqa: PLC0415 - takes longer to import than the rest of the command

    country, dash, region = value.partition("-")
    regions = holiday_tables.list_supported_countries().get(country)
    if regions is None or (dash and region not in regions):
        raise PydanticCustomError("unknown-country", "expected an ISO country code such as DE, or DE-BY for a region")
    return value


Duration = Annotated[int, BeforeValidator(_duration)]
Secret = Annotated[SecretStr, AfterValidator(_secret)]
Url = Annotated[str, AfterValidator(_url)]


Pace = Annotated[int | None, BeforeValidator(_pace)]
"""A duration, or None for never."""


class Server(Shape):
    """Where the receiver listens and who may look."""

    bind: Annotated[str, AfterValidator(_bind)] = "127.0.0.1:8080"
    ops_token: Annotated[SecretStr | None, BeforeValidator(_no_empty_secret)] = None
    read_token: Annotated[SecretStr | None, BeforeValidator(_no_empty_secret)] = None
    """Lets who has it look at what the ops token opens, but not act."""
    proxies: Annotated[int, Field(ge=0, le=10)] = 0
    """How many proxies of our own stand in front: so far is believed what a request says of where it comes from."""
    threads: Annotated[int, Field(ge=1, le=64)] = 8


class Worker(Shape):
    """How waiting contacts are worked off (durations in milliseconds)."""

    settle: Duration = 2 * SECOND
    lease: Duration = 5 * MINUTE
    threads: Annotated[int, Field(ge=1, le=32)] = 8
    """How many claims of one portal a worker works off side by side, while that portal has a backlog."""
    keep_events: Annotated[Duration, Field(ge=3 * DAY)] = WEEK
    """For how long judged events are kept: HubSpot delivers again for a day, and only what is kept is known again."""
    keep_records: Annotated[int | None, BeforeValidator(_keep)] = 730 * DAY
    """For how long the records of decisions are kept, but for the last of each contact; None: for ever."""
    attempts: Annotated[int, Field(ge=1, le=50)] = 8
    reconcile_every: Pace = 15 * MINUTE
    """How often HubSpot is asked what has changed, for the webhooks that were missed; None: never."""
    driver: Literal["auto", "thread", "procrastinate"] = "auto"
    """What makes a worker look into the inbox: a thread of its own, or Procrastinate's queue, for PostgreSQL alone."""
    metrics: Annotated[str, AfterValidator(_bind)] | None = None
    """Where a worker that runs alone answers /metrics; None: nowhere. Under `serve` the receiver answers."""


class Log(Shape):
    """How and how much is logged."""

    format: Literal["json", "console"] = "json"
    level: Literal["debug", "info", "warning", "error"] = "info"


class Limits(Shape):
    """What HubSpot allows this portal, and the share that is left to its other apps."""

    calls_per_10s: Annotated[int, Field(ge=1)] = 100
    calls_per_day: Annotated[int, Field(ge=1)] = 250_000
    reserve: Annotated[float, Field(ge=0, lt=1)] = 0.1


class Allow(Shape):
    """What the rules may do in this portal beyond properties and tasks."""

    backward_moves: bool = False
    create_deals: bool = True
    erase_contacts: bool = False


class Owners(Shape):
    """Who gets tasks when the contact has no owner: the address of a HubSpot user."""

    default: str | None = None


class QuietHours(Shape):
    """The time of day in which no task falls due."""

    from_: Annotated[str, Field(alias="from"), AfterValidator(_time)]
    to: Annotated[str, AfterValidator(_time)]


class Calendar(Shape):
    """The working days on which `business days` are counted, and when people are left alone."""

    time_zone: Annotated[str, AfterValidator(_zone)] = "UTC"
    working_days: list[Literal["mon", "tue", "wed", "thu", "fri", "sat", "sun"]] = ["mon", "tue", "wed", "thu", "fri"]
    holidays: Annotated[str, AfterValidator(_country)] | None = None
    quiet_hours: QuietHours | None = None


class OAuth(Shape):
    """What portals share that let an OAuth app in: how their tokens are kept, and where HubSpot sends people back."""

    keys: Annotated[list[Annotated[SecretStr, AfterValidator(_sealing_key)]], Field(min_length=1)]
    """The first one encrypts the tokens that are kept, each may decrypt them."""
    redirect_url: Url
    authorize_url: Url = "https://app.hubspot.com/oauth/authorize"


class Installed(Shape):
    """The OAuth app that is installed into a portal; its secret is the portal's `client_secret`."""

    client_id: Text


class Portal(Shape):
    """One HubSpot portal; `access_token` or `oauth` opens it."""

    id: int = Field(ge=1)
    name: str = ""
    access_token: Annotated[Secret | None, BeforeValidator(_there)] = None
    oauth: Annotated[Installed | None, BeforeValidator(_there)] = None
    client_secret: Secret
    app_id: int | None = None
    webhook_url: Url
    allow_v1: bool = False
    api_url: Url = "https://api.hubapi.com"
    api_version: Literal["v3", "2026-03", "2026-09"] = "v3"
    rules: Path
    shadow: Path | None = None
    """A candidate pack that judges beside the live one and writes nothing."""
    mode: Literal["live", "shadow"] = "live"
    stages: dict[Name, Text] = {
        "contact": "subscriber", "lead": "lead", "prospect": "salesqualifiedlead", "opportunity": "opportunity",
    }  # fmt: skip
    limits: Limits = Limits()
    human_wins_for: Duration = WEEK
    """For how long a stage that a person set in HubSpot is left as it is."""
    allow: Allow = Allow()
    owners: Owners = Owners()
    calendar: Calendar = Calendar()


class Config(Shape):
    """The whole configuration; paths are absolute."""

    version: Literal[1]
    database: Annotated[str, AfterValidator(_database)] = Field(default="sqlite:///stagekeeper.db", repr=False)
    server: Server = Server()
    worker: Worker = Worker()
    log: Log = Log()
    oauth: OAuth | None = None
    portals: list[Portal] = Field(min_length=1)

    def portal(self, id_: int) -> Portal | None:
        """Give the portal with this id."""
        return next((portal for portal in self.portals if portal.id == id_), None)


def config_path(given: str | None, environment: Mapping[str, str] = os.environ) -> Path:
    """Say which file to read: the one that is given, else `config.yaml` where it is there, else the variable's."""
    if given is None and not Path(DEFAULT_PATH).exists():
        given = environment.get(PATH_VARIABLE)
    return Path(given or DEFAULT_PATH)


def load_config(path: Path, environment: Mapping[str, str] = os.environ) -> tuple[Config | None, list[Problem]]:
    """Read the configuration; no value when anything in it is wrong."""
    document, problems = read_file(path)
    if document is None:
        return None, [replace(each, cure=_NO_CONFIG) if each.code == "file-unreadable" else each for each in problems]
    folder = path.absolute().parent
    hidden = put_in_references(document, environment, folder, problems) | secret_places(document, _SECRETS)
    config, shape_problems = shape(Config, document)
    shape_problems += _closed_portals(document)
    problems += _without_consequences([_hiding(problem, hidden) for problem in shape_problems], problems)
    if config is None:
        return None, sorted(problems)
    problems += [
        *_doubled_portals(config, document), *_lone_read_token(config, document), *_ways_in(config, document)
    ]  # fmt: skip
    return (None if is_broken(problems) else _absolute(config, folder)), sorted(problems)


def named_packs(path: Path, *, also_missing: bool = False) -> list[Path]:
    """Name the packs that a configuration speaks of, though it be broken elsewhere; those that are there, or all."""
    document, _ = read_file(path)
    portals = document.data.get("portals") if document and isinstance(document.data, dict) else None
    listed = portals if isinstance(portals, list) else []
    rules = [portal.get(key) for portal in listed if isinstance(portal, dict) for key in ("rules", "shadow")]
    named = [path.absolute().parent / name for name in rules if isinstance(name, str) and "${" not in name]
    return [pack for pack in dict.fromkeys(named) if also_missing or pack.is_file()]


def _hiding(problem: Problem, hidden: Collection[Place]) -> Problem:
    """Leave out what was found where a secret may stand."""
    found = "the value that stands here (it is not shown)"
    return replace(problem, found=found) if problem.place in hidden and problem.code != "unknown-key" else problem


def _without_consequences(found: list[Problem], causes: list[Problem]) -> list[Problem]:
    """Leave out what is only wrong because a variable at the same place is not set."""
    places = {problem.place for problem in causes}
    return [problem for problem in found if problem.place not in places]


def _doubled_portals(config: Config, document: Document) -> list[Problem]:
    seen: dict[int, int] = {}
    problems = []
    for number, portal in enumerate(config.portals):
        if portal.id in seen:
            place = document.value_place(("portals", number, "id"))
            found = f"the portal {portal.id} stands twice"
            problems.append(Problem(place=place, code="duplicate-portal", found=found, cure="remove one of them"))
        seen.setdefault(portal.id, number)
    return problems


def _lone_read_token(config: Config, document: Document) -> list[Problem]:
    """Find a read token that opens more than it says: without an ops token, or the same as it."""
    server = config.server
    if server.read_token is None or (server.ops_token is not None and server.ops_token != server.read_token):
        return []
    found = "`read_token` is the same as `ops_token`" if server.ops_token else "`read_token` stands without `ops_token`"
    cure = "set both, to different texts" if server.ops_token else "set `ops_token` too, to another text"
    return [Problem(place=document.value_place(("server", "read_token")), code="wrong-value", found=found, cure=cure)]


def _closed_portals(document: Document) -> list[Problem]:
    """Find portals that nothing opens."""
    listed = document.data.get("portals") if isinstance(document.data, dict) else None
    found, cure = "'access_token' is missing", "add `access_token: …`, or `oauth: …` for an OAuth app"
    return [
        Problem(place=document.value_place(("portals", number)), code="missing-key", found=found, cure=cure)
        for number, portal in enumerate(listed if isinstance(listed, list) else [])
        if isinstance(portal, dict) and not {"access_token", "oauth"} & portal.keys()
    ]


def _ways_in(config: Config, document: Document) -> list[Problem]:
    """Find portals that two things open, or that have nowhere to keep their tokens, and apps that have two secrets."""
    problems, secrets = [], dict[str, SecretStr]()
    for number, portal in enumerate(config.portals):
        place = document.value_place(("portals", number, "id"))
        if portal.oauth is not None and portal.access_token is not None:
            found, cure = "`access_token` and `oauth` stand beside each other", "remove one of them"
            problems.append(Problem(place=place, code="wrong-value", found=found, cure=cure))
        elif portal.oauth is not None and config.oauth is None:
            found, cure = "this portal's tokens cannot be kept", "add `oauth: {keys: …, redirect_url: …}` at the top"
            problems.append(Problem(place=place, code="missing-key", found=found, cure=cure))
        elif portal.oauth and secrets.setdefault(portal.oauth.client_id, portal.client_secret) != portal.client_secret:
            found, cure = "another portal of the same app has another `client_secret`", "write the app's secret at both"
            problems.append(Problem(place=place, code="wrong-value", found=found, cure=cure))
    return problems


def _absolute(config: Config, folder: Path) -> Config:
    """Make paths absolute; they are written relative to the configuration file."""
    portals = [
        portal.model_copy(
            update={"rules": folder / portal.rules, "shadow": portal.shadow and folder / portal.shadow}
        )
        for portal in config.portals
    ]
    return config.model_copy(update={"portals": portals, "database": _absolute_database(config.database, folder)})


def _absolute_database(url: str, folder: Path) -> str:
    scheme, mark, path = url.partition(":///")
    if not mark or not scheme.startswith("sqlite") or not path or path.startswith(("/", ":memory:")):
        return url
    return f"{scheme}:///{folder / path}"
