"""`serve` and `worker` as services: told ready, reloaded by SIGHUP, watched, on a full disk; with real processes."""

import os
import resource
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import orjson
import pytest

from connector.moments import system_clock
from connector.sandbox import Sandbox, SandboxOptions
from connector.sandbox.signing import signed_headers
from tests.acceptance.test_serving import children, is_alive
from tests.ports import free_port
from tests.practice import prepare
from tests.running import answers, environment, get, kill, running, stagekeeper, wait_until

PACK = """version: 1
pack: small
description: Everybody is a lead.
ladder: [contact, lead]
stages: [{{id: all, stage: lead, because: {because}}}]
"""
CONFIG = """
version: 1
database: sqlite:///served.db
server: {{bind: "127.0.0.1:{port}"}}
worker: {{settle: 100ms, reconcile_every: never}}
portals:
  - id: 4242
    access_token: pat-sandbox
    client_secret: sandbox-secret
    webhook_url: {url}
    api_url: {hubspot}
    rules: pack.yaml
    stages: {{contact: subscriber, lead: lead}}
"""


class Listener:
    """What a supervisor hears."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.heard: list[str] = []
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._thread = threading.Thread(target=self._listen, daemon=True)
        self._thread.start()

    def _listen(self) -> None:
        while (text := self._socket.recv(4096)) != b"end":
            self.heard.append(text.decode())

    def __enter__(self) -> "Listener":
        return self

    def __exit__(self, *_: object) -> None:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as ending:
            ending.sendto(b"end", str(self.path))
        self._thread.join()
        self._socket.close()

    def words(self) -> list[str]:
        return [text.split("\n")[0] for text in self.heard if text != "WATCHDOG=1"]


@dataclass
class Service:
    folder: Path
    port: int
    sandbox: Sandbox
    process: "subprocess.Popen[bytes]"

    @property
    def base(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def say(self, because: str) -> None:
        (self.folder / "pack.yaml").write_text(PACK.format(because=because))

    def logged(self, event: str) -> list[dict[str, object]]:
        lines = (self.folder / "log").read_text().splitlines()
        found = [orjson.loads(line) for line in lines if line.startswith("{")]
        return [line for line in found if line["event"] == event]

    def new_contact(self, name: str) -> str:
        return self.sandbox.create_contact({"email": f"{name}@example.com"})

    def reason(self, contact: str) -> str | None:
        found: str | None = self.sandbox.contact(contact).get("sk_reason")
        return found

    def reload(self) -> None:
        self.process.send_signal(signal.SIGHUP)

    def reload_and_wait(self, event: str = "rules.reloaded") -> None:
        """Reload, and wait until worker and page have both said what became of it."""
        before = len(self.logged(event))
        self.reload()
        wait_until(lambda: len(self.logged(event)) == before + 2, what=event)


@contextmanager
def practising(folder: Path) -> Iterator[tuple[Sandbox, int]]:
    """Have a practice HubSpot and a configuration in a folder."""
    port = free_port()
    url = f"http://127.0.0.1:{port}/webhooks/hubspot"
    with Sandbox(SandboxOptions(port=0, webhook_url=url, retry_delay_ms=200)) as sandbox:
        prepare(sandbox)
        (folder / "config.yaml").write_text(CONFIG.format(port=port, url=url, hubspot=sandbox.address))
        (folder / "pack.yaml").write_text(PACK.format(because="First."))
        yield sandbox, port


@contextmanager
def serving(folder: Path, **env: str) -> Iterator[Service]:
    with practising(folder) as (sandbox, port), running("serve", folder=folder, log=folder / "log", env=env) as process:
        service = Service(folder, port, sandbox, process)
        wait_until(lambda: answers(f"{service.base}/readyz") or process.poll() is not None, what="being ready")
        assert process.poll() is None, (folder / "log").read_text()
        wait_until(lambda: service.logged("worker.started"), what="the worker's start")
        yield service


@pytest.fixture(scope="module")
def served(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with serving(tmp_path_factory.mktemp("service")) as service:
        yield service


# --- reloading --------------------------------------------------------------------------------------------------------


def test_sighup_takes_a_good_pack_without_replacing_a_process(served: Service) -> None:
    before = children(served.process.pid)
    served.say("Second.")
    served.reload_and_wait()
    ana = served.new_contact("ana")
    wait_until(lambda: served.reason(ana) == "Second.", what="a decision by the new rules")
    assert children(served.process.pid) == before
    hashes = {str(line["packs"]) for line in served.logged("rules.reloaded")[-2:]}
    assert len(hashes) == 1
    name = next(iter(hashes)).split("'")[-2]
    assert f'rules="{name}"' in get(served.base + "/metrics").body
    assert 'stagekeeper_rules_reloads_total{outcome="taken"}' in get(served.base + "/metrics").body


def test_a_broken_pack_keeps_the_old_one_and_says_what_is_wrong(served: Service) -> None:
    served.say("Third.")
    served.reload_and_wait()
    text = (served.folder / "pack.yaml").read_text()
    (served.folder / "pack.yaml").write_text(text.replace("stage: lead", "stage: laed"))
    served.reload_and_wait("rules.reload_refused")
    refusal = served.logged("rules.reload_refused")[-1]
    assert refusal["level"] == "error"
    assert "pack.yaml:5:" in str(refusal["problems"])
    assert "laed" in str(refusal["problems"])
    assert 'stagekeeper_rules_reloads_total{outcome="refused"} 2.0' in get(served.base + "/metrics").body
    ben = served.new_contact("ben")
    wait_until(lambda: served.reason(ben) == "Third.", what="a decision by the old rules")

    served.say("Fourth.")
    served.reload_and_wait()
    dan = served.new_contact("dan")
    wait_until(lambda: served.reason(dan) == "Fourth.", what="a decision by the mended rules")


def test_what_is_in_hand_is_finished_while_the_rules_are_taken(served: Service) -> None:
    served.say("Slow.")
    fault = served.sandbox.faults.add("slow", route=r"contacts/batch/read", seconds=2.0)
    eve = served.new_contact("eve")
    wait_until(lambda: served.sandbox.faults.struck, what="a call under way")
    served.reload_and_wait()
    served.sandbox.faults.remove(fault.id)
    wait_until(lambda: served.reason(eve), what="the decision")
    assert not served.logged("claim.failed")
    assert not served.logged("claim.lost")


def test_a_worker_alone_reloads_by_its_own_sighup(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with practising(tmp_path) as (sandbox, port), running("worker", folder=tmp_path, log=log) as worker:
        service = Service(tmp_path, port, sandbox, worker)
        wait_until(lambda: service.logged("worker.started"), what="the start")
        service.say("Alone.")
        service.reload()
        wait_until(lambda: service.logged("rules.reloaded"), what="the reload")
        (tmp_path / "pack.yaml").write_text("version: [")
        service.reload()
        wait_until(lambda: service.logged("rules.reload_refused"), what="the refusal")
        assert worker.poll() is None


def test_a_part_that_dies_while_the_pack_is_broken_does_not_end_the_receiver(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        wait_until(lambda: len(children(service.process.pid)) == 2, what="both parts")
        receiver, worker = sorted(children(service.process.pid))
        threading.Event().wait(3.2)  # a part that dies before never lived
        (tmp_path / "pack.yaml").write_text("version: [")
        os.kill(worker, signal.SIGKILL)
        wait_until(lambda: len(service.logged("serve.part_died")) >= 2, what="a start in vain")
        assert is_alive(receiver)
        body = orjson.dumps([])
        headers = signed_headers("sandbox-secret", f"{service.base}/webhooks/hubspot", body, system_clock())
        assert get(f"{service.base}/webhooks/hubspot", method="POST", body=body, headers=headers).status == 204
        service.say("Mended.")
        ana = service.new_contact("ana")
        wait_until(lambda: service.reason(ana) == "Mended.", what="the work going on")


def test_the_health_check_of_the_image_says_whether_serve_is_alive(served: Service) -> None:
    dockerfile = (Path(__file__).parents[2] / "deploy" / "Dockerfile").read_text("utf-8")
    command = orjson.loads(dockerfile.partition("HEALTHCHECK")[2].partition("CMD ")[2].splitlines()[0])
    assert command[0] == "python"
    for port, code in ((served.port, 0), (free_port(), 1)):
        code_here = command[2].replace("8080", str(port))
        done = subprocess.run([sys.executable, "-c", code_here], capture_output=True, timeout=30, check=False)
        assert done.returncode == code, done.stderr


# --- systemd ----------------------------------------------------------------------------------------------------------


def test_serve_tells_its_supervisor_when_it_is_ready_reloads_lives_and_stops(tmp_path: Path) -> None:
    with Listener(tmp_path / "notify") as supervisor:
        watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        with serving(tmp_path, **watched) as service:
            wait_until(lambda: supervisor.words() == ["READY=1"], what="the first word")
            assert answers(service.base + "/livez")
            wait_until(lambda: supervisor.heard.count("WATCHDOG=1") >= 3, seconds=10, what="signs of life")
            service.reload()
            wait_until(lambda: supervisor.words() == ["READY=1", "RELOADING=1", "READY=1"], what="the reload")
            service.process.terminate()
            assert service.process.wait(10) == 0
        assert supervisor.words() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


def test_a_worker_tells_its_supervisor_too(tmp_path: Path) -> None:
    with Listener(tmp_path / "notify") as supervisor, practising(tmp_path) as (sandbox, port):
        watched = {"NOTIFY_SOCKET": str(tmp_path / "notify"), "WATCHDOG_USEC": "1500000"}
        with running("worker", folder=tmp_path, log=tmp_path / "log", env=watched) as worker:
            wait_until(lambda: supervisor.words() == ["READY=1"], what="the first word")
            wait_until(lambda: supervisor.heard.count("WATCHDOG=1") >= 3, seconds=10, what="signs of life")
            Service(tmp_path, port, sandbox, worker).reload()
            wait_until(lambda: supervisor.words() == ["READY=1", "RELOADING=1", "READY=1"], what="the reload")
            worker.terminate()
            assert worker.wait(15) == 0
        assert supervisor.words() == ["READY=1", "RELOADING=1", "READY=1", "STOPPING=1"]


# --- a full disk ------------------------------------------------------------------------------------------------------


def no_file_may_grow() -> None:
    """Make this process find every disk full: no file takes a byte."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))


