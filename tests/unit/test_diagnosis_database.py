"""What the doctor says of disks: room, the log beside the file, and file systems that are somebody else's."""

import os
import shutil
from pathlib import Path
from typing import NamedTuple

import pytest

from connector.diagnosis import database
from connector.diagnosis.check import Check

MOUNTS = """22 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw
36 22 0:31 / /srv/data rw,relatime shared:2 - nfs4 server:/data rw,vers=4.2
37 36 8:2 / /srv/data/local\\040disk rw - xfs /dev/sdb1 rw
38 22 0:9 /
"""


class Usage(NamedTuple):
    total: int
    used: int
    free: int


def only(found: list[Check]) -> Check:
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(
    ("folder", "state", "kind"),
    [("/home/x", "ok", "ext4"), ("/srv/data", "warning", "nfs4"), ("/srv/data/deep", "warning", "nfs4"),
     ("/srv/database", "ok", "ext4"), ("/srv/data/local disk/x", "ok", "xfs")],
)  # fmt: skip
def test_a_network_file_system_is_told(tmp_path: Path, folder: str, state: str, kind: str) -> None:
    mounts = tmp_path / "mountinfo"
    mounts.write_text(MOUNTS, encoding="utf-8")
    found = only(list(database.own_disk(Path(folder) / "s.db", mounts)))
    assert (found.state, kind in found.found) == (state, True)


def test_where_mounts_cannot_be_read_nothing_is_claimed(tmp_path: Path) -> None:
    found = only(list(database.own_disk(tmp_path / "s.db", tmp_path / "none")))
    assert (found.state, found.found) == ("ok", "s.db is on a file system of an unknown kind")


@pytest.mark.parametrize(("free", "state"), [(2 * 1024**3, "ok"), (1024**3 - 1, "warning")])
def test_less_than_a_gibibyte_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, free: int, state: str) -> None:
    monkeypatch.setattr(shutil, "disk_usage", lambda _: Usage(total=10, used=1, free=free))
    assert only(list(database.disk(tmp_path / "s.db"))).state == state


@pytest.mark.parametrize(("size", "state"), [(None, "ok"), (1024, "ok"), (300 * 1024**2, "warning")])
def test_a_log_that_has_grown_is_told(tmp_path: Path, size: int | None, state: str) -> None:
    if size is not None:
        with (tmp_path / "s.db-wal").open("wb") as file:
            os.truncate(file.fileno(), size)
    assert only(list(database.log(tmp_path / "s.db"))).state == state
