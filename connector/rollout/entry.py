"""What a pack would do to one contact: where it stands, where it would stand, what would be set and made.

An entry refers to a contact by its id alone, so that a plan kept in a file holds no address and no name.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any

import orjson

from connector.plan import DECIDED_AT, STAGE
from connector.record import Judged
from connector.snapshot import Properties

_STATUSES = ("sk_prospect_status", "sk_lead_status")
NONE = "none"


@dataclass(frozen=True, slots=True)
class Position:
    """Where a contact stands: a stage of the ladder (or HubSpot's own value) and a status; None where there is none."""

    stage: str | None
    status: str | None

    def __str__(self) -> str:
        return " ".join(filter(None, (self.stage or NONE, self.status)))


@dataclass(frozen=True, kw_only=True, slots=True)
class Entry:
    """One contact's part in a plan."""

    contact: str
    seen: str
    """Digest of all that the plan rests on: what the rules read, and what HubSpot holds of what they write."""
    before: Position
    after: Position
    rule: str | None
    is_backward: bool
    held: str | None
    set: Mapping[str, str]
    """The properties that would change, with their new values; the moment of the decision is not one of them."""
    effects: tuple[tuple[str, str], ...]
    """What would be made, as (kind, id of the rule)."""

    @property
    def is_empty(self) -> bool:
        """Ask whether nothing would be done."""
        return not self.set and not self.effects

    def is_same_work(self, other: "Entry") -> bool:
        """Ask whether another entry would do the very same."""
        return (self.set, self.effects, self.is_backward) == (other.set, other.effects, other.is_backward)

    def as_line(self) -> bytes:
        """Write the entry as one line of JSON."""
        return orjson.dumps({
            "contact": self.contact, "seen": self.seen, "from": _as_pair(self.before), "to": _as_pair(self.after),
            "rule": self.rule, "backward": self.is_backward, "held": self.held, "set": dict(self.set),
            "effects": [list(effect) for effect in self.effects],
        })  # fmt: skip

    @classmethod
    def from_data(cls, data: Mapping[str, Any]) -> "Entry":
        """Read what `as_line` has written; raises KeyError, TypeError or ValueError when it is anything else."""
        return cls(
            contact=str(data["contact"]), seen=str(data["seen"]), before=Position(*data["from"]),
            after=Position(*data["to"]), rule=data["rule"], is_backward=bool(data["backward"]), held=data["held"],
            set={str(name): str(value) for name, value in data["set"].items()},
            effects=tuple((str(kind), str(rule)) for kind, rule in data["effects"]),
        )  # fmt: skip


def make_entry(one: Judged, *, stages: Mapping[str, str], inputs: frozenset[str]) -> Entry:
    """Say what a judged contact's plan comes to.

    `stages` gives the pack's stage for each value of `lifecyclestage`; `inputs` names what the rules read.
    """
    properties, plan = one.snapshot.properties, one.plan
    changes = {name: change.after for name, change in plan.properties.items() if name != DECIDED_AT}
    before = _position(properties, stages)
    return Entry(
        contact=one.snapshot.contact,
        seen=_digest(one, inputs, changes),
        before=before,
        after=_position({**properties, **changes}, stages) if changes else before,
        rule=one.decision.rule,
        is_backward=plan.is_backward,
        held=plan.held,
        set=changes,
        effects=tuple((effect.kind, effect.rule) for effect in plan.effects),
    )


def _position(properties: Properties, stages: Mapping[str, str]) -> Position:
    value = properties.get(STAGE) or None
    status = next((found for name in _STATUSES if (found := properties.get(name))), None)
    return Position(None if value is None else stages.get(value, value), status)


def _digest(one: Judged, inputs: frozenset[str], changes: Mapping[str, str]) -> str:
    """Digest what was read; for a contact about whom nothing is to be done nobody will ask."""
    if not changes and not one.plan.effects:
        return ""
    known = one.held.memory
    seen = [one.snapshot.fingerprint({*inputs, *changes}), known.stage, known.status, sorted(known.marks)]
    return blake2b(orjson.dumps(seen), digest_size=12).hexdigest()


def _as_pair(position: Position) -> list[str | None]:
    return [position.stage, position.status]
