"""Access by OAuth: refreshed ahead of its end by one among all, encrypted where it lies, one trouble when refused."""

import subprocess
import sys
import threading
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import orjson
import pytest
import sqlalchemy as sa
import structlog

from connector.config import load_config
from connector.hubspot.failure import PortalTrouble
from connector.moments import HOUR, MINUTE, SECOND, system_clock
from connector.oauth.keyring import KeyWrong, check_grants
from connector.services import open_services
from connector.store.engine import file_of
from connector.store.tables import grants
from connector.telemetry import build_metrics
from tests.forking import run_forked
from tests.oauth import (
    CLIENT_ID,
    KEYS,
    OPENED_BY,
    REDIRECT,
    TOKEN,
    connect,
    kept,
    oauth_practice,
    oauth_section,
    tokens_kept,
)
from tests.practice import Practice, practice
from tests.running import environment


def a_contact(the: Practice, name: str = "ana") -> str:
    return the.sandbox.create_contact({"email": f"{name}@example.com"})


def is_lead(the: Practice, contact: str) -> bool:
    return bool(the.sandbox.contact(contact).get("lifecyclestage") == "lead")


def access(the: Practice) -> str:
    found = the.services.portals[the.portal].access
    assert found is not None
    return found()


# --- refreshing -------------------------------------------------------------------------------------------------------


