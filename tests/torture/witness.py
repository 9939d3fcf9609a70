"""The witness at the practice HubSpot: who wrote to which contacts, and when, so that none was in two hands at once.

A caller is known by the address under which it knows HubSpot: each has one of its own.
"""

import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import orjson

from connector.sandbox import Sandbox
from connector.sandbox.front import Front, Reply

_UPDATES, _TASKS = "/contacts/batch/update", "/tasks/batch/create"


@dataclass(frozen=True, kw_only=True, slots=True)
class Seen:
    """One call that wrote: from where, when (seconds), to whom."""

    host: str
    at: float
    contacts: tuple[str, ...]


def attend(sandbox: Sandbox, file: Path) -> None:
    """Have every call to a practice HubSpot that runs pass before the witness."""
    server = sandbox._server
    assert server is not None
    server.front = _Witness(server.front, file)  # type: ignore[assignment]


def read_seen(file: Path) -> list[Seen]:
    """Read what the witness wrote down."""
    lines = file.read_bytes().splitlines() if file.exists() else []
    return [Seen(host=host, at=at, contacts=tuple(contacts)) for host, at, contacts in map(orjson.loads, lines)]


class _Witness:
    def __init__(self, front: Front, file: Path) -> None:
        self._front = front
        self._file = file.open("ab", buffering=0)

    def respond(self, method: str, target: str, headers: Mapping[str, str], body: bytes) -> Reply:
        if target.endswith((_UPDATES, _TASKS)):
            contacts = sorted(set(_contacts(target, orjson.loads(body).get("inputs", []))))
            host = headers.get("host", "").partition(":")[0]
            self._file.write(orjson.dumps([host, time.time(), contacts]) + b"\n")
        return self._front.respond(method, target, headers, body)


def _contacts(target: str, inputs: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for one in inputs:
        if target.endswith(_UPDATES):
            yield str(one["id"])
        else:
            yield from (str(each["to"]["id"]) for each in one.get("associations", ()))
