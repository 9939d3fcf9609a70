"""What a candidate pack decided about a contact beside the live one, by its own memory, and wherein they differ.

Pure. Only decisions are compared, never what HubSpot holds: that follows the live pack alone. What the two write as
their reason, and by which rule, differs by nature and does not count.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from connector.decision import LEAD_STATUS, PROSPECT_STATUS, Decision, Memory
from connector.snapshot import Snapshot

_MOMENTARY = frozenset({"tasks", "actions"})
"""What is due at one moment: it differs then, and is no lasting difference."""
_STATUSES = frozenset({PROSPECT_STATUS, LEAD_STATUS})


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What a candidate decided just now, and what it had been read for that."""

    decision: Decision
    snapshot: Snapshot


@dataclass(frozen=True, kw_only=True, slots=True)
class Shadow:
    """Where a contact stands by a candidate pack."""

    pack_hash: str
    memory: Memory
    rule: str | None
    judged_at: int
    """When the candidate decided last; before the last live decision where it failed then."""
    differs: tuple[str, ...] = ()
    """Wherein its decision was not the live one: `stage`, `status`, `set`, `tasks`, `actions`."""
    since: int | None = None
    """Since when the two have differed about where the contact stands or what is set; None: they agree on that."""
    beside: Beside | None = None
    """What was decided just now; None when that was earlier."""

    @property
    def lasting(self) -> tuple[str, ...]:
        """Name wherein the two differ lastingly."""
        return tuple(name for name in self.differs if name not in _MOMENTARY)

    @property
    def is_otherwise(self) -> bool:
        """Ask whether something else was decided just now."""
        return self.beside is not None and bool(self.differs)

    def as_data(self) -> dict[str, Any]:
        """Give it as plain data."""
        return {
            "hash": self.pack_hash, "memory": self.memory.as_data(), "rule": self.rule, "judged_at": self.judged_at,
            "differs": list(self.differs), "since": self.since,
        }  # fmt: skip

    def otherwise(self, pack: str) -> dict[str, Any] | None:
        """Give what was decided otherwise just now, for the record; None: nothing."""
        if self.beside is None or not self.is_otherwise:
            return None
        decision = self.beside.decision
        return {
            "pack": pack, "hash": self.pack_hash, "differs": list(self.differs), "stage": decision.stage,
            "status": decision.status, "rule": decision.rule, "because": decision.because, "set": dict(decision.set),
            "tasks": [rule.id for rule in decision.tasks], "actions": [rule.id for rule in decision.actions],
        }  # fmt: skip


def shadow_of(data: Mapping[str, Any] | None, pack_hash: str | None) -> Shadow | None:
    """Read what a candidate decided; None when none did at the last live decision, or another one.

    Then it begins anew from what the live pack knows, as it would if it went live now.
    """
    if data is None or data["hash"] != pack_hash:
        return None
    return Shadow(
        pack_hash=data["hash"], memory=Memory.from_data(data["memory"]), rule=data["rule"],
        judged_at=data["judged_at"], differs=tuple(data["differs"]), since=data["since"],
    )  # fmt: skip


def compared(live: Decision, beside: Beside, before: Shadow | None, *, pack_hash: str, now: int) -> Shadow:
    """Put a candidate's decision beside the live one."""
    decision, other = beside.decision, _compared(beside.decision)
    differs = tuple(name for name, value in _compared(live).items() if value != other[name])
    is_elsewhere = any(name not in _MOMENTARY for name in differs)
    since = before.since if before is not None and before.since is not None else now
    return Shadow(
        pack_hash=pack_hash, memory=decision.memory, rule=decision.rule, judged_at=now, differs=differs,
        since=since if is_elsewhere else None, beside=beside,
    )  # fmt: skip


def _compared(decision: Decision) -> dict[str, object]:
    """Give what two decisions are compared by."""
    return {
        "stage": decision.stage,
        "status": decision.status,
        "set": {name: value for name, value in decision.set.items() if name not in _STATUSES},
        "tasks": {rule.id for rule in decision.tasks},
        "actions": {rule.id for rule in decision.actions},
    }
