"""A whole Stagekeeper beside practice portals, in one process, under one clock that only tests and sleeping move.

Events go the way they go in the receiver, without its socket; everything from the inbox on is real, HTTP included.
"""

from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import orjson
import sqlalchemy as sa
from flask.testing import FlaskClient

from connector.config import Config, load_config
from connector.hubspot.budget import CallBudget, Limits, MemoryBudgetStore
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.setup import set_up
from connector.moments import DAY, HOUR, MINUTE, SECOND
from connector.receiver import ReceiverParts, create_app
from connector.rulebook.shipped import shipped_packs
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.properties import Property
from connector.sandbox.refusals import JsonObject
from connector.sandbox.signing import signed_headers
from connector.services import Services, open_services, portal_keys
from connector.store.engine import reading
from connector.telemetry import build_metrics
from connector.worker import Worker
from tests.databases import database_url
from tests.hubspot_portals import Time

INBOUND = {"sk_source": "inbound"}
QUALIFIED = {
    "sk_target_market": "yes", "sk_authority": "yes", "sk_need": "definite", "sk_intent": "wants_to_buy",
}  # fmt: skip
LEAD_TASKS = ["ask-missing-answer", "seek-meeting"]

NOW = 1_790_000_000_000  # Monday 21 September 2026, 14:13:20 UTC
WEBHOOK_URL = "https://hooks.example.com/webhooks/hubspot"
READ_CONTACTS = "/crm/objects/contacts/batch/read"
WRITE_CONTACTS = "/crm/objects/contacts/batch/update"
READ_COMPANIES = "/crm/objects/companies/batch/read"
READ_DEALS = "/crm/objects/deals/batch/read"
CREATE_TASKS = "/crm/objects/tasks/batch/create"
CREATE_DEALS = "/crm/objects/deals/batch/create"

NOTED = """
version: 1
pack: noted
ladder: [contact, lead]
facts: {odd: {jobtitle: {is: odd}}}
stages: [{id: all, stage: lead, because: Everybody.}]
values:
  - {id: bad, when: odd, set: {hs_timezone: "no such zone"}}
tasks:
  - {id: greet, when: {entered: lead}, title: "Greet {{ contact.email }}"}
"""

_PORTAL = """
  - id: {id}
    name: Practice {id}
    {opened_by}
    client_secret: sandbox-secret
    app_id: 7001
    webhook_url: {webhook_url}
    api_url: {address}
    rules: {rules}
    limits: {{calls_per_10s: 100000, calls_per_day: 10000000, reserve: 0}}
{more}"""


@dataclass
class Practice:
    """Sandboxes, the services that work on them, and what a test does with both."""

    folder: Path
    time: Time
    sandboxes: Sequence[Sandbox]
    config: Config
    services: Services
    worker: Worker
    receiver: FlaskClient
    heard: dict[int, int] = field(default_factory=dict)

    @property
    def sandbox(self) -> Sandbox:
        """The first portal's practice HubSpot."""
        return self.sandboxes[0]

    @property
    def portal(self) -> int:
        return self.sandbox.options.portal

    def deliver(self) -> int:
        """Give the inbox what happened since the last time, as the receiver would; the number of new events."""
        return sum(self._deliver_of(sandbox) for sandbox in self.sandboxes)

    def _deliver_of(self, sandbox: Sandbox) -> int:
        portal = sandbox.options.portal
        log = list(sandbox.webhooks.events)
        fresh = log[self.heard.get(portal, 0) :]
        self.heard[portal] = len(log)
        return self.accept(fresh)

    def accept(self, bodies: Sequence[Mapping[str, Any]]) -> int:
        """Have the receiver take events, signed as HubSpot signs them; their number."""
        for start in range(0, len(bodies), 100):
            raw = orjson.dumps(bodies[start : start + 100])
            headers = signed_headers("sandbox-secret", WEBHOOK_URL, raw, self.time.now)
            answer = self.receiver.post("/webhooks/hubspot", data=raw, headers=headers)
            assert answer.status_code == 204, answer.text
        return len(bodies)

    def move(self, *, days: int = 0, hours: int = 0, minutes: int = 0, seconds: int = 0) -> None:
        """Let time pass."""
        self.time.now += days * DAY + hours * HOUR + minutes * MINUTE + seconds * SECOND

    def work(self, most: int = 50) -> int:
        """Let the worker work until nothing is due; the number of claims."""
        for claims in range(most):
            self.time.now += 1
            if not self.worker.work_once():
                return claims
        raise AssertionError(f"the worker did not come to rest within {most} claims")

    def catch_up(self, most: int = 50) -> int:
        """Deliver what happened, wait until it has settled, and let the worker work."""
        self.deliver()
        self.move(seconds=3)
        return self.work(most)

    def look(self, *contacts: str, portal: int | None = None) -> int:
        """Have contacts looked at without an event."""
        self.services.inbox.look_at(portal or self.portal, contacts, due=self.time.now)
        return self.work()

    def titles(self, contact: str) -> list[str]:
        """The titles of a contact's tasks."""
        return [task["properties"]["hs_task_subject"] for task in self.sandbox.tasks_of(contact)]

    def keys(self, contact: str) -> list[str]:
        """The rules of a contact's tasks, by their markers."""
        return sorted(task["properties"]["sk_key"].split(":")[2] for task in self.sandbox.tasks_of(contact))

    def calls(self, route: str, status: int | None = None) -> int:
        """How often a route was called."""
        return self.sandbox.calls.count(route=route, status=status)

    def waiting(self, contact: str, portal: int | None = None) -> Any:
        """A contact's row in the inbox, None when it does not wait."""
        return self.services.inbox.show(portal or self.portal, contact).waiting

    def next_look(self, contact: str, portal: int | None = None) -> int | None:
        """When a contact is looked at by itself; it does not wait until then."""
        shown = self.services.inbox.show(portal or self.portal, contact)
        assert shown.waiting is None
        return shown.next_look_at

    def dead(self) -> dict[str, str]:
        """The dead letters with their errors."""
        return {row.contact: row.last_error or "" for row in self.services.inbox.listing(dead=True)}

    def rows(self, query: sa.Select[Any]) -> list[Any]:
        """What the database holds."""
        with reading(self.services.engine) as connection:
            return list(connection.execute(query).all())

    def again(self) -> "Practice":
        """Start anew on the same database, as after a crash: everything that was only in memory is gone."""
        return _started(self.folder, self.time, self.sandboxes, self.config, heard=dict(self.heard))


