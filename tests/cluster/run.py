"""One run of the cluster: three receivers and four workers that die and lose the database, then peace, then the oracle.

First they die so often that whoever takes over from a dead one mostly dies himself: nothing may come of it but waiting.
Then one dies at a time, and others must take over soon after its lease. What is fired at it, and the oracle, are those
of the torture test.
"""

import random
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connector.moments import system_clock
from connector.rulebook.shipped import shipped_packs
from connector.store.engine import open_database
from tests.cluster.custody import Custody, Death, Takeover, holder_now, keep_custody
from tests.cluster.hosts import Host, network
from tests.ports import free_port
from tests.postgres_server import Server, serving
from tests.torture.agenda import Agenda, kill_times
from tests.torture.books import Books
from tests.torture.control import HubSpotHand, practice_hubspot
from tests.torture.hubspot import HubSpotSettings
from tests.torture.lives import Life, make_lives
from tests.torture.people import People
from tests.torture.processes import Part, end_leftovers, environment
from tests.torture.verdict import Finding, compare
from tests.torture.witness import read_seen

PORTAL = 4242
_URL = "https://cluster.example.com/webhooks/hubspot"
_CONFIG = """version: 1
database: ${{DATABASE}}
server: {{bind: "${{BIND:-127.0.0.1:0}}"}}
worker: {{settle: 300ms, lease: {lease}s, attempts: 20}}
portals:
  - id: {portal}
    name: Cluster
    access_token: pat-cluster
    client_secret: secret-cluster
    app_id: 7001
    webhook_url: {url}
    api_url: ${{API}}
    rules: {rules}
    limits: {{calls_per_10s: 1000, calls_per_day: 100000000, reserve: 0}}
"""
_FAULTS: Sequence[Mapping[str, object]] = (
    {"kind": "slow", "probability": 0.5, "seconds": 0.4},
    {"kind": "slow", "route": r"(tasks|deals)/batch/create", "probability": 0.3, "seconds": 0.8},
    {"kind": "reset_after", "probability": 0.01},
    {"kind": "502_html", "probability": 0.01},
)


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How large, how hard and how long."""

    seed: int = 1
    receivers: int = 3
    workers: int = 4
    contacts: int = 2_000
    kills: int = 24
    cuts: int = 4
    """How often one is cut off from the database."""
    cut_s: float = 25.0
    """Longer than the lease, so that what it held passes to others before it is back."""
    seconds: float = 100.0
    """For how long there is trouble of every kind."""
    deaths_alone: int = 3
    """How many workers with contacts in hand die after it, one at a time."""
    lease_s: int = 12
    takeover_s: float = 5.0
    """How long after the end of a lease others may begin to take over: a look around, and a claim on a busy machine."""
    dead_s: tuple[float, float] = (1.0, 20.0)
    """For how long a dead one stays dead."""
    drain_s: float = 300.0
    plain: bool = False
    """Separate processes, also where there could be network namespaces."""

    @property
    def allowed_takeover_s(self) -> float:
        """How long after a death alone others may begin to take over."""
        return self.lease_s + self.takeover_s

    @property
    def live_s(self) -> float:
        """For how long contacts live, and their events come."""
        return self.seconds + (self.deaths_alone + 1) * self.apart_s

    @property
    def apart_s(self) -> float:
        """How far deaths alone are apart, and the first of them from the time of trouble."""
        return self.allowed_takeover_s + 2.0


SHORT: Mapping[str, Any] = {
    "contacts": 300, "kills": 8, "cuts": 1, "cut_s": 9.0, "seconds": 18.0, "deaths_alone": 1, "lease_s": 6,
    "dead_s": (0.5, 8.0), "drain_s": 120.0,
}  # fmt: skip
"""The settings of the short form that `make test-postgres` runs."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was done, and what came of it."""

    settings: Settings
    finding: Finding
    overlaps: Sequence[str]
    takeovers: Mapping[Death, Sequence[Takeover]]
    """What passed on from each that died with something in hand, the soonest first."""
    died_at: Sequence[float]
    """When somebody died, with something in hand or not, or was cut off."""
    counts: Mapping[str, int]

    @property
    def takeovers_alone(self) -> Sequence[float]:
        """Give how long it took until others began to take over from each that died alone, in seconds."""
        return [
            passed[0].wait_s
            for death, passed in self.takeovers.items()
            if not any(death.at < at < death.at + self.settings.allowed_takeover_s for at in self.died_at)
        ]

    @property
    def is_well(self) -> bool:
        """Ask whether nothing at all is to be said against the run."""
        are_soon = all(wait_s <= self.settings.allowed_takeover_s for wait_s in self.takeovers_alone)
        are_all = len(self.takeovers_alone) >= self.settings.deaths_alone
        return self.finding.is_well and not self.overlaps and are_soon and are_all

    def __str__(self) -> str:
        return f"{self.finding}, overlap {len(self.overlaps)}"


