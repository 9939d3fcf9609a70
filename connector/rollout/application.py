"""A plan is applied exactly as it was shown, or refused: first all of it is compared with the portal as it is now.

Each contact then goes through the worker's own pipeline, under a claim, and is done only if it would still come out as
planned. What was done by an earlier run is recognised by its result, so that a run that was interrupted is simply
started again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from connector.errors import Refused, StagekeeperError
from connector.hubspot.failure import HubSpotError
from connector.inbox import Inbox
from connector.pipeline import Pipeline
from connector.plan import Terms
from connector.record import Judged, Recorder
from connector.rollout.document import PlanFile
from connector.rollout.entry import Entry, make_entry
from connector.rollout.source import batches
from connector.snapshot import read_snapshots

SHOWN = 10
_BUSY_ROUNDS = 20
_PAUSE_S = 1.0


class NotAsPlanned(Refused):
    """The portal is not as it was when the plan was made."""

    code = "drift"


class NeedsConsent(Refused):
    """The plan is beyond the safety limits."""

    code = "needs-consent"


class HalfApplied(StagekeeperError):
    """The portal failed before all of the plan was done."""

    code = "half-applied"
    exit_code = 5

    def __init__(self, applied: "Applied", why: HubSpotError) -> None:
        done = applied.done + applied.done_before
        super().__init__(
            f"{done} of {applied.planned} contacts are done, then: {why}; what was begun is written down; start the "
            "same command again when that is over"
        )
        self.applied = applied


@dataclass(kw_only=True, slots=True)
class Applied:
    """How far a plan has come."""

    planned: int = 0
    done: int = 0
    done_before: int = 0
    changed: list[str] = field(default_factory=list)
    """Contacts that have changed since the plan, and are left as they are."""
    failed: dict[str, str] = field(default_factory=dict)
    """Contacts that HubSpot did not take, with the error; the worker tries them again."""

    def as_data(self) -> dict[str, object]:
        """Give the result as plain data."""
        return {
            "version": 1, "planned": self.planned, "done": self.done, "done_before": self.done_before,
            "changed": self.changed, "failed": self.failed,
        }  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class Tools:
    """What applying works with; `pipeline` is under the plan's own pack."""

    pipeline: Pipeline
    recorder: Recorder
    inbox: Inbox
    terms: Terms
    now: Callable[[], int]
    sleep: Callable[[float], None]
    lease_ms: int
    portal: int
    progress: Callable[[str, int, int], None]


def refuse_without_consent(plan: PlanFile, *, consent: bool) -> None:
    """Raise NeedsConsent when the plan is beyond the safety limits and nobody has agreed to that."""
    objections = plan.summary.get("objections") or []
    if objections and not consent:
        raise NeedsConsent(f"{plan.path}: {'; '.join(map(str, objections))}; to apply it all the same, give --consent")


def apply_plan(plan: PlanFile, tools: Tools, *, skip_changed: bool) -> Applied:
    """Apply a plan; raises NotAsPlanned before anything is done when contacts have changed since, unless told."""
    applied = Applied(planned=int(plan.summary.get("changed") or 0))
    settled = _compare(plan, tools, applied)
    if applied.changed and not skip_changed:
        raise NotAsPlanned(_drift(plan, applied))
    busy: list[Entry] = []
    for batch in batches(entry for entry in plan.entries() if entry.contact not in settled):
        busy += _work_off(batch, tools, applied)
        tools.progress("applying", applied.done + applied.done_before, applied.planned)
    for _ in range(_BUSY_ROUNDS):
        if not busy:
            break
        tools.sleep(_PAUSE_S)  # another worker is at these; it may be about to do the same
        busy = [entry for batch in batches(busy) for entry in _work_off(batch, tools, applied)]
    applied.failed |= {entry.contact: "another worker has it in hand" for entry in busy}
    return applied


