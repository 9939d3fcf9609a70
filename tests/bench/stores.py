"""Stores to be compared by what the same work takes in each: webhooks, claims, and what people and pages look up.

The small one has a thousand contacts with as much about each as the full one, so that what is looked up is there.
"""

import gc
import os
import random
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from functools import partial
from pathlib import Path

import sqlalchemy as sa

from connector.delivery import Delivery
from connector.examiner import judge, worded
from connector.identity.erasure import erase_reported
from connector.inbox import Claim, Inbox
from connector.moments import DAY, MINUTE, SECOND
from connector.plan import Terms
from connector.recall import recall
from connector.record import Held, Judged, Outcome, Recorder
from connector.snapshot import Snapshot, Wanted
from connector.store.engine import is_sqlite, open_database, reading, writing
from connector.store.tables import events, records
from connector.web import now as page_now
from connector.web.trouble import dead_letters
from tests.bench.decisions import NOW, SEED, crowd
from tests.bench.filling import PORTAL, Amounts, contact_id, fill
from tests.databases import POSTGRES
from tests.postgres_server import serving
from tests.rulebooks import shipped

TARGET = 1.2
WEBHOOK, CLAIM = "a webhook of 100 events", "a claim of 100, taken and finished"
WHOLE_CLAIM = "a claim of 100 with all it reads and records"
KNOWN = "what is known of a contact (explain)"
AT_ONCE = 100
ACTIVE = 3_000
"""So many contacts are at work, by chance from all over the store, and in memory as in a system that runs."""
SETTLE = 2 * SECOND
LOOKUPS = 5


class Store:
    """A store and those who work on it, under a clock that only we move."""

    def __init__(self, url: str) -> None:
        self.now = NOW
        self.pids: set[int] = set()
        self.engine = open_database(url)
        if not is_sqlite(self.engine):
            sa.event.listen(self.engine, "checkout", lambda link, *_: self.pids.add(link.info.backend_pid))
        self.inbox = Inbox(self.engine, lambda: self.now)
        self.rulebook = shipped()["default"]
        pack = self.rulebook.pack
        self.recorder = Recorder(
            self.engine, portal=PORTAL, pack=pack.name, pack_hash=pack.hash, wanted=Wanted.by(pack)
        )
        self.took: dict[str, list[tuple[float, float]]] = {}

    def measure(self, name: str, work: Callable[[], object], *, times: int = 1) -> None:
        """Do a piece of work and note what it took: seconds of processor time, and by the wall."""
        cpu, wall = self._cpu(), time.perf_counter()
        work()
        wall = time.perf_counter() - wall
        self.took.setdefault(name, []).append(((self._cpu() - cpu) / times, wall / times))

    def _cpu(self) -> float:
        """Give the processor time that we have used, and the sessions of the database's server for us."""
        return time.process_time() + sum(
            int(Path(f"/proc/{pid}/schedstat").read_text("ascii").split()[0]) / 1e9 for pid in self.pids
        )


Address = Callable[[str], str]
"""Gives the address of the database of a name; one that is there already is left as it is."""


@contextmanager
def addresses(database: str, folder: Path) -> Iterator[Address]:
    """Say where databases lie: in files of a folder, or on a server of their own."""
    if database == "sqlite":
        yield lambda name: f"sqlite:///{folder / name}.db"
    elif os.environ.get(POSTGRES):
        yield partial(_on_server, os.environ[POSTGRES])
    else:
        with serving(durable=True, shared_buffers="256MB", max_wal_size="4GB") as server:
            yield partial(_on_server, server.url)


def _on_server(server: str, name: str) -> str:
    address = sa.make_url(server).set(drivername="postgresql+psycopg")
    engine = sa.create_engine(address, isolation_level="AUTOCOMMIT", poolclass=sa.NullPool)
    with engine.connect() as connection:
        there = sa.text("SELECT 1 FROM pg_database WHERE datname = :name")
        if connection.scalar(there, {"name": name}) is None:
            connection.exec_driver_sql(f"CREATE DATABASE {name}")
    return sa.make_url(server).set(database=name).render_as_string(hide_password=False)


def store_at(address: str, amounts: Amounts) -> Store:
    """Open a store, and fill it if nothing is in it."""
    store = Store(address)
    with reading(store.engine) as connection:
        is_filled = connection.execute(sa.select(records.c.id).limit(1)).first() is not None
    if not is_filled:
        fill(store.engine, amounts, now=NOW, progress=_tell)
    with reading(store.engine) as connection:  # a store that was kept has been worked on
        latest = connection.scalar(sa.select(sa.func.max(events.c.received_at)))
    store.now = max(NOW, latest or NOW) + MINUTE
    return store


def _tell(what: str, done: int, total: int) -> None:
    print(f"  {what}: {done:,} of {total:,}", end="\n" if done == total else "\r", file=sys.stderr, flush=True)


def take_turns(stores: Mapping[Store, int], *, rounds: int) -> None:
    """Have stores of so many contacts take turns at the same work.

    Garbage is collected between them: that takes a fifteenth of a claim, and would fall upon the same piece of the same
    store's each time.
    """
    people = list(crowd(AT_ONCE, SEED))
    chance = random.Random(SEED)
    active = {store: chance.sample(range(number), min(number, ACTIVE)) for store, number in stores.items()}
    for store, numbers in active.items():
        warm_up(store, [contact_id(number) for number in numbers], people)
    gc.freeze()
    gc.disable()
    for turn in range(rounds):
        for store in list(stores)[:: 1 if turn % 2 else -1]:
            asked = [contact_id(number) for number in chance.sample(active[store], 3 * AT_ONCE)]
            work(store, asked, people, turn)
            gc.collect()
    gc.enable()


