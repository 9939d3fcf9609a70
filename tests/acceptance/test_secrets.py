"""No secret stands in anything that any command prints, logs, serves or stores, whether it goes well or not."""

import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path

import orjson
import pytest

from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import signed_headers
from tests.ports import free_port
from tests.practice import prepare
from tests.running import answers, get, running, stagekeeper, wait_until

ROOT = Path(__file__).parents[2]
TOKEN, SECRET, OPS, PASSWORD = "pat-eu1-aaaabbbb-cccc-dddd", "client-secret-0f1e2d", "ops-token-9a8b7c", "pg-pass-5e4f"
SECRETS = (TOKEN, SECRET, OPS, PASSWORD)
ENV = {"TOKEN": TOKEN, "SECRET": SECRET, "OPS": OPS, "PASSWORD": PASSWORD}
PERSON = {
    "email": "zacharias.quillfeather@secret-person.example", "firstname": "Zachariasson", "lastname": "Quillfeather",
    "phone": "+49 170 5550199", "sk_source": "inbound",
}  # fmt: skip
PERSONAL = ("quillfeather", "zachariasson", "secret-person", "5550199")
CONFIG = """version: 1
database: {database}
server: {{bind: "127.0.0.1:{port}", ops_token: "${{OPS}}"}}
worker: {{settle: 100ms, lease: 3s}}
log: {{format: {form}, level: debug}}
portals:
  - id: 4242
    name: Practice
    access_token: ${{TOKEN}}
    client_secret: ${{SECRET}}
    app_id: 7001
    webhook_url: {url}
    api_url: {hubspot}
    rules: {rules}
    owners: {{default: boss@secret-person.example}}
"""
COMMANDS = (
    "check", "test", "setup", "setup --hubspot-project app", "doctor", "doctor --format json",
    "explain {contact} --portal 4242",
    "explain {contact} --portal 4242 --format json", "plan --out plan.json", "apply plan.json", "events list",
    "events show {contact} --format json", "events retry --all", "report forecast", "report rates", "report rules",
    "reconcile --dry-run", "reconcile", "schema --portal 4242", "erase {contact}", "init",
)  # fmt: skip
IN_TROUBLE = ("check", "setup", "doctor", "explain 1 --portal 4242", "plan", "events list", "report rules", "reconcile",
              "erase 1", "serve", "worker")  # fmt: skip


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    with Sandbox(SandboxOptions(port=0, access_token=TOKEN, client_secret=SECRET)) as one:
        prepare(one)
        yield one


def write(folder: Path, hubspot: str, *, database: str = "sqlite:///s.db", form: str = "json", port: int = 0) -> None:
    url = f"http://127.0.0.1:{port}/webhooks/hubspot"
    rules = ROOT / "rules" / "default.yaml"
    text = CONFIG.format(database=database, port=port, form=form, url=url, hubspot=hubspot, rules=rules)
    (folder / "config.yaml").write_text(text)


def leaks(text: str, known: tuple[str, ...] = SECRETS) -> list[str]:
    return [each for each in known if each.lower() in text.lower()]


def run_all(
    folder: Path, commands: tuple[str, ...], env: Mapping[str, str] = ENV, contact: str = "1"
) -> dict[str, int]:
    """Run commands one after the other and give their exit codes; each must be silent about every secret."""
    codes = {}
    for command in commands:
        done = stagekeeper(*command.format(contact=contact).split(), folder=folder, env=env)
        assert leaks(done.out + done.err) == [], command
        assert "Traceback" not in done.err, (command, done.err)
        codes[command] = done.code
    return codes


def stored(folder: Path) -> str:
    return "".join(path.read_bytes().decode("latin-1") for path in folder.glob("s.db*"))


def test_commands_that_go_well_tell_no_secret(tmp_path: Path, sandbox: Sandbox) -> None:
    write(tmp_path, sandbox.address)
    sandbox.add_owner("boss@secret-person.example")
    contact = sandbox.create_contact(PERSON)
    codes = run_all(tmp_path, COMMANDS, contact=contact)
    assert set(codes.values()) <= {0, 7}, codes
    written = "".join(path.read_text() for path in tmp_path.glob("*.json"))
    assert leaks(written + stored(tmp_path)) == []


@pytest.mark.parametrize("trouble", ["token", "outage", "dns", "port", "scopes"])
def test_commands_in_trouble_with_hubspot_tell_no_secret(tmp_path: Path, sandbox: Sandbox, trouble: str) -> None:
    address = {"dns": "http://hubspot.invalid", "port": f"http://127.0.0.1:{free_port()}"}.get(trouble, sandbox.address)
    if trouble == "token":
        sandbox.revoke_token()
    elif trouble in ("outage", "scopes"):
        sandbox.faults.add({"outage": "502_html", "scopes": "403_missing_scope"}[trouble])
    write(tmp_path, address, form="console" if trouble == "token" else "json")
    codes = run_all(tmp_path, ("setup", "explain 1 --portal 4242", "plan --format json", "doctor"))
    assert set(codes.values()) == {5}, codes


