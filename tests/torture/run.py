"""One run of the torture test: everything at once for a time, then peace, then the comparison."""

import random
import time
import zoneinfo
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

from connector.rulebook.shipped import shipped_packs
from tests.ports import free_port
from tests.torture.agenda import EVERYWHERE, ONCE, SOON_OVER, Agenda, Window, kill_times, windows
from tests.torture.books import Books
from tests.torture.control import HubSpotHand, practice_hubspot
from tests.torture.ground import is_ready, write_zone
from tests.torture.hubspot import HubSpotSettings
from tests.torture.lives import Life, make_lives
from tests.torture.people import People
from tests.torture.processes import (
    CAN_FILL_DISK,
    WAYS_TO_DIE,
    FullDisk,
    Part,
    Stranger,
    end_leftovers,
    environment,
)
from tests.torture.verdict import Finding, compare

PORTAL, APP = 4242, 7001
_ZONE = "Torture/Soon_Midnight"
_STARTING_S = 12.0
_BEFORE_MIDNIGHT_S = 2.5
TROUBLES = ("token revoked", "scopes missing", "outage", "disk full", "database locked")
SHORT: Mapping[str, Any] = {
    "contacts": 120, "kills": 6, "seconds": 12.0, "troubles": ("token revoked", "disk full", "database locked"),
    "trouble_s": 1.5, "lease_s": 4, "hurry_beyond_s": 2.0, "drain_s": 90.0, "webhook_retry_ms": 300,
    "day_ends": False, "once": SOON_OVER,
}  # fmt: skip
"""The settings of the short form that `make test` runs."""
_CONFIG = """version: 1
database: sqlite:///torture.db
server: {{bind: "127.0.0.1:{port}"}}
worker: {{settle: 300ms, lease: {lease}s, attempts: {attempts}}}
portals:
  - id: {portal}
    name: Torture
    access_token: pat-torture
    client_secret: secret-torture
    app_id: {app}
    webhook_url: {webhook_url}
    api_url: {api_url}
    rules: {rules}
    limits: {{calls_per_10s: 1000, calls_per_day: 100000000, reserve: 0}}
"""


@dataclass(frozen=True, kw_only=True, slots=True)
class Settings:
    """How hard and how long."""

    seed: int = 1
    kills: int = 50
    contacts: int = 3_000
    seconds: float = 200.0
    """How long there is trouble; then there is none any more."""
    kills_from_s: float = 2.0
    troubles: Sequence[str] = TROUBLES
    trouble_s: float = 5.0
    """How long the token is away, the disk full, the database locked."""
    lease_s: int = 20
    attempts: int = 20
    """A worker that is killed every few seconds uses them up; eight would be an ordinary number of them."""
    calls_per_10s: int = 80
    everywhere: Sequence[Mapping[str, Any]] = EVERYWHERE
    once: Sequence[Mapping[str, Any]] = ONCE
    hurry_beyond_s: float = 20.0
    drain_s: float = 420.0
    day_ends: bool = True
    """Whether the day's calls are used up shortly before the portal's midnight, which comes at the end of the run."""
    webhook_retry_ms: int = 3_000


@dataclass(frozen=True, kw_only=True, slots=True)
class Report:
    """What was done, and what came of it."""

    settings: Settings
    finding: Finding
    counts: Mapping[str, int]
    took_s: float


