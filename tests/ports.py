"""Ports for those who must know theirs before they listen, and who may end and listen there again."""

import contextlib
import random
import socket

_NEVER_GIVEN = range(20_000, 32_000)
"""Systems give higher ones to whoever asks for any (Linux from 32768 on), as everybody does who connects."""


def free_port() -> int:
    """Give a port of the loopback that nobody listens on, and that nobody is given by chance."""
    for port in random.SystemRandom().sample(_NEVER_GIVEN, 100):  # not the seeded one: other processes would draw alike
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise AssertionError("of a hundred ports none was free")
