"""The gate before the receiver: no sender holds a thread, a connection or memory for longer than HubSpot itself waits.

Whoever has not sent a whole request within five seconds is hung up on, however busily he sends. The price is a thread
for each connection that is being read; it sleeps, so what is worked on at once is bounded apart from it.
https://developers.hubspot.com/docs/api/webhooks: HubSpot gives up after five seconds and delivers again.
"""

import contextlib
import resource
import socket
import threading
import time
import weakref
from collections.abc import Iterator
from typing import Any

from connector.errors import StagekeeperError

PATIENCE_S = 5.0
READERS = 512
_CONNECTIONS = 1_000
_OWN_FILES = 100
_LOOK_EVERY_S = 0.25
_TURN_WITHIN_S = 2.0  # as long again may storing take, and HubSpot waits for five


class TooBusy(StagekeeperError):
    """More is being worked on than can be finished in time."""

    code = "too-busy"


class Turns:
    """So many at once; who does not get his turn in time is sent away, to come again."""

    def __init__(self, at_once: int) -> None:
        self._free = threading.BoundedSemaphore(at_once)

    @contextlib.contextmanager
    def turn(self, *, within_s: float = _TURN_WITHIN_S) -> Iterator[None]:
        """Wait for a turn and keep it for the block; raises TooBusy."""
        if not self._free.acquire(timeout=within_s):
            raise TooBusy
        try:
            yield
        finally:
            self._free.release()


class Visitor(socket.socket):
    """A connection that knows since when its other side keeps us waiting."""

    began: float | None = None
    """When the request that is being read, or the answer that is being sent, began."""
    waits: bool = False
    """Whether a thread is waiting for the other side now."""

    def admit(self) -> None:
        """Begin to count: the first request is due from now on."""
        self.began, self.waits = time.monotonic(), True

    def recv(self, size: int, flags: int = 0, /) -> bytes:
        """Receive, and count the time from the first call for a request."""
        if self.began is None:
            self.began = time.monotonic()
        self.waits = True
        try:
            return super().recv(size, flags)
        finally:
            self.waits = False

    def sendall(self, data: Any, flags: int = 0, /) -> None:
        """Send, and count the time anew; the next request may begin as late as its sender likes."""
        self.began, self.waits = time.monotonic(), True
        try:
            super().sendall(data, flags)
        finally:
            self.began, self.waits = None, False

    def hang_up(self, before: float) -> None:
        """End what began before a moment and still waits, so that a thread in the middle of it comes free."""
        began = self.began
        if not self.waits or began is None or began >= before:
            return
        # Half at first, so that an answer can still say why; who does not read answers either is cut off whole.
        how = socket.SHUT_RD if began >= before - PATIENCE_S else socket.SHUT_RDWR
        with contextlib.suppress(OSError):  # it may be closed by now
            self.shutdown(how)


class Door(socket.socket):
    """A listening socket whose connections are Visitors."""

    visitors: "Visitors"

    def accept(self) -> tuple[socket.socket, Any]:
        """Take the next connection."""
        connection, address = super().accept()
        visitor = Visitor(connection.family, connection.type, connection.proto, fileno=connection.detach())
        visitor.admit()
        self.visitors.add(visitor)
        return visitor, address


class Visitors:
    """All connections of a process; a thread of its own looks for those whose time is over."""

    def __init__(self, patience_s: float) -> None:
        self._patience_s = patience_s
        self._all: weakref.WeakSet[Visitor] = weakref.WeakSet()
        self._lock = threading.Lock()

    def add(self, visitor: Visitor) -> None:
        """Watch a connection until it is closed."""
        with self._lock:
            self._all.add(visitor)

    def watch(self) -> None:
        """Start looking, for as long as the process lives."""
        threading.Thread(target=self._look, name="gate", daemon=True).start()

    def _look(self) -> None:
        pause = threading.Event()
        while not pause.wait(_LOOK_EVERY_S):
            with self._lock:
                visitors = list(self._all)
            before = time.monotonic() - self._patience_s
            for visitor in visitors:
                visitor.hang_up(before)


def guard(sockets: Any) -> None:
    """Put a Door in the place of each listening socket that gunicorn holds."""
    visitors = Visitors(PATIENCE_S)
    for listener in sockets:
        old = listener.sock
        listener.sock = Door(old.family, old.type, old.proto, fileno=old.detach())
        listener.sock.setblocking(False)
        listener.sock.visitors = visitors
    visitors.watch()


def connections_allowed() -> int:
    """Say how many connections may be open: beyond the files that a process may have, accepting would end it."""
    most, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    return _CONNECTIONS if most == resource.RLIM_INFINITY else max(16, min(_CONNECTIONS, most - _OWN_FILES))
