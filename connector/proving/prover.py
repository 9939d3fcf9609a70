"""Everything that can be proven about one pack, in one run; what could not be settled in time is said, not guessed."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from connector.moments import read_moment
from connector.proving.classes import catalogue
from connector.proving.conflicts import differing_values, overlaps
from connector.proving.dead import dead_parts
from connector.proving.encoding import World
from connector.proving.findings import Finding
from connector.proving.gaps import holes, uncaught
from connector.proving.loops import restless, unrepeated
from connector.proving.solving import SECONDS_PER_QUESTION
from connector.proving.space import Space
from connector.rulebook.contradictions import KNOWN_FORMS, Forms
from connector.rulebook.pack import Pack
from connector.rulebook.reading import Document

PRESENT = (read_moment("2026-03-02T09:00:00Z") or (0, 0))[0]
"""The moment at which witnesses are judged; one that never changes, so that every run finds the same."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Proof:
    """What was found, and which questions were left open."""

    findings: tuple[Finding, ...]
    undecided: tuple[str, ...] = ()


def prove(  # noqa: PLR0913 - a pack and how to look at it, all named
    pack: Pack, document: Document, *, forms: Forms = KNOWN_FORMS, strict: bool = False, with_overlaps: bool = False,
    now: int = PRESENT, seconds: float = SECONDS_PER_QUESTION,
) -> Proof:  # fmt: skip
    """Prove what can be proven; `forms` says what properties hold, and `strict` that it comes from the portal itself.

    z3 must be installed.
    """
    world = World(pack, catalogue(pack, now=now, forms=forms, strict=strict))
    space = Space(world, seconds=seconds)
    steps: list[Callable[[], Iterator[Finding]]] = [
        lambda: dead_parts(space, document),
        lambda: uncaught(space, document),
        lambda: holes(space),
        lambda: differing_values(space),
        lambda: unrepeated(space),
        lambda: restless(space),
    ]
    if with_overlaps:
        steps.append(lambda: overlaps(space))
    found = [finding for step in steps for finding in step()]
    ordered = sorted(found, key=lambda finding: finding.problem)
    return Proof(findings=tuple(ordered), undecided=tuple(dict.fromkeys(space.undecided)))
