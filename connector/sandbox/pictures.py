"""Records as HubSpot's answers show them: text values, null for a property that is not set, nothing for an unknown."""

from collections.abc import Iterable, Mapping, Sequence

from connector.moments import write_moment
from connector.sandbox.portal import Portal
from connector.sandbox.records import Record, Version
from connector.sandbox.refusals import JsonObject


def known_names(portal: Portal, record_kind: str, asked: Iterable[str]) -> tuple[str, ...]:
    """Give the properties to show: those asked for that exist, and those that always come."""
    kind = portal.records[record_kind].kind
    definitions = portal.properties[record_kind].definitions
    names = [name for name in (one.lower() for one in asked) if name in definitions]
    return tuple(dict.fromkeys((*(names or kind.shown), *kind.always)))


def picture(portal: Portal, record: Record, names: Sequence[str], history: Sequence[str] = ()) -> JsonObject:
    """Show one record."""
    values = record.values
    kind = record.kind
    shown: JsonObject = {
        "id": record.id,
        "properties": {name: values.get(name) for name in names},
        "createdAt": values.get(kind.created),
        "updatedAt": values.get(kind.modified),
        "archived": record.archived_at is not None,
        "url": f"https://app.hubspot.com/contacts/{portal.options.portal}/record/{kind.id}/{record.id}",
    }
    if record.archived_at is not None:
        shown["archivedAt"] = write_moment(record.archived_at)
    if history:
        shown["propertiesWithHistory"] = {
            name: past(record.history.get(name, ()))
            for name in history
            if name in portal.properties[kind.id].definitions
        }
    return shown


def past(versions: Iterable[Version]) -> list[JsonObject]:
    """Show the history of one property, the newest first."""
    shown = []
    for version in reversed(list(versions)):
        source, source_id = version.author
        user = source_id.removeprefix("userId:")
        shown.append(
            {
                "value": version.value, "timestamp": write_moment(version.moment), "sourceType": source,
                "sourceId": source_id, "sourceLabel": None,
                "updatedByUserId": int(user) if user != source_id and user.isdigit() else None,
            }
        )  # fmt: skip
    return shown


def batch_body(
    results: Sequence[Mapping[str, object]], now: int, errors: Sequence[JsonObject] = ()
) -> JsonObject:
    """Make the body of a batch answer; its status is COMPLETE even when some failed."""
    moment = write_moment(now)
    body: JsonObject = {"status": "COMPLETE", "results": list(results), "startedAt": moment, "completedAt": moment}
    if errors:
        body |= {"numErrors": len(errors), "errors": list(errors)}
    return body
