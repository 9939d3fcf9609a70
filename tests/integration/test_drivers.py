"""Which driver there is, and what the bell does and does not do to whoever rings it."""

import threading
from pathlib import Path

import pytest

from connector.driving.bell import Bell
from connector.driving.choice import NoSuchDriver, bell_for, driver_for
from connector.driving.thread import ThreadDriver
from connector.errors import DatabaseUnavailable
from connector.store.engine import open_database
from tests.running import wait_until


@pytest.mark.usefixtures("in_a_file")
def test_a_file_has_a_thread_and_no_bell_and_refuses_the_other(tmp_path: Path) -> None:
    engine = open_database(f"sqlite:///{tmp_path / 'some.db'}")
    assert isinstance(driver_for(engine, "auto"), ThreadDriver)
    assert isinstance(driver_for(engine, "thread"), ThreadDriver)
    assert bell_for(engine, "auto") is None
    with pytest.raises(NoSuchDriver, match=r"'procrastinate', the database is SQLite.*leave `worker.driver` out"):
        driver_for(engine, "procrastinate")
    engine.dispose()


def test_who_rings_waits_for_nobody_and_rings_at_once_are_one() -> None:
    may_go, woken = threading.Event(), list[int]()
    done = threading.Semaphore(0)

    def wake(portal: int) -> None:
        may_go.wait(10)
        woken.append(portal)
        done.release()

    bell = Bell(wake)
    bell.ring([1])  # somebody is being woken now, and takes long
    wait_until(lambda: not bell._portals, what="the first ring")
    for _ in range(50):
        bell.ring([3, 2])
    may_go.set()
    assert all(done.acquire(timeout=10) for _ in range(3))
    assert woken == [1, 2, 3]


def test_a_ring_that_fails_is_told_and_the_next_one_rings() -> None:
    woken = threading.Event()

    def wake(portal: int) -> None:
        if portal == 1:
            raise DatabaseUnavailable
        woken.set()

    bell = Bell(wake)
    bell.ring([1, 2])
    assert woken.wait(10)