class Cluster:
    """A run on a folder of its own."""

    def __init__(self, settings: Settings, folder: Path, *, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._folder = folder
        self._say = say
        self._dice = random.Random(f"cluster:{settings.seed}")
        self._agenda = Agenda()
        self._counts: Counter[str] = Counter()
        self._deaths: list[Death] = []
        self._database = ""

    def run(self) -> Report:
        """Run it to the end."""
        port = free_port()
        receivers = [f"receiver-{n + 1}" for n in range(self._settings.receivers)]
        workers = [f"worker-{n + 1}" for n in range(self._settings.workers)]
        with network([*receivers, *workers], database_port=port, plain=self._settings.plain) as net:
            self._say(f"{len(receivers)} receivers and {len(workers)} workers as {net.kind}")
            listens = net.database_listens
            with (
                serving(on_port=port, trusts=net.trusts, listen_addresses=listens) as server,
                self._hubspot(net.hosts) as hand,
            ):
                return self._run(net.hosts, server, hand)

    def _run(self, hosts: Sequence[Host], server: Server, hand: HubSpotHand) -> Report:
        self._database = server.url
        open_database(server.url).dispose()
        keep_custody(server.url, [host.name for host in hosts])
        books = Books(server.url, PORTAL)
        api_port = hand.address.rpartition(":")[2]
        self._set_up(server, hand)
        with self._parts(hosts, api_port) as parts:
            self._await_start(parts)
            for moment in range(round(self._settings.live_s)):
                self._agenda.at(moment, partial(self._revive, parts))
            people = self._torment(hand, dict(zip(parts, hosts, strict=True)))
            took_s = self._drain(hand, books, list(parts))
            for part in parts:
                self._counts["did not stop within ten seconds"] += not part.stop(seconds=10)
        custody, names = Custody(server.url), {host.hubspot: host.name for host in hosts}
        seen = read_seen(self._folder / "witness")
        takeovers = custody.takeovers(self._deaths)
        counts = {
            **people.counts(), **self._fired(hand), **dict(sorted(self._counts.items())), **books.counts(),
            "writes seen by HubSpot": len(seen), "contacts taken over from the dead": sum(map(len, takeovers.values())),
            "seconds of peace until all was done": round(took_s),
            **{f"contacts taken by {name}": number for name, number in custody.holders().items()},
        }  # fmt: skip
        return Report(
            settings=self._settings, finding=compare(hand, books, people.ids, self._lives),
            overlaps=custody.overlaps(seen, names), takeovers=takeovers,
            died_at=[death.at for death in self._deaths], counts=counts,
        )  # fmt: skip

    # --- making ready -------------------------------------------------------------------------------------------------

    @contextmanager
    def _hubspot(self, hosts: Sequence[Host]) -> Iterator[HubSpotHand]:
        settings = HubSpotSettings(
            seed=self._settings.seed, webhook_url=_URL, portal=PORTAL, app_id=7001, access_token="pat-cluster",
            client_secret="secret-cluster", calls_per_10s=400,
            host="0.0.0.0",  # noqa: S104 - every host knows it under another address
            receivers=[host.bind for host in hosts[: self._settings.receivers]],
            witness=str(self._folder / "witness"), manners={"loses_answer": 0.05, "copies": 0.05},
        )  # fmt: skip
        with practice_hubspot(settings, log=self._folder / "hubspot.log", env=environment()) as hand:
            text = _CONFIG.format(
                portal=PORTAL, url=_URL, lease=self._settings.lease_s, rules=shipped_packs()["default"]
            )
            (self._folder / "config.yaml").write_text(text, encoding="utf-8")
            yield hand

    def _set_up(self, server: Server, hand: HubSpotHand) -> None:
        api = f"http://127.0.0.1:{hand.address.rpartition(':')[2]}"
        done = Part("setup", ["setup"], folder=self._folder, env=environment(DATABASE=server.url, API=api))
        done.start()
        self._agenda.wait_while(done.is_running, seconds=60)
        if done.exits != [0]:
            raise RuntimeError(f"`stagekeeper setup` failed: {done.said()[-2_000:]}")

    @contextmanager
    def _parts(self, hosts: Sequence[Host], api_port: str) -> Iterator[list[Part]]:
        parts = []
        for host in hosts:
            command = ["serve", "--no-worker"] if host.name.startswith("receiver") else ["worker"]
            env = environment(
                BIND=f"{host.bind[0]}:{host.bind[1]}", API=f"http://{host.hubspot}:{api_port}",
                DATABASE=f"postgresql://{host.name}@{host.database[0]}:{host.database[1]}/postgres",
            )  # fmt: skip
            parts.append(Part(host.name, command, folder=self._folder, env=env, within=host.within))
        try:
            for part in parts:
                part.start()
            yield parts
        finally:
            for part in parts:
                part.kill("all")
            end_leftovers(self._folder)

    def _await_start(self, parts: Sequence[Part]) -> None:
        def is_starting() -> bool:
            words = ("serving on", "worker.started")
            return not all(any(word in part.said() for word in words) for part in parts)

        if not self._agenda.wait_while(is_starting, seconds=90):
            raise RuntimeError(f"not all has started: {[part.said()[-500:] for part in parts]}")

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _torment(self, hand: HubSpotHand, hosts: Mapping[Part, Host]) -> People:
        """Let everything happen at once, for as long as the settings say."""
        settings, agenda, dice = self._settings, self._agenda, self._dice
        today = datetime.now(UTC)
        self._lives: list[Life] = make_lives(
            settings.contacts, seed=settings.seed, seconds=settings.live_s, today=today
        )
        people = People(hand, self._lives)
        for life in self._lives:
            for place, moment in enumerate(life.times):
                agenda.at(moment, partial(people.live, life, place))
        parts = list(hosts)
        for place, moment in enumerate(kill_times(dice, settings.kills, begin=2.0, end=settings.seconds)):
            agenda.at(moment, partial(self._kill, dice.choice(parts), parts, in_hand=place % 2 == 0))
        for place in range(settings.deaths_alone):
            agenda.at(settings.seconds + (place + 1) * settings.apart_s, partial(self._kill_alone, parts))
        slot = settings.seconds / max(settings.cuts, 1)
        for n in range(settings.cuts):
            # A worker first, for it is the one with something in hand.
            part = dice.choice(parts[settings.receivers :] if n % 2 == 0 else parts[: settings.receivers])
            agenda.at(slot * n + dice.uniform(0.2, 0.4) * slot, partial(self._cut_off, hosts[part], hosts.values()))
        hand.add_faults(_FAULTS)
        agenda.run()
        hand.clear_faults()
        hand.mend_postman()
        return people

    def _kill(self, part: Part, parts: Sequence[Part], *, in_hand: bool) -> None:
        """Kill a part, or another one when that is dead just now, and have it started anew after a while."""
        holder = holder_now(self._database) if in_hand else None
        part = next((each for each in parts if each.name == holder), part)
        self._counts["kills with contacts in hand"] += holder == part.name
        after = parts.index(part)
        for each in (*parts[after:], *parts[:after]):
            if each.kill("all"):
                self._deaths.append(Death(holder=each.name, at=system_clock() / 1_000))
                self._counts[f"kills of {each.name}"] += 1
                self._agenda.soon(self._dice.uniform(*self._settings.dead_s), partial(_start, each))
                return

    def _kill_alone(self, parts: Sequence[Part]) -> None:
        """Kill a worker that has contacts in hand, as soon as there is one."""
        holder = holder_now(self._database)
        part = next((each for each in parts if each.name == holder and each.is_running()), None)
        if part is not None:
            self._kill(part, parts, in_hand=True)
        elif self._agenda.now < self._settings.live_s:
            self._agenda.soon(0.1, partial(self._kill_alone, parts))

    def _revive(self, parts: Sequence[Part]) -> None:
        """Start those that have ended by themselves, as service managers do: they found no database when they came."""
        for part in parts:
            part.is_running()
            if len(part.exits) > self._counts[f"ends of {part.name}"]:
                self._counts[f"ends of {part.name}"] = len(part.exits)
                _start(part)

    def _cut_off(self, host: Host, hosts: Iterable[Host]) -> None:
        """Take the database from one for a while: from a worker that has something in hand, if there is one."""
        if host.name.startswith("worker"):
            holder = holder_now(self._database)
            host = next((each for each in hosts if each.name == holder), host)
        self._say(f"{self._agenda.now:6.1f} s  {host.name} is cut off from the database")
        self._counts[f"cuts of {host.name}"] += 1
        self._deaths.append(Death(holder=host.name, at=system_clock() / 1_000))
        host.cut_off()
        self._agenda.soon(self._settings.cut_s, host.connect)

    def _drain(self, hand: HubSpotHand, books: Books, parts: Sequence[Part]) -> float:
        """Wait until all that came in is done; the seconds it took."""
        started, quiet = self._agenda.now, 0

        def is_busy() -> bool:
            nonlocal quiet
            for part in parts:
                if not part.is_running():
                    part.start()
            self._counts["contacts hurried"] += books.hurry(beyond_s=5.0)
            under_way = hand.webhooks()["pending"] or hand.postmans_book()["counts"]["copies_under_way"]
            quiet = 0 if under_way or books.open_work() else quiet + 1
            return quiet < 4

        if not self._agenda.wait_while(is_busy, seconds=self._settings.drain_s):
            self._say(f"after {self._settings.drain_s:.0f} s of peace there is still: {books.open_work()}")
        return self._agenda.now - started

    def _fired(self, hand: HubSpotHand) -> dict[str, int]:
        state, book = hand.state(), Counter(hand.postmans_book()["counts"])
        return {
            "events fired": state["webhooks"]["emitted"], "events doubled": state["webhooks"]["doubled"],
            "requests answered 204": book["answer_204"], "requests answered 503": book["answer_503"],
            "requests without an answer": book["answer_0"], "calls to HubSpot": state["calls"]["total"],
        }  # fmt: skip


def _start(part: Part) -> None:
    if not part.is_running():
        part.start()
