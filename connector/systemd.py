"""What is told to systemd, or to whoever else started us and listens in its way: ready, reloading, stopping, alive.

A datagram over the socket that `NOTIFY_SOCKET` names; without one nothing is sent, and a listener that has gone away is
no reason to stop working.
https://www.freedesktop.org/software/systemd/man/latest/sd_notify.html
"""

import contextlib
import os
import socket
import time
from collections.abc import Mapping

_SOCKET = "NOTIFY_SOCKET"
_WATCHDOG, _WATCHDOG_PID = "WATCHDOG_USEC", "WATCHDOG_PID"
FOR_US_ALONE = frozenset({_SOCKET, _WATCHDOG, _WATCHDOG_PID})
"""What a process that we start must not find in its environment, or it would speak in our name."""


class Supervisor:
    """Whoever supervises this process."""

    def __init__(self, environment: Mapping[str, str] = os.environ) -> None:
        self._address = _address(environment.get(_SOCKET, ""))
        self.watchdog_s = _watchdog_s(environment) if self._address else None
        """How often at least it wants to hear that we are alive; None: it does not ask."""
        self._alive_at: float | None = None

    def tell_ready(self) -> None:
        """Say that the work has begun, or goes on after a reload."""
        self._send("READY=1")

    def tell_reloading(self) -> None:
        """Say that what was asked for by SIGHUP is under way; `tell_ready` ends it."""
        self._send(f"RELOADING=1\nMONOTONIC_USEC={time.clock_gettime_ns(time.CLOCK_MONOTONIC) // 1_000}")

    def tell_stopping(self) -> None:
        """Say that the end has begun."""
        self._send("STOPPING=1")

    def tell_alive(self) -> None:
        """Say that the main loop goes round; sent no more than thrice in the time that the watchdog gives."""
        now = time.monotonic()
        if self.watchdog_s is not None and (self._alive_at is None or now - self._alive_at >= self.watchdog_s / 3):
            self._alive_at = now
            self._send("WATCHDOG=1")

    def _send(self, text: str) -> None:
        if self._address is None:
            return
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender:
            sender.settimeout(1.0)
            sender.sendto(text.encode(), self._address)


def _address(text: str) -> str | None:
    """Read the address: a path, or behind an `@` a name in Linux's abstract space; no other kind is known here."""
    if text.startswith("@"):
        return "\0" + text[1:]
    return text if text.startswith("/") else None


def _watchdog_s(environment: Mapping[str, str]) -> float | None:
    """Read how patient the watchdog is, when it is us whom it watches."""
    meant = environment.get(_WATCHDOG_PID, "") in ("", str(os.getpid()))
    text = environment.get(_WATCHDOG, "")
    return int(text) / 1_000_000 if meant and text.isdecimal() and int(text) > 0 else None
