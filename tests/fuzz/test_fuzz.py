"""A short form of `make fuzz`: nothing that comes from outside makes anything raise what it must not."""

import pytest

from tests.fuzz.running import TARGETS, run

CASES = 1_000


@pytest.mark.parametrize("name", TARGETS)
def test_nothing_from_outside_makes_it_crash(name: str) -> None:
    target = TARGETS[name]
    cases = round(max(CASES * target.share, 100))
    outcome = run(target, cases=cases, seed=20_261_122)
    assert outcome.cases >= cases
    assert len(outcome.counts) >= 2  # else only one path was ever taken
