"""The database: reached, of this release, writable; and room on a disk that is this machine's own."""

import shutil
from collections.abc import Iterator
from pathlib import Path

import sqlalchemy as sa

from connector.diagnosis.check import Check, broken, ok, warning
from connector.moments import SECOND
from connector.store import migrations
from connector.store.engine import check_writing, file_of, is_sqlite, open_database, reading

_WAIT_MS = 2 * SECOND
_GIB = 1024**3
_LEAST_FREE = _GIB
_LONGEST_LOG = 256 * 1024**2
_NETWORK = ("nfs", "nfs4", "cifs", "smb3", "smbfs", "afs", "9p", "ceph", "glusterfs", "fuse.sshfs", "fuse.glusterfs")
_MOUNTS = Path("/proc/self/mountinfo")


def opened(url: str) -> tuple[sa.Engine | None, list[Check]]:
    """Open the database as it is; no engine where there is none that can be read by this release."""
    file = file_of(url)
    if file is not None and file.parent.is_dir() and not file.exists():
        cure = "nothing to do: `stagekeeper serve` makes it; if there should be one, correct `database`"
        return None, [warning("database", f"there is no {file} yet", cure)]
    engine = open_database(url, migrate=False, busy_timeout_ms=_WAIT_MS)
    with reading(engine) as connection:
        revision = migrations.standing(connection)
    if revision.current == revision.newest:
        return engine, []
    engine.dispose()
    if revision.is_unknown:
        found = f"it is at revision {revision.current}, which a newer release made; this one knows {revision.newest}"
        return None, [broken("database", found, "install the newer release, or restore a backup")]
    found = f"its tables are at revision {revision.current or 'none'}, this release's at {revision.newest}"
    return None, [warning("database", found, "take a backup, then start `stagekeeper serve`, which updates them")]


def writable(engine: sa.Engine) -> Iterator[Check]:
    """Say whether it takes anything."""
    check_writing(engine)
    place = engine.url.database if is_sqlite(engine) else f"PostgreSQL at {engine.url.host or 'the default host'}"
    yield ok("database", f"{place}: reached, up to date, writable")


def disk(file: Path) -> Iterator[Check]:
    """Say how much room there is beside the SQLite file."""
    free = shutil.disk_usage(file.parent).free
    text = f"{free / _GIB:.1f} GiB are free where {file.name} is"
    if free < _LEAST_FREE:
        yield warning("disk", text, "free some space, at least 1 GiB; webhooks are refused (503) when nothing is left")
    else:
        yield ok("disk", text)


def log(file: Path) -> Iterator[Check]:
    """Say how long the write-ahead log of a SQLite file has grown."""
    beside = file.with_name(f"{file.name}-wal")
    size = beside.stat().st_size if beside.exists() else 0
    if size > _LONGEST_LOG:
        found = f"the write-ahead log has grown to {size / 1024**2:.0f} MiB"
        yield warning("database-log", found, "end what reads the database for hours (a backup, a shell), or restart")
    else:
        yield ok("database-log", f"the write-ahead log holds {size / 1024**2:.1f} MiB")


def own_disk(file: Path, mounts: Path = _MOUNTS) -> Iterator[Check]:
    """Say whether the file lies on a network file system, where SQLite's locks cannot be relied on; as far as known."""
    kind = _file_system(file.parent.resolve(), mounts)
    if kind in _NETWORK:
        cure = "move the file to a disk of this machine, or use PostgreSQL"
        yield warning("file-system", f"{file.name} is on a network file system ({kind})", cure)
    else:
        yield ok("file-system", f"{file.name} is on {kind or 'a file system of an unknown kind'}")


def _file_system(folder: Path, mounts: Path) -> str:
    """Name the kind of the file system that a folder is on; empty where that cannot be told."""
    try:
        lines = mounts.read_text(encoding="utf-8", errors="replace").splitlines()
    except OSError:
        return ""
    found: tuple[int, str] = (-1, "")
    for line in lines:  # 36 35 98:0 / /mnt rw,noatime master:1 - ext3 /dev/root rw
        before, _, after = line.partition(" - ")
        fields, kinds = before.split(), after.split()
        if len(fields) > 4 and kinds:
            mounted = Path(fields[4].replace("\\040", " "))
            if folder.is_relative_to(mounted) and len(mounted.parts) >= found[0]:
                found = (len(mounted.parts), kinds[0])
    return found[1]
