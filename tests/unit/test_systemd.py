"""What is told to systemd, over real sockets."""

import os
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from connector.systemd import Supervisor


@contextmanager
def listener(address: str) -> Iterator[socket.socket]:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as heard:
        heard.bind("\0" + address[1:] if address.startswith("@") else address)
        heard.settimeout(5)
        yield heard


def told(heard: socket.socket) -> str:
    return heard.recv(4096).decode()


def test_everything_is_told_over_a_socket_with_a_path(tmp_path: Path) -> None:
    with listener(str(tmp_path / "notify")) as heard:
        supervisor = Supervisor({"NOTIFY_SOCKET": str(tmp_path / "notify")})
        supervisor.tell_ready()
        supervisor.tell_reloading()
        supervisor.tell_stopping()
        assert told(heard) == "READY=1"
        reloading, stamp = told(heard).split("\n")
        assert reloading == "RELOADING=1"
        name, microseconds = stamp.split("=")
        assert name == "MONOTONIC_USEC"
        assert 0 <= time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000 - int(microseconds) < 60_000_000
        assert told(heard) == "STOPPING=1"


def test_an_abstract_address_is_understood() -> None:
    if sys.platform != "linux":
        return  # no other system has such addresses
    name = f"@stagekeeper-test-{os.getpid()}"
    with listener(name) as heard:
        Supervisor({"NOTIFY_SOCKET": name}).tell_ready()
        assert told(heard) == "READY=1"


def test_the_watchdog_hears_no_more_than_it_needs(tmp_path: Path) -> None:
    with listener(str(tmp_path / "notify")) as heard:
        environment = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "30000000"}
        supervisor = Supervisor({**environment, "WATCHDOG_PID": str(os.getpid())})
        assert supervisor.watchdog_s == 30
        for _ in range(50):
            supervisor.tell_alive()
        supervisor.tell_stopping()
        assert [told(heard), told(heard)] == ["WATCHDOG=1", "STOPPING=1"]


@pytest.mark.parametrize("usec", ["", "0", "soon", "-5"])
def test_a_watchdog_without_a_time_asks_for_nothing(usec: str, tmp_path: Path) -> None:
    assert Supervisor({"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": usec}).watchdog_s is None


def test_the_watchdog_of_another_process_is_not_ours(tmp_path: Path) -> None:
    environment = {"NOTIFY_SOCKET": str(tmp_path / "n"), "WATCHDOG_USEC": "30000000", "WATCHDOG_PID": "1"}
    assert Supervisor(environment).watchdog_s is None


@pytest.mark.parametrize("address", ["", "vsock:2:1234", "relative/path", "/no/such/folder/notify"])
def test_nobody_who_listens_is_no_trouble(address: str) -> None:
    supervisor = Supervisor({"NOTIFY_SOCKET": address})
    supervisor.tell_ready()
    supervisor.tell_alive()
    supervisor.tell_stopping()
