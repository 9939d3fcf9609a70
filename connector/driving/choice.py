"""Which driver a database has: a thread on SQLite, Procrastinate on PostgreSQL unless the configuration says otherwise.

Procrastinate is imported here and nowhere before, so that whoever has SQLite need not have it.
"""

import importlib.util
from typing import Literal

import sqlalchemy as sa

from connector.driving.bell import Bell
from connector.driving.driver import Driver
from connector.driving.queue import JobQueue
from connector.driving.thread import ThreadDriver
from connector.errors import StagekeeperError
from connector.store.engine import is_sqlite

Wanted = Literal["auto", "thread", "procrastinate"]


class NoSuchDriver(StagekeeperError):
    """The configuration asks for a driver that this database or this installation does not have."""

    code = "no-such-driver"
    exit_code = 3


def driver_for(engine: sa.Engine, wanted: Wanted) -> Driver:
    """Give what drives a worker; raises NoSuchDriver."""
    if not is_driven_by_jobs(engine, wanted):
        return ThreadDriver()
    from connector.driving.procrastination import ProcrastinateDriver  # noqa: PLC0415 - see the head of this module

    return ProcrastinateDriver(engine)


def bell_for(engine: sa.Engine, wanted: Wanted) -> Bell | None:
    """Give what a receiver rings after storing events; None where workers look by themselves."""
    return Bell(JobQueue(engine).wake) if is_driven_by_jobs(engine, wanted) else None


def is_driven_by_jobs(engine: sa.Engine, wanted: Wanted) -> bool:
    """Ask whether workers are driven by Procrastinate's jobs; raises NoSuchDriver."""
    if wanted == "thread" or (wanted == "auto" and is_sqlite(engine)):
        return False
    if is_sqlite(engine):
        cure = "leave `worker.driver` out, or use PostgreSQL"
        raise NoSuchDriver(f"`worker.driver` is 'procrastinate', the database is SQLite; expected PostgreSQL; {cure}")
    if importlib.util.find_spec("procrastinate") is None:
        cure = "run `pip install 'stagekeeper[postgres]'`, or write `driver: thread` under `worker:`"
        raise NoSuchDriver(f"Procrastinate drives workers on PostgreSQL, and is not installed; {cure}")
    return True
