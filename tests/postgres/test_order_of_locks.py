"""Who holds what first: whoever erases, and whoever ends a claim, begin with the contact's place in the inbox."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import sqlalchemy as sa

from connector.identity.erasure import erase_person
from connector.inbox import Inbox
from connector.store.engine import open_database, reading, writing
from connector.store.tables import contacts, waiting
from tests.dying import amid
from tests.inboxes import LEASE, PORTAL, SETTLE, START, Hands, accept, claim, judge, named, settle, stored
from tests.practice import NOTED, leads, practice
from tests.running import wait_until


def kept_waiting(engine: sa.Engine) -> int:
    """Count the sessions that wait for a lock."""
    query = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND wait_event_type = 'Lock'"
    with reading(engine) as connection:
        return int(connection.exec_driver_sql(query).scalar_one())


@contextmanager
def held(engine: sa.Engine, table: sa.Table, contact: str) -> Iterator[None]:
    """Hold a contact's row."""
    with writing(engine) as connection:
        found = connection.execute(sa.select(table).where(table.c.contact == contact).with_for_update()).all()
        assert len(found) == 1
        yield


@pytest.mark.parametrize("waits", [True, False])
def test_whom_somebody_erases_nobody_takes_into_a_claim_meanwhile(engine: sa.Engine, url: str, waits: bool) -> None:
    hands = Hands()
    inbox, others = Inbox(engine, hands), [open_database(url) for _ in range(2)]
    accept(inbox, "1")
    hands.move(SETTLE)
    settle(inbox, engine, claim(inbox), {"1": None})
    if waits:
        inbox.look_at(PORTAL, ["1"], due=hands.now)
    asked = {"reason": "asked", "now": hands.now}
    erasing = threading.Thread(target=lambda: erase_person(others[0], PORTAL, "1", **asked))
    looking = threading.Thread(target=lambda: Inbox(others[1], hands).look_at(PORTAL, ["1"], due=hands.now))
    with held(engine, contacts, "1"):
        erasing.start()
        wait_until(lambda: kept_waiting(engine) == 1, what="the erasure's waiting for what is known")
        looking.start()
        wait_until(lambda: kept_waiting(engine) == 2, what="the look's waiting for the erasure")
        assert inbox.claim(lease_ms=LEASE) is None
    for each in (erasing, looking):
        each.join(30)
    assert stored(engine, contacts) == []
    found = claim(inbox)
    assert named(found) == ["1"]
    with writing(engine) as connection:
        inbox.ensure_held(found, connection)
    for other in others:
        other.dispose()


def test_an_erasure_waits_for_whoever_is_just_letting_the_contact_wait(engine: sa.Engine, url: str) -> None:
    hands = Hands()
    inbox, other = Inbox(engine, hands), open_database(url)
    with writing(engine) as connection:
        judge(connection, "1", None)
    erased = threading.Thread(target=lambda: erase_person(other, PORTAL, "1", reason="asked", now=START))
    with writing(engine) as connection:
        inbox.look_at(PORTAL, ["1"], due=START, connection=connection)
        erased.start()
        wait_until(lambda: kept_waiting(engine) == 1, what="the erasure's waiting for the look")
    erased.join(30)
    assert (stored(engine, contacts), stored(engine, waiting)) == ([], [])
    other.dispose()


def test_whoever_ends_a_claim_holds_its_contacts_before_he_writes_down_what_came_of_them(tmp_path: Path) -> None:
    """Whoever erases goes the same way: were one to begin at the other end, they would wait in a circle."""
    with practice(tmp_path, rules=NOTED) as the:
        [ana] = leads(the, 1)
        the.deliver()
        the.move(seconds=3)
        begun, go_on = threading.Event(), threading.Event()

        def stop() -> None:
            begun.set()
            go_on.wait(30)

        with amid(the, 3, stop, after=True):  # its properties are written
            working = threading.Thread(target=the.worker.work_once)
            working.start()
            begun.wait(30)
            engine = the.services.engine
            with held(engine, waiting, ana):
                go_on.set()
                wait_until(lambda: kept_waiting(engine) == 1, what="the worker's waiting for its contact")
                with held(engine, contacts, ana):
                    assert working.is_alive()
            working.join(30)
        assert the.waiting(ana) is None
        assert the.rows(sa.select(contacts.c.unwritten)) == [({},)]