def _compare(plan: PlanFile, tools: Tools, applied: Applied) -> frozenset[str]:
    """Compare the plan with the portal as it is; give the contacts about whom nothing is to be done."""
    settled, checked = set[str](), 0
    for batch in batches(plan.entries()):
        fresh = _entries_now([entry.contact for entry in batch], tools)
        for entry in batch:
            found = _compared(entry, *fresh.get(entry.contact, (None, frozenset())))
            applied.done_before += found == "done"
            if found != "to do":
                settled.add(entry.contact)
            if found == "changed":
                applied.changed.append(entry.contact)
        checked += len(batch)
        tools.progress("comparing", checked, applied.planned)
    return frozenset(settled)


def _entries_now(contacts: list[str], tools: Tools) -> dict[str, tuple[Entry, frozenset[str]]]:
    """Judge contacts as they are now: each one's entry, and the rules whose effects are intended already."""
    examiner = tools.pipeline.examiner
    held = tools.recorder.held(contacts)
    snapshots = read_snapshots(examiner.hubspot, examiner.wanted, contacts)
    judged, _, _ = examiner.judge_all(snapshots.found, held, tools.terms, tools.now())
    return {
        contact: (_entry(one, tools), frozenset(effect.rule for effect in one.held.effects))
        for contact, one in judged.items()
    }


def _entry(one: Judged, tools: Tools) -> Entry:
    stages = {value: stage for stage, value in tools.terms.stages.items()}
    return make_entry(one, stages=stages, inputs=tools.pipeline.examiner.rulebook.pack.properties("contact"))


def _compared(planned: Entry, now: Entry | None, intended: frozenset[str]) -> str:
    """Say what has become of a planned entry: done, changed, or still to do."""
    if now is None:
        return "changed"
    if now.is_empty and not intended:
        return "done" if now.after == planned.after else "changed"
    if intended and {rule for _, rule in planned.effects} >= intended and now.set.items() <= planned.set.items():
        return "to do"  # a run that was interrupted has written it down, and not all of it is done
    return "to do" if now.seen == planned.seen and now.is_same_work(planned) else "changed"


def _work_off(batch: Sequence[Entry], tools: Tools, applied: Applied) -> list[Entry]:
    """Have contacts worked off under a claim, those that are still as planned; give those in other hands."""
    planned = {entry.contact: entry for entry in batch}
    claim = tools.inbox.claim_these(tools.portal, list(planned), lease_ms=tools.lease_ms)
    if claim is None:
        return list(batch)

    def admits(one: Judged) -> bool:
        contact = one.snapshot.contact
        intended = frozenset(effect.rule for effect in one.held.effects)
        is_as_planned = _compared(planned[contact], _entry(one, tools), intended) == "to do"
        if not is_as_planned:
            applied.changed.append(contact)
        return is_as_planned

    try:
        work = tools.pipeline.work(claim, admits=admits)
    except HubSpotError as failure:
        tools.inbox.release(claim)
        raise HalfApplied(applied, failure) from failure
    except BaseException:  # Ctrl-C, too: what is in hand goes back
        tools.inbox.release(claim)
        raise
    applied.failed |= {contact: failure.error for contact, failure in work.failed.items()}
    applied.done += sum(outcome.error is None for outcome in work.outcomes.values())
    applied.changed += list(work.gone)
    if work.trouble is not None:
        raise HalfApplied(applied, work.trouble) from work.trouble
    taken = {held.contact for held in claim.contacts}
    return [entry for entry in batch if entry.contact not in taken]


def _drift(plan: PlanFile, applied: Applied) -> str:
    number = len(applied.changed)
    named = ", ".join(applied.changed[:SHOWN]) + (f" and {number - SHOWN} more" if number > SHOWN else "")
    found = f"{number} of {applied.planned} contacts have changed since the plan was made: {named}"
    return f"{plan.path}: {found}; nothing was done; plan again, or give --skip-changed to leave these out"