def _started(
    folder: Path, time: Time, sandboxes: Sequence[Sandbox], config: Config, *, heard: dict[int, int] | None = None,
) -> Practice:  # fmt: skip
    services = open_services(config, metrics=build_metrics(), clock=time, sleep=time.sleep)
    parts = ReceiverParts(
        keys=portal_keys(config.portals), inbox=services.inbox, settle_ms=config.worker.settle, clock=time,
        metrics=services.metrics, render_metrics=bytes, checks={},
    )  # fmt: skip
    client = create_app(parts).test_client()
    return Practice(folder, time, sandboxes, config, services, Worker(services), client, heard or {})


def prepare(sandbox: Sandbox) -> None:
    """Give a practice portal the properties that Stagekeeper needs.

    Its set-up makes them, over HTTP; what it has made of a portal once, another one that is the same gets at once,
    but for one that counts the calls which that takes.
    """
    stores, options = sandbox.portal.properties, sandbox.options
    fresh = repr([(kind, sorted(one.definitions), sorted(one.groups)) for kind, one in stores.items()])
    like = (fresh, options.missing_scopes, options.unique_task_properties)
    if like not in _PREPARED or (options.calls_per_day, options.calls_per_10s) != (None, None):
        _set_up(sandbox)
        _PREPARED[like] = {kind: (dict(one.definitions), dict(one.groups)) for kind, one in stores.items()}
    now = options.clock()
    for kind, (definitions, groups) in _PREPARED[like].items():
        stores[kind].groups.update(groups)
        for name, made in definitions.items():
            stores[kind].definitions.setdefault(name, replace(made, created=now, updated=now))


_PREPARED: dict[object, dict[str, tuple[dict[str, Property], dict[str, JsonObject]]]] = {}


def _set_up(sandbox: Sandbox) -> None:
    time = Time(NOW)
    limits = Limits(calls_per_10s=100_000, calls_per_day=10_000_000, reserve=0.0)
    budget = CallBudget(portal=4242, limits=limits, store=MemoryBudgetStore(), clock=time, sleep=time.sleep)
    list(set_up(HubSpotPortal(
        portal=4242, access_token=sandbox.options.access_token, api_url=sandbox.address, budget=budget, clock=time,
        sleep=time.sleep,
    )))  # fmt: skip
    sandbox.calls.reset()


def write_config(
    folder: Path, sandboxes: Sequence[Sandbox], *, rules: Path | None = None, more: str = "", worker: str = "",
    opened_by: str = "access_token: pat-sandbox",
) -> Path:  # fmt: skip
    """Write a configuration for practice portals; `more` is further YAML of each portal."""
    portals = "".join(
        _PORTAL.format(
            id=sandbox.options.portal, address=sandbox.address, webhook_url=WEBHOOK_URL,
            rules=rules or shipped_packs()["default"], more=more, opened_by=opened_by,
        )
        for sandbox in sandboxes
    )
    path = folder / "config.yaml"
    database = database_url(folder / "practice.db")
    path.write_text(f"version: 1\ndatabase: {database}\n{worker}\nportals:{portals}\n", encoding="utf-8")
    return path


@contextmanager
def practice(
    folder: Path, *, rules: Path | str | None = None, more: str = "", worker: str = "",
    opened_by: str = "access_token: pat-sandbox",
    portals: Sequence[int] = (4242,), set_up: Callable[[Sandbox], None] | None = prepare, **options: Any,
) -> Iterator[Practice]:  # fmt: skip
    """Run practice portals with a Stagekeeper; a pack may be given as YAML, and more of each portal's configuration."""
    time = Time(NOW)
    if isinstance(rules, str):
        text, rules = rules, folder / "pack.yaml"
        rules.write_text(text, encoding="utf-8")
    sandboxes = [Sandbox(SandboxOptions(port=0, portal=portal, clock=time, **options)) for portal in portals]
    for sandbox in sandboxes:
        sandbox.webhooks.events = deque()  # all of them, however many
        sandbox.start()
    try:
        for sandbox in sandboxes:
            if set_up is not None:
                set_up(sandbox)
        written = write_config(folder, sandboxes, rules=rules, more=more, worker=worker, opened_by=opened_by)
        config, problems = load_config(written)
        assert config is not None, problems
        yield _started(folder, time, sandboxes, config)
    finally:
        for sandbox in sandboxes:
            sandbox.stop()


def leads(the: Practice, number: int) -> list[str]:
    return [the.sandbox.create_contact({"email": f"p{n}@example.com", **INBOUND}) for n in range(number)]


def stages(the: Practice) -> dict[str, str | None]:
    with the.sandbox.portal.lock:
        records = the.sandbox.portal.records["0-1"].live.values()
        return {one.id: one.values.get("lifecyclestage") for one in records}


def wait_out(the: Practice, rounds: int = 12, *, minutes: int = 6) -> None:
    """Let retries and portals' waits come to their end."""
    for _ in range(rounds):
        the.move(minutes=minutes)
        the.work()
