"""The torture test in its short form; `make torture` runs the long one."""

from pathlib import Path

from tests.torture.__main__ import told
from tests.torture.books import Books
from tests.torture.run import PORTAL, SHORT, Settings, Torture


def test_nothing_is_lost_twice_or_wrong_whatever_is_killed_starved_or_lied_to(tmp_path: Path) -> None:
    report = Torture(Settings(seed=1, **SHORT), tmp_path, say=print).run()
    story = told(report, Books(f"sqlite:///{tmp_path / 'torture.db'}", PORTAL))
    assert str(report.finding) == "lost 0, twice 0, wrong 0", story
    assert sum(number for name, number in report.counts.items() if name.startswith("kills of")) == 6, story
