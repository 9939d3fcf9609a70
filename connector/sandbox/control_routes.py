"""The control API under `/sandbox/`: what other processes steer the practice portal with, and look into it."""

from collections import Counter
from collections.abc import Callable
from typing import Any

from connector.sandbox import persons
from connector.sandbox.calls import CallLog
from connector.sandbox.exchange import Answer, Call, properties_of
from connector.sandbox.faults import Faults
from connector.sandbox.kinds import COMPANY, CONTACT, DEAL, KINDS
from connector.sandbox.limits import Limits
from connector.sandbox.portal import Portal
from connector.sandbox.records import Author
from connector.sandbox.refusals import JsonObject, not_found
from connector.sandbox.removals import merge, restore
from connector.sandbox.stages import STAGE, add_stage

_Act = Callable[[Call, str], Answer]


class Control:
    """Answers the control API; it knows no tokens, for it listens on the sandbox's own address only."""

    def __init__(self, portal: Portal, faults: Faults, limits: Limits, calls: CallLog) -> None:
        self._portal = portal
        self._faults = faults
        self._limits = limits
        self._calls = calls
        self._acts: dict[tuple[str, str, bool], _Act] = {
            ("GET", "state", False): self._state,
            ("GET", "contacts", False): self._list_contacts,
            ("POST", "contacts", False): self._create_contact,
            ("GET", "contacts", True): self._read_contact,
            ("PATCH", "contacts", True): self._change_contact,
            ("DELETE", "contacts", True): self._delete_contact,
            ("POST", "restore", True): self._restore,
            ("POST", "merge", False): self._merge,
            ("POST", "companies", False): self._create_company,
            ("PATCH", "companies", True): self._change_company,
            ("POST", "deals", False): self._create_deal,
            ("PATCH", "deals", True): self._change_deal,
            ("POST", "owners", False): self._create_owner,
            ("POST", "stages", False): self._create_stage,
            ("GET", "faults", False): self._list_faults,
            ("POST", "faults", False): self._add_faults,
            ("DELETE", "faults", False): self._clear_faults,
            ("POST", "webhooks", False): self._set_webhooks,
            ("GET", "events", False): self._list_events,
            ("GET", "calls", False): self._list_calls,
            ("POST", "calls/reset", False): self._reset_calls,
            ("POST", "token", False): self._set_token,
            ("POST", "scopes", False): self._set_scopes,
            ("POST", "limits", False): self._set_limits,
        }

    def answer(self, call: Call) -> Answer:
        """Answer one call."""
        rest = call.path.removeprefix("/sandbox/").strip("/")
        act = self._acts.get((call.method, rest, False))
        if act is not None:
            return act(call, "")
        name, _, record_id = rest.rpartition("/")
        act = self._acts.get((call.method, name, True))
        if act is None:
            raise not_found(f"The sandbox has no {call.method} {call.path}")
        return act(call, record_id)

    def _state(self, _call: Call, _id: str) -> Answer:
        portal = self._portal
        with portal.lock:
            contacts = portal.records[CONTACT].live.values()
            stages = Counter(one.values.get(STAGE, "") for one in contacts)
            statuses = Counter(one.values.get("sk_prospect_status", "") for one in contacts)
            body: JsonObject = {
                "portal": portal.options.portal,
                "records": {kind.plural: len(portal.records[kind.id].live) for kind in KINDS.values()},
                "contacts": {"total": len(contacts), "stages": stages, "statuses": statuses},
            }
        body["calls"] = {"total": self._calls.total, "routes": self._calls.as_json()}
        body["webhooks"] = {"webhook_url": portal.webhooks.webhook_url, **portal.webhooks.counts()}
        body["faults"] = {"in_force": [one.as_json() for one in self._faults.list()], "struck": self._faults.struck}
        return Answer(200, body)

    def _list_contacts(self, call: Call, _id: str) -> Answer:
        limit, after = call.number("limit", 100, 1000), call.cursor()
        results = []
        with self._portal.lock:
            for record in self._portal.records[CONTACT].after(after):
                results.append({"id": record.id, "properties": dict(record.values)})
                if len(results) == limit:
                    break
        return Answer(200, {"results": results})

    def _create_contact(self, call: Call, _id: str) -> Answer:
        body = call.json()
        return self._made(CONTACT, body, company=body.get("company"))

    def _create_company(self, call: Call, _id: str) -> Answer:
        return self._made(COMPANY, call.json())

    def _create_deal(self, call: Call, _id: str) -> Answer:
        body = call.json()
        return self._made(DEAL, body, company=body.get("company"), contacts=body.get("contacts") or ())

    def _made(self, kind: str, body: JsonObject, **more: Any) -> Answer:
        record = persons.create(self._portal, kind, properties_of(body), _author(body), **more)
        return Answer(201, {"id": record.id, "properties": dict(record.values)})

    def _read_contact(self, _call: Call, record_id: str) -> Answer:
        return Answer(200, persons.everything_about(self._portal, record_id))

    def _change_contact(self, call: Call, record_id: str) -> Answer:
        return self._changed(CONTACT, record_id, call.json())

    def _change_company(self, call: Call, record_id: str) -> Answer:
        return self._changed(COMPANY, record_id, call.json())

    def _change_deal(self, call: Call, record_id: str) -> Answer:
        return self._changed(DEAL, record_id, call.json())

    def _changed(self, kind: str, record_id: str, body: JsonObject) -> Answer:
        record = persons.change(self._portal, kind, record_id, properties_of(body), _author(body))
        return Answer(200, {"id": record.id, "properties": dict(record.values)})

    def _delete_contact(self, call: Call, record_id: str) -> Answer:
        persons.remove(self._portal, record_id, for_good=call.query.get("for_good") == "true")
        return Answer(204)

    def _restore(self, _call: Call, record_id: str) -> Answer:
        with self._portal.lock:
            record = restore(self._portal, KINDS[CONTACT], record_id, persons.PERSON)
        return Answer(200, {"id": record.id})

    def _merge(self, call: Call, _id: str) -> Answer:
        body = call.json()
        with self._portal.lock:
            winner, loser = (self._portal.find(CONTACT, str(body.get(key))) for key in ("winner", "loser"))
            record = merge(self._portal, winner, loser, persons.PERSON)
        return Answer(200, {"id": record.id})

    def _create_owner(self, call: Call, _id: str) -> Answer:
        body = call.json()
        names = str(body.get("first", "")), str(body.get("last", ""))
        with self._portal.lock:
            return Answer(201, self._portal.add_owner(str(body.get("email", "")), *names).as_json())

    def _create_stage(self, call: Call, _id: str) -> Answer:
        body = call.json()
        with self._portal.lock:
            contacts = self._portal.properties[CONTACT]
            value = add_stage(contacts, str(body.get("label")), before=body.get("before"), now=self._portal.now())
        return Answer(201, {"value": value})

    def _list_faults(self, _call: Call, _id: str) -> Answer:
        return Answer(200, {"faults": [fault.as_json() for fault in self._faults.list()]})

    def _add_faults(self, call: Call, _id: str) -> Answer:
        body = call.json()
        given = body["faults"] if isinstance(body.get("faults"), list) else [body]
        return Answer(201, {"faults": [self._faults.add_json(one).as_json() for one in given]})

    def _clear_faults(self, _call: Call, _id: str) -> Answer:
        self._faults.clear()
        return Answer(204)

    def _set_webhooks(self, call: Call, _id: str) -> Answer:
        body = call.json()
        webhooks = self._portal.webhooks
        if "webhook_url" in body or "deliver_to" in body:
            webhooks.retarget(body.get("webhook_url", webhooks.webhook_url), body.get("deliver_to"))
        for name in ("shuffle", "double_rate", "drop_rate"):
            if name in body:
                setattr(webhooks, name, body[name])
        if "paused" in body:
            (webhooks.pause if body["paused"] else webhooks.resume)()
        return Answer(200, {"webhook_url": webhooks.webhook_url, **webhooks.counts()})

    def _list_events(self, _call: Call, _id: str) -> Answer:
        return Answer(200, {"events": list(self._portal.webhooks.events)})

    def _list_calls(self, _call: Call, _id: str) -> Answer:
        return Answer(200, {"total": self._calls.total, "routes": self._calls.as_json()})

    def _reset_calls(self, _call: Call, _id: str) -> Answer:
        self._calls.reset()
        return Answer(204)

    def _set_token(self, call: Call, _id: str) -> Answer:
        body = call.json()
        tokens = self._portal.tokens
        tokens.is_revoked = bool(body.get("revoked", tokens.is_revoked))
        tokens.is_uninstalled = bool(body.get("uninstalled", tokens.is_uninstalled))
        return Answer(200, {"revoked": tokens.is_revoked, "uninstalled": tokens.is_uninstalled})

    def _set_scopes(self, call: Call, _id: str) -> Answer:
        self._portal.missing_scopes = {str(one) for one in call.json().get("missing") or ()}
        return Answer(200, {"missing": sorted(self._portal.missing_scopes)})

    def _set_limits(self, call: Call, _id: str) -> Answer:
        body = call.json()
        self._limits.per_window = body.get("calls_per_10s", self._limits.per_window)
        self._limits.per_day = body.get("calls_per_day", self._limits.per_day)
        self._limits.searches = body.get("searches_per_second", self._limits.searches)
        return Answer(200, body)


def _author(body: JsonObject) -> Author:
    return Author(str(body.get("source", "CRM_UI")), str(body.get("source_id", "userId:1")))
