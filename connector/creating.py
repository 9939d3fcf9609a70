"""Tasks and deals as HubSpot is asked to make them, from the effects that were planned."""

from connector.hubspot.deals import DealInput
from connector.hubspot.records import CreateAnswer
from connector.hubspot.tasks import TaskInput
from connector.moments import write_moment
from connector.plan import Effect

_OWNER = "hubspot_owner_id"


def task_input(contact: str, effect: Effect, owner: str | None) -> TaskInput:
    """Say what HubSpot is to make of a task that is due."""
    body = effect.body
    properties = {
        "hs_timestamp": write_moment(body["due"]),
        "hs_task_subject": body["title"],
        "hs_task_body": body["notes"],
        "hs_task_status": "NOT_STARTED",
        "hs_task_priority": body["priority"].upper(),
        "hs_task_type": body["type"].upper(),
    }
    if body.get("queue"):
        properties["hs_queue_membership_ids"] = str(body["queue"])
    return TaskInput(
        key=effect.key, contact=contact, properties={**properties, **({_OWNER: owner} if owner else {})}
    )


def deal_input(contact: str, effect: Effect) -> DealInput:
    """Say what HubSpot is to make of a deal that is due."""
    body = effect.body
    names = ("dealname", "pipeline", "dealstage", _OWNER)
    return DealInput(
        key=effect.key,
        contact=contact,
        company=body.get("company"),
        properties={name: str(body[name]) for name in names if body.get(name)},
    )


def without_owner(task: TaskInput) -> TaskInput:
    """Give the task to nobody."""
    properties = {name: value for name, value in task.properties.items() if name != _OWNER}
    return TaskInput(key=task.key, contact=task.contact, properties=properties)


def is_owner_refused(task: TaskInput, answer: CreateAnswer) -> bool:
    """Ask whether HubSpot refused the task while it had an owner, who may have left."""
    failure = answer.failed.get(task.key)
    return failure is not None and failure.kind == "invalid" and _OWNER in task.properties
