"""The test of several hosts in its short form; `make cluster` runs the long one."""

from pathlib import Path

from tests.cluster.__main__ import told
from tests.cluster.run import SHORT, Cluster, Settings


def test_nothing_is_lost_or_twice_or_in_two_hands_whoever_dies_or_loses_the_database(tmp_path: Path) -> None:
    report = Cluster(Settings(seed=1, **SHORT), tmp_path, say=print).run()
    story = told(report)
    assert str(report) == "lost 0, twice 0, wrong 0, overlap 0", story
    assert report.takeovers_alone, story
    assert max(report.takeovers_alone) <= report.settings.allowed_takeover_s, story
    assert sum(number for name, number in report.counts.items() if name.startswith("kills of")) == 9, story
    assert sum(number for name, number in report.counts.items() if name.startswith("cuts of")) == 1, story