class Torture:
    """A run on a folder of its own."""

    def __init__(self, settings: Settings, folder: Path, *, say: Callable[[str], None]) -> None:
        self._settings = settings
        self._folder = folder
        self._say = say
        self._dice = random.Random(f"torture:{settings.seed}")
        self._agenda = Agenda()
        self._counts: Counter[str] = Counter()
        self._people: People | None = None
        self._disk = FullDisk()
        self._stranger = Stranger(folder / "torture.db")
        self._books = Books(f"sqlite:///{folder / 'torture.db'}", PORTAL)
        self._midnight = time.time() + _STARTING_S + settings.seconds * 0.94
        self._is_over = False
        self._is_disk_full = False

    def run(self) -> Report:
        """Run it to the end."""
        settings = self._settings
        port = free_port()
        url = f"http://127.0.0.1:{port}/webhooks/hubspot"
        hubspot = HubSpotSettings(
            seed=settings.seed, webhook_url=url, receivers=[("127.0.0.1", port)], portal=PORTAL, app_id=APP,
            access_token="pat-torture", client_secret="secret-torture", calls_per_10s=settings.calls_per_10s,
            retry_delay_ms=settings.webhook_retry_ms, time_zone=_ZONE,
            manners={"loses_answer": 0.05, "refuses": 0.05, "copies": 0.08, "copy_after_s": settings.seconds / 6},
        )  # fmt: skip
        write_zone(self._folder / "zones" / _ZONE, midnight=self._midnight)
        with practice_hubspot(hubspot, log=self._folder / "hubspot.log", env=self._env()) as hand:
            self._write_config(hand.address, url, port)
            self._set_up()
            with self._parts() as parts:
                self._await_start(parts, port)
                lives = self._torment(hand, parts)
                took_s = self._drain(hand, parts)
                self._stop(parts)
                counts = self._count(hand)
                finding = compare(hand, self._books, self._people.ids if self._people else {}, lives)
        return Report(settings=settings, finding=finding, counts={**counts, **finding.tally}, took_s=took_s)

    # --- making ready -------------------------------------------------------------------------------------------------

    def _write_config(self, address: str, url: str, port: int) -> None:
        text = _CONFIG.format(
            port=port, lease=self._settings.lease_s, attempts=self._settings.attempts, portal=PORTAL, app=APP,
            webhook_url=url, api_url=address, rules=shipped_packs()["default"],
        )  # fmt: skip
        (self._folder / "config.yaml").write_text(text, encoding="utf-8")

    def _await_start(self, parts: Sequence[Part], port: int) -> None:
        workers = parts[1:]

        def is_starting() -> bool:
            return not is_ready(port) or not all("worker.started" in worker.said() for worker in workers)

        if not self._agenda.wait_while(is_starting, seconds=60):
            raise RuntimeError(f"not all has started: {[part.said()[-500:] for part in parts]}")

    def _env(self) -> dict[str, str]:
        zones = ":".join([str(self._folder / "zones"), *zoneinfo.TZPATH])
        return environment(PYTHONTZPATH=zones)

    def _set_up(self) -> None:
        done = Part("setup", ["setup"], folder=self._folder, env=self._env())
        done.start()
        self._agenda.wait_while(done.is_running, seconds=60)
        if done.exits != [0]:
            raise RuntimeError(f"`stagekeeper setup` failed: {done.said()[-2_000:]}")

    @contextmanager
    def _parts(self) -> Iterator[Sequence[Part]]:
        names = {"receiver": ["serve", "--no-worker"], "worker-1": ["worker"], "worker-2": ["worker"]}
        parts = [Part(name, command, folder=self._folder, env=self._env()) for name, command in names.items()]
        try:
            for part in parts:
                part.start()
            yield parts
        finally:
            self._disk.free()
            self._stranger.release()
            for part in parts:
                part.kill("all")
            end_leftovers(self._folder)

    # --- trouble ------------------------------------------------------------------------------------------------------

    def _torment(self, hand: HubSpotHand, parts: Sequence[Part]) -> list[Life]:
        """Let everything happen at once, for as long as the settings say."""
        settings, agenda, dice = self._settings, self._agenda, self._dice
        lives = make_lives(settings.contacts, seed=settings.seed, seconds=settings.seconds, today=datetime.now(UTC))
        self._people = People(hand, lives)
        for life in lives:
            for place, moment in enumerate(life.times):
                agenda.at(moment, partial(self._people.live, life, place))
        for moment in kill_times(dice, settings.kills, begin=settings.kills_from_s, end=settings.seconds):
            agenda.at(moment, partial(self._kill, dice.choice(parts), parts, dice.choice(WAYS_TO_DIE)))
        troubles = [name for name in settings.troubles if name != "disk full" or CAN_FILL_DISK]
        for window in windows(dice, troubles, seconds=settings.seconds * 0.85, length=settings.trouble_s):
            agenda.at(window.at, partial(self._begin, window, hand, parts))
        hand.add_faults(settings.everywhere)
        for fault in settings.once:
            moment = dice.uniform(0, settings.seconds * 0.9)
            agenda.at(moment, partial(hand.add_faults, [fault]))
        if settings.day_ends:
            until_midnight = self._midnight - time.time()
            agenda.at(until_midnight - 2 * settings.trouble_s - _BEFORE_MIDNIGHT_S, partial(self._use_up_day, hand))
            agenda.at(until_midnight - _BEFORE_MIDNIGHT_S, partial(hand.end_fault, "429_daily"))
        agenda.at(0.5, partial(self._watch, parts))
        agenda.at(settings.seconds, partial(self._end_trouble, hand))
        agenda.run()
        return lives

    def _kill(self, part: Part, parts: Sequence[Part], way: str) -> None:
        """Kill a part, or another one when that is dead just now; try again soon when all are."""
        contacts, effects = self._books.in_hand()
        for each in (part, *parts):
            if each.kill(way):
                self._counts[f"kills of {each.name}"] += 1
                self._counts["kills with contacts in hand"] += contacts > 0
                self._counts["kills with effects under way"] += effects > 0
                self._agenda.soon(self._dice.uniform(0.1, 1.0), partial(self._start_again, each))
                return
        self._agenda.soon(0.2, partial(self._kill, part, parts, way))

    def _start_again(self, part: Part) -> None:
        if not part.is_running():
            part.start()

    def _watch(self, parts: Sequence[Part]) -> None:
        """Start what ended by itself, as whatever supervises it would; keep the disk full for the newly born too."""
        for part in parts:
            before = len(part.exits)
            if not part.is_running() and len(part.exits) > before:
                self._counts[f"ends of {part.name} by itself"] += 1
                self._agenda.soon(1.0, partial(self._start_again, part))
        if self._is_disk_full:
            self._disk.fill(parts)
        if not self._is_over:
            self._agenda.soon(0.1 if self._is_disk_full else 0.5, partial(self._watch, parts))

    def _begin(self, window: Window, hand: HubSpotHand, parts: Sequence[Part]) -> None:
        """Let one kind of trouble begin, and end after its time."""
        end = self._act_of(window, hand, parts)
        if end is None:
            self._agenda.soon(0.5, partial(self._begin, window, hand, parts))
            return
        self._say(f"{self._agenda.now:6.1f} s  {window.name} for {window.seconds:.1f} s")
        self._counts[f"times of {window.name}"] += 1
        self._agenda.soon(window.seconds, end)

    def _act_of(self, window: Window, hand: HubSpotHand, parts: Sequence[Part]) -> Callable[[], object] | None:
        """Begin the trouble and give what ends it; None when it could not begin."""
        if window.name == "token revoked":
            hand.revoke_token(revoked=True)
            return partial(hand.revoke_token, revoked=False)
        if window.name == "scopes missing":
            hand.take_scopes("crm.objects.contacts.write")
            return partial(hand.take_scopes)
        if window.name == "outage":
            hand.add_faults([{"kind": "503"}])
            return partial(hand.end_fault, "503")
        if window.name == "database locked":
            return self._stranger.release if self._stranger.lock() else None
        self._is_disk_full = True
        self._disk.fill(parts)
        return self._free_disk

    def _free_disk(self) -> None:
        self._is_disk_full = False
        self._disk.free()

    def _use_up_day(self, hand: HubSpotHand) -> None:
        """Let HubSpot say that the day's calls are used up, shortly before the portal's midnight."""
        self._say(f"{self._agenda.now:6.1f} s  day used up until midnight")
        self._counts["times of day used up"] += 1
        hand.add_faults([{"kind": "429_daily"}])

    def _end_trouble(self, hand: HubSpotHand) -> None:
        """Let there be peace."""
        self._is_over = True
        hand.clear_faults()
        hand.revoke_token(revoked=False)
        hand.take_scopes()
        hand.limit(None)
        hand.webhooks(double_rate=0)
        hand.mend_postman()
        self._free_disk()
        self._stranger.release()

    # --- peace --------------------------------------------------------------------------------------------------------

    def _drain(self, hand: HubSpotHand, parts: Sequence[Part]) -> float:
        """Wait until all that came in is done; the seconds it took."""
        started = self._agenda.now
        quiet = 0

        def is_busy() -> bool:
            nonlocal quiet
            for part in parts:
                if not part.is_running():
                    part.start()
            self._counts["contacts hurried"] += self._books.hurry(beyond_s=self._settings.hurry_beyond_s)
            under_way = hand.webhooks()["pending"] or hand.postmans_book()["counts"]["copies_under_way"]
            quiet = 0 if under_way or self._books.open_work() else quiet + 1
            return quiet < 4

        if not self._agenda.wait_while(is_busy, seconds=self._settings.drain_s):
            self._say(f"after {self._settings.drain_s:.0f} s of peace there is still: {self._books.open_work()}")
            for part in parts:
                self._say(f"{part.name} ended by itself {part.exits}, and said last: {part.said()[-1_000:]}")
        return self._agenda.now - started

    def _stop(self, parts: Sequence[Part]) -> None:
        """Ask all to stop, which takes ten seconds at most."""
        for part in parts:
            if not part.stop(seconds=10):
                self._counts["did not stop within ten seconds"] += 1

    def _count(self, hand: HubSpotHand) -> dict[str, int]:
        """Give what was done and suffered, in the order in which it is told."""
        state, book = hand.state(), Counter(hand.postmans_book()["counts"])
        webhooks = state["webhooks"]
        counts = {
            **(self._people.counts() if self._people else {}),
            "events fired": webhooks["emitted"],
            "events doubled": webhooks["doubled"],
            "events carried to the receiver": book["events_carried"],
            "requests brought once more, late": book["copies_brought"],
            "requests refused on the way": book["refused"],
            "requests kept that HubSpot gave up": book["kept_for_a_day"],
            "answers lost on the way back": book["answers_lost"],
            "requests answered 204": book["answer_204"],
            "requests answered 503": book["answer_503"],
            "requests without an answer": book["answer_0"],
            **dict(sorted(self._counts.items())),
        }
        counts |= {f"fault {kind}": number for kind, number in sorted(state["faults"]["struck"].items())}
        counts["calls to HubSpot"] = state["calls"]["total"]
        answers: Counter[str] = Counter()
        for route in state["calls"]["routes"]:
            answers[f"calls answered {route['status'] or 'not at all'}"] += route["count"]
        return {**counts, **dict(sorted(answers.items())), **self._books.counts()}
