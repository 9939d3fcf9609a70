"""A plan in a file: valid JSON, one contact a line, written and read without ever being held as a whole.

The last line carries a digest of all that stands before it: a file that was edited, cut off or put together from two
is refused before anything is done.
"""

import hashlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import IO, Any

import orjson

from connector.errors import StagekeeperError
from connector.rollout.entry import Entry

VERSION = 1
_LONGEST_LINE = 1_000_000


class PlanUnreadable(StagekeeperError):
    """The file is no plan of Stagekeeper's, or not the one that was written."""

    code = "plan-unreadable"
    exit_code = 7


@dataclass(frozen=True, kw_only=True, slots=True)
class Heading:
    """What a plan is for: the portal, the pack as it was, the moment (epoch ms)."""

    portal: int
    pack: str
    pack_file: str
    pack_hash: str
    made_at: int
    stagekeeper: str

    def as_data(self) -> dict[str, Any]:
        """Give the heading as plain data."""
        return {"version": VERSION, **{name: getattr(self, name) for name in self.__slots__}}


class PlanWriter:
    """Writes a plan line by line."""

    def __init__(self, stream: IO[bytes], heading: Heading) -> None:
        self._stream = stream
        self._digest = hashlib.sha256()
        self._first = True
        self._put(b'{"plan": ' + orjson.dumps(heading.as_data()) + b',\n"contacts": [')

    def add(self, entry: Entry) -> None:
        """Add a contact about whom something would be done."""
        self._put((b"\n" if self._first else b",\n") + entry.as_line())
        self._first = False

    def finish(self, summary: Mapping[str, Any]) -> None:
        """Add the numbers and the digest."""
        self._put(b'\n],\n"summary": ' + orjson.dumps(summary))
        self._stream.write(b',\n"digest": "' + self._digest.hexdigest().encode() + b'"}\n')

    def _put(self, text: bytes) -> None:
        self._digest.update(text)
        self._stream.write(text)


@contextmanager
def writing_plan(path: Path, heading: Heading) -> Iterator[PlanWriter]:
    """Write a plan beside its place and put it there when it is whole; an older one stays until then."""
    draft = path.with_name(f"{path.name}.part")
    try:
        with draft.open("wb") as stream:
            yield PlanWriter(stream, heading)
        draft.replace(path)
    except OSError as error:
        raise PlanUnreadable(f"{path}: cannot be written: {error.strerror}; expected a place for the plan") from error
    finally:
        draft.unlink(missing_ok=True)


@dataclass(frozen=True, kw_only=True, slots=True)
class PlanFile:
    """A plan that has been read through once and found whole; its contacts are read again each time."""

    path: Path
    heading: Heading
    summary: Mapping[str, Any]

    def entries(self) -> Iterator[Entry]:
        """Give the contacts about whom something is to be done."""
        with _opened(self.path) as stream:
            yield from _entries(self.path, stream)


def read_plan(path: Path) -> PlanFile:
    """Read a plan; raises PlanUnreadable when it is not what was written."""
    digest = hashlib.sha256()
    head = tail = b""
    with _opened(path) as stream:
        for number, line in enumerate(iter(lambda: stream.readline(_LONGEST_LINE), b"")):
            head = line if number == 0 else head
            if line.startswith(b'"digest":'):
                _check_digest(path, line, digest.hexdigest())
                return PlanFile(path=path, heading=_heading(path, head), summary=_summary(path, tail))
            # The comma before the last line belongs to it.
            digest.update(line.removesuffix(b",\n") if line.startswith(b'"summary":') else line)
            tail = line
    raise _unreadable(path, "it is cut off, or no plan at all")


def _check_digest(path: Path, line: bytes, found: str) -> None:
    if line.strip() != b'"digest": "' + found.encode() + b'"}':
        raise _unreadable(path, "it has been changed since it was written")


def _heading(path: Path, line: bytes) -> Heading:
    try:
        data = dict(orjson.loads(line.removeprefix(b'{"plan": ').rstrip().removesuffix(b",")))
        version = data.pop("version")
    except (orjson.JSONDecodeError, ValueError, TypeError, KeyError) as error:
        raise _unreadable(path, "it has no heading") from error
    if version != VERSION:
        raise _unreadable(path, f"it is of version {version}, this Stagekeeper reads version {VERSION}")
    try:
        return Heading(**data)
    except TypeError as error:
        raise _unreadable(path, "its heading is another one's") from error


def _summary(path: Path, line: bytes) -> Mapping[str, Any]:
    try:
        summary: dict[str, Any] = orjson.loads(line.removeprefix(b'"summary": ').rstrip().removesuffix(b","))
    except orjson.JSONDecodeError as error:
        raise _unreadable(path, "it has no summary") from error
    return summary


def _entries(path: Path, stream: IO[bytes]) -> Iterator[Entry]:
    stream.readline()
    for line in iter(stream.readline, b""):
        if not line.startswith(b'{"contact"'):
            if line.startswith(b'"contacts"'):
                continue
            return
        try:
            yield Entry.from_data(orjson.loads(line.rstrip().removesuffix(b",")))
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise _unreadable(path, "it holds a contact that cannot be read") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    try:
        with path.open("rb") as stream:
            yield stream
    except OSError as error:
        raise _unreadable(path, error.strerror or "it cannot be opened") from error


def _unreadable(path: Path, why: str) -> PlanUnreadable:
    cure = "make it anew with `stagekeeper plan --out`"
    return PlanUnreadable(f"{path}: {why}; expected a plan as `stagekeeper plan` wrote it; {cure}")