def test_a_portal_is_worked_with_by_a_granted_token(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        ana = a_contact(the)
        the.catch_up()
        assert is_lead(the, ana)
        assert the.calls(TOKEN) == 0


def test_a_token_is_refreshed_five_minutes_ahead_of_its_end(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        first = access(the)
        the.move(minutes=24)
        assert access(the) == first
        the.move(minutes=2)
        second = access(the)
        assert (second != first, the.calls(TOKEN)) == (True, 1)
        the.move(minutes=24)
        assert (access(the), the.calls(TOKEN)) == (second, 1)


def test_a_token_that_ended_overnight_is_refreshed_before_the_first_call(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        the.move(hours=9)
        ana = a_contact(the)
        the.catch_up()
        assert is_lead(the, ana)
        assert (the.calls(TOKEN), the.sandbox.calls.count(status=401)) == (1, 0)


def test_expiry_in_the_middle_of_work_costs_one_refresh_and_nothing_else(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        people = [a_contact(the, f"p{number}") for number in range(250)]
        access(the)
        the.sandbox.portal.tokens.expire()
        the.catch_up()
        assert all(is_lead(the, one) for one in people)
        assert (the.calls(TOKEN), the.sandbox.calls.count(status=401)) == (1, 1)
        assert the.dead() == {}


def test_a_401_leads_to_one_refresh_and_one_retry(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        access(the)
        the.sandbox.portal.tokens.take_back()
        ana = a_contact(the)
        the.catch_up()
        assert is_lead(the, ana)
        assert the.sandbox.calls.count(status=401) == 1
        assert the.calls(TOKEN, status=200) == 1


def test_a_401_that_a_fresh_token_does_not_cure_is_the_portals_trouble(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        access(the)
        the.sandbox.portal.tokens.is_revoked = True
        ana = a_contact(the)
        the.catch_up()
        assert the.services.troubles.troubles()[the.portal].code == "unauthorised"
        assert (the.calls(TOKEN), the.sandbox.calls.count(status=401)) == (1, 2)
        the.sandbox.portal.tokens.is_revoked = False
        the.move(minutes=6)
        the.work()
        assert is_lead(the, ana)


@pytest.mark.parametrize("options", [
    {"rotates_refresh_tokens": True}, {"keeps_refresh_token_silent": True}, {"tells_whose_token": False},
    {"rotates_refresh_tokens": True, "tells_whose_token": False},
])  # fmt: skip
def test_access_lasts_whatever_hubspot_puts_into_its_answer(options: Mapping[str, Any], tmp_path: Path) -> None:
    with oauth_practice(tmp_path, connected=False, **options) as the:
        the.sandbox.portal.tokens.install(REDIRECT, ["oauth"])
        if options.get("keeps_refresh_token_silent"):
            object.__setattr__(the.sandbox.options, "keeps_refresh_token_silent", False)
            connect(the)
            object.__setattr__(the.sandbox.options, "keeps_refresh_token_silent", True)
        else:
            connect(the)
        seen = {access(the)}
        for _ in range(3):
            the.move(minutes=26)
            seen.add(access(the))
        assert len(seen) == 4
        assert the.services.troubles.troubles() == {}


@pytest.mark.parametrize(("lifetime", "good_for"), [(6 * MINUTE, 4 * MINUTE), (6 * HOUR, 5 * HOUR)])
def test_the_lifetime_is_what_hubspot_says_it_is(lifetime: int, good_for: int, tmp_path: Path) -> None:
    with oauth_practice(tmp_path, token_lifetime_ms=lifetime) as the:
        first = access(the)
        the.time.now += good_for
        assert access(the) == first
        the.time.now += lifetime - good_for - 30 * SECOND
        assert access(the) != first


def test_a_refresh_that_fails_leaves_the_token_in_use_while_it_is_good(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        first = access(the)
        fault = the.sandbox.faults.add("500", route="oauth")
        the.move(minutes=26)
        assert [access(the) for _ in range(5)] == [first] * 5
        assert the.calls(TOKEN) == 1  # and not again within some seconds
        the.sandbox.faults.remove(fault.id)
        the.move(seconds=20)
        assert access(the) != first


def test_events_wait_while_no_token_is_to_be_had_and_are_worked_off_afterwards(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        fault = the.sandbox.faults.add("500", route="oauth")
        the.move(hours=2)
        ana = a_contact(the)
        the.catch_up()
        trouble = the.services.troubles.troubles()[the.portal]
        assert (trouble.code, the.waiting(ana).attempts) == ("unavailable", 0)
        the.sandbox.faults.remove(fault.id)
        the.move(minutes=6)
        the.work()
        assert is_lead(the, ana)


# --- one refresher ----------------------------------------------------------------------------------------------------


def test_many_threads_ask_hubspot_for_one_token(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        the.move(hours=1)
        gate, found = threading.Barrier(16), list[str]()

        def ask() -> None:
            gate.wait()
            found.append(access(the))

        threads = [threading.Thread(target=ask) for _ in range(16)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert (len(found), len(set(found)), the.calls(TOKEN)) == (16, 1, 1)


ASKING = """
import sys
from pathlib import Path
from typing import Any
from connector.config import load_config
from connector.moments import system_clock
from connector.oauth.keyring import access_of
config, _ = load_config(Path(sys.argv[1]))
access = access_of(config, config.portals[0], clock=system_clock)
print("here", flush=True)
sys.stdin.readline()
print(access())
"""


def test_processes_that_refresh_at_once_make_one_refresh_in_hubspots_log(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        the.time.now = system_clock()  # the other processes go by their own clock
        the.sandbox.portal.tokens.expire()
        grant = kept(the).find(the.portal)
        assert grant is not None
        assert grant.expires_at < system_clock()
        the.sandbox.faults.add("slow", route="oauth", seconds=1.0)
        command = [sys.executable, "-W", "error", "-c", ASKING, str(tmp_path / "config.yaml")]
        pipe = subprocess.PIPE
        processes = [
            subprocess.Popen(command, env=environment(), stdin=pipe, stdout=pipe, stderr=pipe, text=True)
            for _ in range(4)
        ]
        for process in processes:
            assert process.stdout is not None
            assert process.stdout.readline() == "here\n"
        for process in processes:
            assert process.stdin is not None
            process.stdin.write("go\n")
            process.stdin.flush()
        outcomes = [process.communicate(timeout=60) for process in processes]
        assert [error for _, error in outcomes if error] == []
        assert len({out.splitlines()[-1] for out, _ in outcomes}) == 1
        assert the.calls(TOKEN) == 1


def test_a_refresher_that_died_is_waited_for_no_longer_than_its_lease(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        the.move(hours=1)
        grant = kept(the).find(the.portal)
        assert grant is not None
        assert kept(the).begin_refresh(grant, lease_ms=5 * SECOND) is not None
        before = the.time.now
        assert access(the)
        assert 5 * SECOND <= the.time.now - before < 6 * SECOND
        assert the.calls(TOKEN) == 1


def test_what_a_lost_turn_brings_does_not_replace_what_another_has_kept(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        grant = kept(the).find(the.portal)
        assert grant is not None
        late = kept(the).begin_refresh(grant, lease_ms=SECOND)
        assert late is not None
        the.move(seconds=2)
        assert kept(the).begin_refresh(grant, lease_ms=SECOND) is not None
        assert not kept(the).end_refresh(late, sealed="late", expires_at=1)
        assert kept(the).find(the.portal) == grant


# --- refused ----------------------------------------------------------------------------------------------------------


def test_a_refused_refresh_is_one_trouble_and_connecting_anew_ends_it(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        the.sandbox.portal.tokens.uninstall()
        the.move(hours=1)
        ana = a_contact(the)
        with structlog.testing.capture_logs() as logs:
            the.catch_up()
            for _ in range(5):
                the.move(minutes=6)
                the.work()
        alerts = [line for line in logs if line["event"] == "portal.trouble_began"]
        assert len(alerts) == 1
        assert alerts[0]["code"] == "unauthorised"
        assert "connect it on the page /connect; its events are kept" in alerts[0]["text"]
        assert the.calls(TOKEN) == 1
        assert (the.waiting(ana).attempts, the.dead()) == (0, {})

        connect(the)
        the.move(minutes=6)
        the.work()
        assert is_lead(the, ana)
        assert the.services.troubles.troubles() == {}


def test_a_portal_that_nobody_has_connected_keeps_its_events(tmp_path: Path) -> None:
    with oauth_practice(tmp_path, connected=False) as the:
        ana = a_contact(the)
        the.catch_up()
        assert "nobody has connected it yet" in the.services.troubles.troubles()[the.portal].text
        assert the.sandbox.calls.total == 0
        connect(the)
        the.move(minutes=6)
        the.work()
        assert is_lead(the, ana)


@pytest.mark.parametrize(("options", "words"), [
    ({"client_secret": "another"}, "does not know the app by this client id and secret"),
    ({"client_id": "another"}, "does not know the app by this client id and secret"),
])  # fmt: skip
def test_an_app_that_hubspot_does_not_know_is_told_and_asked_again(
    options: Mapping[str, str], words: str, tmp_path: Path
) -> None:
    with oauth_practice(tmp_path) as the:
        before = {name: getattr(the.sandbox.options, name) for name in options}
        for name, value in options.items():
            object.__setattr__(the.sandbox.options, name, value)
        the.move(hours=1)
        with pytest.raises(PortalTrouble, match=words):
            access(the)
        for name, value in before.items():
            object.__setattr__(the.sandbox.options, name, value)
        assert access(the)


def test_a_portal_that_another_app_was_installed_into_is_told(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        sealed = kept(the).find(the.portal)
        assert sealed is not None
        kept(the).keep(portal=the.portal, client_id="x", sealed=sealed.sealed, scopes=(), expires_at=sealed.expires_at)
        with pytest.raises(PortalTrouble, match="it was connected by another app than `client_id` names"):
            access(the)


# --- encrypted --------------------------------------------------------------------------------------------------------


def test_no_token_stands_in_the_database_or_in_a_log(tmp_path: Path) -> None:
    with oauth_practice(tmp_path, rotates_refresh_tokens=True) as the, structlog.testing.capture_logs() as logs:
        secrets = {tokens_kept(the).access, tokens_kept(the).refresh}
        the.move(hours=1)
        a_contact(the)
        the.catch_up()
        secrets |= {tokens_kept(the).access, tokens_kept(the).refresh}
        the.sandbox.portal.tokens.uninstall()
        the.move(hours=1)
        a_contact(the, "ben")
        the.catch_up()
        file = file_of(the.config.database)
        held = repr(the.rows(sa.select(grants))) + repr(logs)
        if file is not None:
            held += "".join(path.read_bytes().decode("latin-1") for path in file.parent.glob(f"{file.name}*"))
        assert len(secrets) == 4
        assert [secret for secret in (*secrets, "sandbox-secret", KEYS[0]) if secret in held] == []
        assert {"grant.refreshed", "grant.refused"} <= {line["event"] for line in logs}


def with_keys(the: Practice, *keys: str) -> Practice:
    """Start anew with other keys."""
    path = the.folder / "config.yaml"
    path.write_text(path.read_text().replace(oauth_section(), oauth_section(*keys)))
    config, problems = load_config(path)
    assert config is not None, problems
    the.config = config
    return the.again()


def test_a_new_key_takes_over_while_the_old_one_still_opens(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        pair, before = tokens_kept(the), kept(the).find(the.portal)
        rotated = with_keys(the, KEYS[1], KEYS[0])
        after = kept(the).find(the.portal)
        assert before is not None
        assert after is not None
        assert before.sealed != after.sealed
        assert tokens_kept(rotated) == pair
        path = tmp_path / "config.yaml"
        path.write_text(path.read_text().replace(oauth_section(KEYS[1], KEYS[0]), oauth_section(KEYS[1])))
        config, _ = load_config(path)
        assert config is not None
        the.config = config
        assert tokens_kept(the.again()) == pair


def test_a_wrong_key_refuses_the_start_and_names_the_cure(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        with pytest.raises(KeyWrong) as caught:
            with_keys(the, KEYS[1])
        assert caught.value.exit_code == 3
        assert str(caught.value) == (
            "the tokens of portal 4242 can be decrypted by none of `oauth.keys`; expected the key that was there "
            "before; add the key that they were encrypted with as a further one of `oauth.keys`; if it is lost, start "
            "once with `stagekeeper serve --forget-grants`, and connect these portals anew"
        )
        check_grants(the.config, the.services.engine, the.time, forget=True)
        assert kept(the).all() == []
        open_services(the.config, metrics=build_metrics(), clock=the.time, sleep=the.time.sleep)


def test_a_key_that_is_lost_while_running_is_the_portals_trouble(tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        grant = kept(the).find(the.portal)
        assert grant is not None
        kept(the).reseal(grant, "nonsense")
        with pytest.raises(PortalTrouble, match="its tokens cannot be decrypted; add the key"):
            access(the)


def test_the_tokens_of_one_portal_cannot_be_put_in_anothers_row(tmp_path: Path) -> None:
    with oauth_practice(tmp_path, portals=(4242, 5353)) as the:
        grant = kept(the).find(4242)
        assert grant is not None
        kept(the).keep(
            portal=5353, client_id=CLIENT_ID, sealed=grant.sealed, scopes=(), expires_at=grant.expires_at
        )
        other = the.services.portals[5353].access
        assert other is not None
        with pytest.raises(PortalTrouble, match="portal 5353: its tokens cannot be decrypted"):
            other()


# --- processes and commands -------------------------------------------------------------------------------------------


def run(the: Practice, *arguments: str) -> "subprocess.CompletedProcess[str]":
    ran = run_forked(arguments, folder=the.folder, environment=environment())
    return subprocess.CompletedProcess(arguments, *ran)


def test_the_commands_that_call_hubspot_work_with_a_granted_token(tmp_path: Path) -> None:
    with practice(tmp_path, worker=oauth_section(), opened_by=OPENED_BY, set_up=None) as the:
        the.time.now = system_clock()
        connect(the)
        assert run(the, "setup").returncode == 0
        told = orjson.loads(run(the, "doctor", "--format", "json").stdout)
        [token] = [check for check in told["checks"] if check["id"] == "token"]
        assert (token["state"], "of an OAuth app, renewed by itself" in token["found"]) == ("ok", True)
        assert run(the, "check", "--portal", "4242", "--no-proofs").returncode == 0
        assert run(the, "schema", "--portal", "4242").returncode == 0


@pytest.mark.parametrize("command", [("worker",), ("serve",)])
def test_a_start_with_a_missing_or_wrong_key_leaves_with_3(command: tuple[str, ...], tmp_path: Path) -> None:
    with oauth_practice(tmp_path) as the:
        path = tmp_path / "config.yaml"
        written = path.read_text()
        for given, words in (
            (KEYS[1], "can be decrypted by none of `oauth.keys`"),
            ('"${NOBODY_SET_THIS}"', "the environment variable 'NOBODY_SET_THIS' is not set"),
            ("tooshort", "expected 32 random bytes in URL-safe base64"),
        ):
            path.write_text(written.replace(KEYS[0], given))
            done = run(the, *command)
            assert (done.returncode, words in done.stderr, "Traceback" in done.stderr) == (3, True, False), done.stderr
            assert "tooshort" not in done.stderr
