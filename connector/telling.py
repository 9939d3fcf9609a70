"""What the log says of each contact of a claim: decided (at debug), and written, with what and how long it took.

Every line carries the claim and the portal of the unit of work that it belongs to.
"""

from typing import Any

import structlog

from connector.inbox import Claim
from connector.pipeline import Work
from connector.record import Judged, Outcome

_log = structlog.get_logger()


def tell_contacts(claim: Claim, work: Work, *, now: int) -> None:
    """Log what was decided and written."""
    since = {held.contact: held.since for held in claim.contacts}
    for contact, one in work.judged.items():
        outcome = work.outcomes[contact]
        _log.debug("contact.decided", contact=contact, **_decision(one))
        if outcome.written or outcome.confirmed:
            waited = max(now - since[contact], 0)
            _log.info("contact.written", contact=contact, **_decision(one), **_written(one, outcome), waited_ms=waited)


def _decision(one: Judged) -> dict[str, Any]:
    decision = one.decision
    names = ("stage_before", "stage", "status", "rule")
    return {name: getattr(decision, name) for name in names}


def _written(one: Judged, outcome: Outcome) -> dict[str, Any]:
    rules = {effect.key: f"{effect.kind}:{effect.rule}" for effect in (*one.held.effects, *one.plan.effects)}
    return {
        "properties": sorted(outcome.written),
        "effects": sorted(rules[key] for key in outcome.confirmed if key in rules),
    }