def warm_up(store: Store, ids: Sequence[str], people: Sequence[Snapshot]) -> None:
    """Have everything once in memory that the contacts at work need, wherever in the store they lie."""
    for turn, start in enumerate(range(0, len(ids), AT_ONCE)):
        ack(store, ids[start : start + AT_ONCE], turn)
        claim_and_record(store, people)
        for look in LOOKS.values():
            _each(look, store, ids[start : start + AT_ONCE] if look in PERSONAL else ids[:1])
        store.now += MINUTE
    store.took.clear()


def work(store: Store, asked: Sequence[str], people: Sequence[Snapshot], turn: int) -> None:
    """Do one of everything."""
    first, second, looked_up = asked[:AT_ONCE], asked[AT_ONCE : 2 * AT_ONCE], asked[2 * AT_ONCE :]
    ack(store, first, turn)
    store.measure(CLAIM, lambda: claim_and_finish(store))
    ack(store, second, turn)
    store.measure(WHOLE_CLAIM, lambda: claim_and_record(store, people))
    for name, look in LOOKS.items():
        store.measure(name, partial(_each, look, store, looked_up[:LOOKUPS]), times=LOOKUPS)
    store.now += MINUTE


def _each(look: Callable[[Store, str], object], store: Store, ids: Sequence[str]) -> None:
    for contact in ids:
        look(store, contact)


def ack(store: Store, ids: Sequence[str], turn: int) -> None:
    """Take in a webhook of a hundred events."""
    body = b"[" + b",".join(EVENT % (turn, store.now, int(contact)) for contact in ids) + b"]"
    delivery = Delivery(body=body, number=len(ids), apps={PORTAL: None})
    store.measure(WEBHOOK, lambda: store.inbox.accept(delivery, settle_ms=SETTLE))
    store.now += 2 * SETTLE


EVENT = (
    b'{"eventId":%d,"subscriptionId":7562680,"portalId":4242,"appId":50780459,"occurredAt":%d,'
    b'"subscriptionType":"contact.propertyChange","attemptNumber":0,"objectId":%d,"propertyName":"sk_intent",'
    b'"propertyValue":"interested","changeSource":"CRM_UI","sourceId":"userId:98499705"}'
)


def claim_and_finish(store: Store) -> None:
    """Do what a worker does at each claim but for the work itself."""
    claim = _claim(store)
    store.inbox.finish(claim, settled={held.contact: store.now + 30 * DAY for held in claim.contacts})


def claim_and_record(store: Store, people: Sequence[Snapshot]) -> None:
    """Do all that a claim does in the database: what is known, decisions, memories, effects, outcomes."""
    claim = _claim(store)
    ids = [held.contact for held in claim.contacts]
    store.recorder.held(ids)
    judged = store.recorder.in_turn(_judged(store, ids, people))
    with writing(store.engine) as connection:
        store.inbox.ensure_held(claim, connection)
        store.recorder.intend(connection, claim.token, list(judged.values()), store.now, live=True)
    keys = {c: {effect.key: "1" for effect in one.plan.effects} for c, one in judged.items()}
    outcomes = {c: Outcome(written={"sk_reason": "…"}, confirmed=keys[c]) for c in ids}
    with writing(store.engine) as connection:
        looks = dict.fromkeys(ids, store.now + 30 * DAY)
        since = claim.taken_at - DAY
        store.recorder.settle(connection, claim.token, outcomes, store.now + SECOND, looks=looks, since=since)
        store.inbox.finish(claim, connection, settled=looks)


def _claim(store: Store) -> Claim:
    erase_reported(store.engine, now=store.now)
    claim = store.inbox.claim(lease_ms=5 * MINUTE, limit=5 * AT_ONCE)
    assert claim is not None
    assert len(claim.contacts) == AT_ONCE
    return claim


def _judged(store: Store, ids: Sequence[str], people: Sequence[Snapshot]) -> Mapping[str, Judged]:
    pack = store.rulebook.pack
    terms = Terms(portal=PORTAL, ladder=pack.ladder, stages={stage: stage for stage in pack.ladder})
    found = {}
    for contact, person in zip(ids, people, strict=True):
        one = judge(store.rulebook, replace(person, contact=contact), Held(), terms, store.now)
        found[contact] = worded(one, terms, store.now)
    return found


def _page_now(store: Store, _: str) -> None:
    with reading(store.engine) as connection:
        page_now.unplaced_events(connection)
        page_now.events_by_portal(connection, since=store.now - MINUTE)
        page_now.portal_rows(connection, [PORTAL])
        page_now.waits_of(connection, PORTAL, store.now)
        page_now.latest_decisions(connection, [PORTAL])


def _page_trouble(store: Store, _: str) -> None:
    with reading(store.engine) as connection:
        dead_letters(connection, [PORTAL])
        page_now.dead_of(connection, PORTAL)


LOOKS: Mapping[str, Callable[[Store, str], object]] = {
    KNOWN: lambda store, contact: store.recorder.held([contact]),
    "the records of a contact (explain --history)": lambda store, contact: recall(store.engine, PORTAL, contact),
    "events show": lambda store, contact: store.inbox.show(PORTAL, contact),
    "events list": lambda store, _: store.inbox.listing(portal=PORTAL, limit=20),
    "/metrics: what lies in the database": lambda store, _: store.inbox.state(),
    "the page Now": _page_now,
    "the page Trouble": _page_trouble,
}


PERSONAL = tuple(LOOKS.values())[:3]
