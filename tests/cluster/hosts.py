"""The hosts of a cluster: each knows the database and HubSpot under addresses of its own, and can lose the database.

With network namespaces a host has two cables, one to HubSpot and the load balancer, one to the database; cutting it off
is to pull the second. Where those are not to be had, a host is a process that reaches the database through a relay,
which then goes silent.
"""

import contextlib
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from tests.cluster.relay import Relay
from tests.ports import free_port

_PORT = 8080
_TRUSTED = "10.78.0.0/16"


@dataclass(frozen=True, kw_only=True, slots=True)
class Host:
    """One machine, or what stands for it."""

    name: str
    bind: tuple[str, int]
    """Where its receiver listens."""
    hubspot: str
    """Under which address it knows HubSpot: nobody else does, so calls tell where they come from."""
    database: tuple[str, int]
    cut_off: Callable[[], None]
    """Take the database from it, without a word to either."""
    connect: Callable[[], None]
    within: Sequence[str] = field(default=())
    """What a command begins with that is to run there."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Network:
    """What a cluster runs on."""

    kind: str
    hosts: Sequence[Host]
    database_listens: str
    trusts: str = ""


@contextlib.contextmanager
def network(names: Sequence[str], *, database_port: int, plain: bool = False) -> Iterator[Network]:
    """Make the hosts; gone afterwards."""
    with contextlib.ExitStack() as stack:
        if plain or not can_make_namespaces():
            hosts = [stack.enter_context(_process(name, n, database_port)) for n, name in enumerate(names, 1)]
            yield Network(kind="processes", hosts=hosts, database_listens="127.0.0.1")
        else:
            hosts = [stack.enter_context(_namespace(name, n, database_port)) for n, name in enumerate(names, 1)]
            listens = ",".join(["127.0.0.1", *(host.database[0] for host in hosts)])
            yield Network(kind="network namespaces", hosts=hosts, database_listens=listens, trusts=_TRUSTED)


def can_make_namespaces() -> bool:
    """Try whether this user may make a network namespace with a cable."""
    if os.geteuid() != 0 or shutil.which("ip") is None:
        return False
    try:
        with _namespace("trial", 0, 0):
            return True
    except subprocess.CalledProcessError:
        return False


@contextlib.contextmanager
def _namespace(name: str, number: int, database_port: int) -> Iterator[Host]:
    mark = f"sk{os.getpid() % 100_000}-{number}"
    block = os.getpid() % 200
    near, far = (f"{block}.{number * 4 + each}" for each in (1, 2))
    _ip("netns", "add", mark)
    try:
        _ip("-n", mark, "link", "set", "lo", "up")
        for cable, net in (("w", "10.77"), ("d", "10.78")):
            here, there = f"{mark}{cable}", f"{cable}0"
            _ip("link", "add", here, "type", "veth", "peer", "name", there, "netns", mark)
            _ip("addr", "add", f"{net}.{near}/30", "dev", here)
            _ip("link", "set", here, "up")
            _ip("-n", mark, "addr", "add", f"{net}.{far}/30", "dev", there)
            _ip("-n", mark, "link", "set", there, "up")
        yield Host(
            name=name, bind=(f"10.77.{far}", _PORT), hubspot=f"10.77.{near}",
            database=(f"10.78.{near}", database_port), within=("ip", "netns", "exec", mark),
            cut_off=lambda: _ip("link", "set", f"{mark}d", "down"),
            connect=lambda: _ip("link", "set", f"{mark}d", "up"),
        )  # fmt: skip
    finally:
        for cable in "wd":
            _ip("link", "del", f"{mark}{cable}", check=False)
        _ip("netns", "del", mark, check=False)


@contextlib.contextmanager
def _process(name: str, number: int, database_port: int) -> Iterator[Host]:
    with Relay(("127.0.0.1", database_port)) as relay:
        yield Host(
            name=name, bind=("127.0.0.1", free_port()), hubspot=f"127.0.0.{100 + number}",
            database=("127.0.0.1", relay.port), cut_off=relay.fall_silent, connect=relay.speak,
        )  # fmt: skip


def _ip(*words: str, check: bool = True) -> None:
    subprocess.run(["ip", *words], check=check, capture_output=True)
