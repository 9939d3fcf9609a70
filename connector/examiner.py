"""Judging the contacts of a portal under a pack: what the worker, `explain` and `plan` have in common. Writes nothing.

Companies, and then deals, are read only for those whose decision could still depend on them.
"""

import time
from collections.abc import Mapping
from dataclasses import replace

from connector.decision import CLOSED, decide
from connector.hubspot.client import HubSpotPortal
from connector.hubspot.meaning import Meaning
from connector.people import contested, last_moves
from connector.plan import Terms, outline, with_texts
from connector.record import Held, Judged
from connector.rivals.bouts import hold_back
from connector.rulebook.judging import Rulebook
from connector.snapshot import Snapshot, Snapshots, Wanted, read_snapshots, with_companies, with_deals


def judge(rulebook: Rulebook, snapshot: Snapshot, held: Held, terms: Terms, now: int) -> Judged:
    """Decide about one contact and plan what is to be done, but for the texts."""
    decision = decide(rulebook, snapshot, held.memory, now)
    plan = outline(decision, snapshot, terms, now, held.unwritten, theirs_until=held.theirs_until)
    plan = hold_back(plan, held.bouts, now)
    if decision.status != CLOSED:
        return Judged(snapshot=snapshot, held=held, decision=decision, plan=plan)
    # Whoever asked to be forgotten gets nothing that was intended before; only what forgets them is still done.
    forgetting = {action.id for action in rulebook.pack.actions if action.do}
    kept = tuple(effect for effect in held.effects if effect.rule in forgetting)
    dropped = tuple(effect.key for effect in held.effects if effect not in kept)
    return Judged(
        snapshot=snapshot, held=replace(held, effects=kept), decision=decision, plan=plan, dropped=dropped
    )


def worded(one: Judged, terms: Terms, now: int) -> Judged:
    """Write the texts of what is to be made, once it is clear that it will be."""
    if not one.plan.effects:
        return one
    return replace(one, plan=with_texts(one.plan, one.decision, one.snapshot, terms, now))


class Examiner:
    """Judges contacts of one portal under one pack."""

    def __init__(self, rulebook: Rulebook, hubspot: HubSpotPortal, *, beside: Wanted | None = None) -> None:
        self.rulebook = rulebook
        self.hubspot = hubspot
        self.wanted = Wanted.by(rulebook.pack)
        self.asked = self.wanted if beside is None else self.wanted.widened(beside)
        """What is asked for in the calls that the pack needs: what another one reads comes with it."""

    def read_and_judge(self, contact: str, held: Held, terms: Terms, now: int) -> Judged | None:
        """Read everything about one contact and judge it; None when HubSpot has no such contact."""
        snapshots = read_snapshots(self.hubspot, self.wanted, [contact])
        if contact not in snapshots.found:
            return None
        snapshot = snapshots.found[contact]
        if snapshot.company is None:
            snapshot = with_companies(self.hubspot, self.wanted, [snapshot]).found[contact]
        if snapshot.deals is None:
            snapshot = with_deals(self.hubspot, self.wanted, [snapshot]).found[contact]
        return worded(judge(self.rulebook, snapshot, held, terms, now), terms, now)

    def judge_all(
        self, snapshots: Mapping[str, Snapshot], held: Mapping[str, Held], terms: Terms, now: int
    ) -> tuple[dict[str, Judged], dict[str, Meaning], float]:
        """Judge all; gives also those about whom not everything could be read, and the seconds of judging alone."""
        judged, failed = dict[str, Judged](), dict[str, Meaning]()
        judging_s = 0.0

        def judge_each(found: Mapping[str, Snapshot]) -> None:
            nonlocal judging_s
            started = time.perf_counter()
            judged.update({c: judge(self.rulebook, snapshot, held[c], terms, now) for c, snapshot in found.items()})
            judging_s += time.perf_counter() - started

        judge_each(snapshots)
        for read, is_open in ((with_companies, self._needs_company), (with_deals, self._needs_deals)):
            open_ones = [one.snapshot for one in judged.values() if is_open(one)]
            if open_ones:
                more: Snapshots = read(self.hubspot, self.asked, open_ones)
                failed |= more.failed
                judge_each(more.found)
        return {c: one for c, one in judged.items() if c not in failed}, failed, judging_s

    def respect_people(
        self, judged: Mapping[str, Judged], failed: dict[str, Meaning], terms: Terms, now: int
    ) -> dict[str, Judged]:
        """Judge those anew whose stage a person has moved since the last look: that move wins for a time."""
        moved = contested(judged.values()) if terms.human_wins_for else []
        if not moved:
            return dict(judged)
        moves, unread = last_moves(self.hubspot, moved)
        failed |= unread
        after = {c: one for c, one in judged.items() if c not in unread}
        for contact, moment in moves.items():
            one = after[contact]
            held = replace(one.held, theirs_until=moment + terms.human_wins_for)
            after[contact] = judge(self.rulebook, one.snapshot, held, terms, now)
        return after

    def _needs_company(self, one: Judged) -> bool:
        return one.snapshot.company is None and (one.decision.undetermined or self._shows(one, "company"))

    def _needs_deals(self, one: Judged) -> bool:
        return one.snapshot.deals is None and (one.decision.undetermined or self._shows(one, "deal"))

    def _shows(self, one: Judged, object_: str) -> bool:
        """Ask whether a text that is due may speak of the company or the deal."""
        due = bool(one.decision.tasks or one.decision.actions)
        return due and bool(self.rulebook.pack.properties_in_texts(object_))