@pytest.mark.parametrize("arguments", [("serve",), ("serve", "--only", "receiver")])
def test_serve_on_a_full_disk_leaves_with_5_and_plain_words(arguments: tuple[str, ...], tmp_path: Path) -> None:
    with practising(tmp_path):
        assert stagekeeper("events", "list", folder=tmp_path).code == 0  # makes the tables
        done = subprocess.run(
            [sys.executable, "-m", "connector", *arguments], cwd=tmp_path, env=environment(), capture_output=True,
            text=True, timeout=60, check=False, preexec_fn=no_file_may_grow,
        )  # fmt: skip
        assert done.returncode == 5, done.stderr
        assert "Traceback" not in done.stderr
        assert "error: " in done.stderr


def test_a_full_folder_for_temporary_files_is_named_with_its_cure(tmp_path: Path) -> None:
    code = "from connector.tree import Tree; from connector.cli import run; import sys; Tree({}).run()"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=tmp_path, env=environment(), capture_output=True, text=True, timeout=60,
        check=False, preexec_fn=no_file_may_grow,
    )  # fmt: skip
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith("connector.tree.NoRoom: no folder for temporary files can be written")
    assert last.endswith("free space on the disk, or name another folder in the environment variable TMPDIR")


def test_no_process_is_left_after_a_kill(tmp_path: Path) -> None:
    with serving(tmp_path) as service:
        parts = children(service.process.pid)
        kill(service.process)
        wait_until(lambda: not any(map(is_alive, parts)), seconds=15, what="the end of all parts")
