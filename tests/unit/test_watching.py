"""Watching: at once, after every change, and never in between."""

import os
from pathlib import Path

from connector.cli.watching import changes


def write(path: Path, text: str, moment: int) -> None:
    """Write a file as at that second, so that no test waits for a clock to move on."""
    path.write_text(text, encoding="utf-8")
    os.utime(path, (moment, moment))


def test_there_is_a_run_at_once_and_one_after_each_change(tmp_path: Path) -> None:
    old, new = tmp_path / "old.yaml", tmp_path / "new.yaml"
    write(old, "a", 1)
    steps = iter([
        lambda: None, lambda: None, lambda: write(old, "b", 2),  # changed
        lambda: None, lambda: write(new, "c", 3),  # come
        old.unlink,  # gone
        lambda: write(old, "ab", 1), lambda: write(old, "abc", 1),  # come again; of the same time, but longer
    ])  # fmt: skip
    done: list[int] = []

    def pause() -> None:
        done.append(len(done) + 1)
        next(steps)()

    runs = []
    watched = changes(lambda: sorted({old, *tmp_path.glob("*.yaml")}), pause=pause)
    for _ in watched:
        runs.append(len(done))
        if len(runs) == 6:
            break
    assert runs == [0, 3, 5, 6, 7, 8]


def test_what_changes_while_a_run_is_under_way_is_not_missed(tmp_path: Path) -> None:
    path = tmp_path / "a.yaml"
    write(path, "a", 1)
    watched = changes(lambda: [path], pause=lambda: None)
    next(watched)
    write(path, "b", 2)
    assert next(watched) is None
