"""The targets, and how they are run: Hypothesis draws the cases, and names the one that fails."""

import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import hypothesis
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from tests.fuzz import answers_target, files_target, requests_target

LONGEST_S = 30.0
Check = Callable[[random.Random], str]


@dataclass(frozen=True, kw_only=True, slots=True)
class Target:
    """Something that takes what comes from outside."""

    what: str
    make: Callable[[], AbstractContextManager[Check]]
    share: float = 1.0
    """The share of the cases that it gets; what takes long gets fewer."""


TARGETS: Mapping[str, Target] = {
    "body": Target(what="bodies of webhooks", make=lambda: nullcontext(requests_target.read_a_body)),
    "signature": Target(
        what="signatures and their headers", make=lambda: nullcontext(requests_target.verify_a_signature)
    ),
    "receiver": Target(what="whole requests to the receiver", make=requests_target.receiver, share=0.2),
    "meaning": Target(what="answers of HubSpot, one by one", make=lambda: nullcontext(answers_target.tell_a_meaning)),
    "calls": Target(what="calls to a HubSpot that answers anything", make=answers_target.calls, share=0.2),
    "pack-data": Target(what="packs, spoilt as data", make=lambda: nullcontext(files_target.check_a_tree), share=0.1),
    "pack-text": Target(what="packs, spoilt as text", make=lambda: nullcontext(files_target.check_a_text), share=0.05),
    "cases": Target(what="case files", make=files_target.cases, share=0.05),
    "config": Target(what="configurations", make=files_target.configurations, share=0.05),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Outcome:
    """What came out of a target's cases, and how often."""

    cases: int
    counts: Mapping[str, int]
    longest_s: float


def run(target: Target, *, cases: int, seed: int) -> Outcome:
    """Try so many cases; whatever a target does not expect is raised, with the case that does it."""
    counts: Counter[str] = Counter()
    longest = 0.0

    @hypothesis.seed(seed)
    @settings(
        max_examples=cases, database=None, deadline=None, suppress_health_check=list(HealthCheck),
        phases=[Phase.generate],  # a case is a seed of its own, of which nothing can be left out
    )  # fmt: skip
    @given(case=st.binary(min_size=8, max_size=8))
    def one(check: Check, case: bytes) -> None:
        nonlocal longest
        began = time.perf_counter()
        counts[check(random.Random(case))] += 1
        seconds = time.perf_counter() - began
        longest = max(longest, seconds)
        assert seconds < LONGEST_S, f"it took {seconds:.0f} s"

    with target.make() as check:
        one(check)
    return Outcome(cases=counts.total(), counts=dict(counts.most_common()), longest_s=longest)