@pytest.mark.parametrize(
    "database",
    ["postgresql://stagekeeper:${PASSWORD}@127.0.0.1:1/db", "postgresql://stagekeeper:${PASSWORD}@host.invalid/db",
     "mysql://stagekeeper:${PASSWORD}@127.0.0.1/db", "//stagekeeper:${PASSWORD}@/"],
)  # fmt: skip
def test_a_database_that_cannot_be_opened_does_not_show_its_password(
    tmp_path: Path, sandbox: Sandbox, database: str
) -> None:
    write(tmp_path, sandbox.address, database=f'"{database}"')
    known = IN_TROUBLE if database.startswith("postgresql://stagekeeper:${PASSWORD}@127") else ("events list", "serve")
    codes = run_all(tmp_path, known)
    assert codes["events list"] != 0


BROKEN: Mapping[str, tuple[str, str]] = {
    "a list": ("${TOKEN}", f"[{TOKEN}]"),
    "a mapping": ("${TOKEN}", f"{{a: {TOKEN}}}"),
    "an alias": ("${TOKEN}", f"*{TOKEN}"),
    "a tag": ("${TOKEN}", f"!{TOKEN} x"),
    "after a tab": ("${TOKEN}", f"\t{TOKEN}"),
    "not closed": ("${TOKEN}", f'"{TOKEN}'),
    "under an unknown key": ("${TOKEN}", f"${{TOKEN}}\n    token: {TOKEN}"),
    "twice": ("${TOKEN}", f"{TOKEN}\n    access_token: {TOKEN}"),
    "as an id": ("id: 4242", "id: ${TOKEN}"),
    "as an address": ("url: http", "url: ${TOKEN}"),
    "as a mode": ("app_id: 7001", "mode: ${TOKEN}"),
    "a reference within another": ("${TOKEN}", f"${{NOBODY:-${{TOKEN}}{TOKEN}}}"),
    "a missing file": ("${TOKEN}", "${file:nowhere}"),
    "a literal": ("${TOKEN}", TOKEN),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_broken_configuration_does_not_show_the_secret_in_it(tmp_path: Path, sandbox: Sandbox, how: str) -> None:
    write(tmp_path, sandbox.address)
    path = tmp_path / "config.yaml"
    path.write_text(path.read_text().replace(*BROKEN[how]))
    codes = run_all(tmp_path, ("check", "doctor"))
    assert codes["check"] == (0 if how == "a literal" else 3)


def test_secrets_may_stand_in_files(tmp_path: Path, sandbox: Sandbox) -> None:
    for name, value in ENV.items():
        (tmp_path / name).write_text(f"{value}\n")
    write(tmp_path, sandbox.address)
    path = tmp_path / "config.yaml"
    path.write_text(re.sub(r"\$\{([A-Z]+)\}", r"${file:\1}", path.read_text()))
    assert run_all(tmp_path, ("check", "setup"), env={}) == {"check": 0, "setup": 0}


@pytest.mark.parametrize("form", ["json", "console"])
def test_serving_tells_neither_secrets_nor_persons_though_everything_goes_wrong(
    tmp_path: Path, sandbox: Sandbox, form: str
) -> None:
    port = free_port()
    write(tmp_path, sandbox.address, form=form, port=port)
    base, log = f"http://127.0.0.1:{port}", tmp_path / "log"
    right = {"Authorization": f"Bearer {OPS}"}
    with running("serve", folder=tmp_path, log=log, env=ENV):
        wait_until(lambda: answers(f"{base}/readyz"), what="being ready")
        contact = sandbox.create_contact(PERSON)

        def tell(*, secret: str = SECRET, **more: object) -> int:
            event = {
                "portalId": 4242, "subscriptionType": "contact.propertyChange", "objectId": int(contact), "eventId": 1,
                "occurredAt": system_clock(), "propertyName": "email", "propertyValue": PERSON["email"], **more,
            }  # fmt: skip
            body = orjson.dumps([event])
            headers = signed_headers(secret, f"{base}/webhooks/hubspot", body, system_clock())
            return get(f"{base}/webhooks/hubspot", method="POST", body=body, headers=headers).status

        assert (tell(), tell(secret="wrong"), tell(objectId=PERSON["email"])) == (204, 401, 204)
        wait_until(lambda: sandbox.contact(contact).get("lifecyclestage") == "lead", what="the decision")
        fault = sandbox.faults.add("400", route=r"contacts/batch")
        assert tell() == 204
        wait_until(lambda: sandbox.faults.struck, what="the refusal")
        sandbox.faults.remove(fault.id)
        sandbox.revoke_token()
        tell(eventId=2)
        wait_until(lambda: "portal.trouble_began" in log.read_text(), what="the alert")
        paths = ("/", "/metrics", "/livez", "/readyz", "/nowhere", "/webhooks/hubspot", "/trouble", "/funnel")
        senders: tuple[dict[str, str], ...] = ({}, right, {"Authorization": "Bearer wrong"})
        pages = [get(base + path, headers=headers).body for path in paths for headers in senders]
        run_all(tmp_path, ("events list", "report rules --format json"))
    text = log.read_text()
    assert leaks(text + "".join(pages) + stored(tmp_path)) == []
    assert leaks(text, PERSONAL) == []
    assert leaks("".join(pages), PERSONAL) == []
    if form == "json":
        lines = [json.loads(line) for line in text.splitlines() if line.startswith("{")]
        assert {"webhook.accepted", "webhook.refused", "portal.trouble_began"} <= {line["event"] for line in lines}
