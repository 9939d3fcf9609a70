"""Several worker processes of one gunicorn count together, whichever of them is asked."""

import subprocess
import sys
from pathlib import Path

from tests.observed import named, samples_of
from tests.ports import free_port
from tests.receivers import change, packed, signed
from tests.running import answers, environment, get, wait_until

SERVER = """
import sys
from pathlib import Path
from gunicorn.app.base import BaseApplication
from connector.receiver import create_app, gunicorn_options
from tests.receivers import make_parts

class Server(BaseApplication):
    def load_config(self):
        for name, value in gunicorn_options(bind=sys.argv[2], workers=3).items():
            self.cfg.set(name, value)
    def load(self):
        return create_app(make_parts(Path(sys.argv[1]), busy_timeout_ms=4_000))

Server().run()
"""


def test_three_workers_of_one_gunicorn_tell_the_same_numbers(tmp_path: Path) -> None:
    (tmp_path / "metrics").mkdir()
    base = f"127.0.0.1:{free_port()}"
    env = environment(PROMETHEUS_MULTIPROC_DIR=str(tmp_path / "metrics"), PYTHONPATH=str(Path(__file__).parents[2]))
    command = [sys.executable, "-c", SERVER, str(tmp_path / "x.db"), base]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, env=env, stdout=log, stderr=log) as server:
        try:
            wait_until(lambda: answers(f"http://{base}/readyz"), what="being ready")
            for number in range(30):
                body = packed(change(number % 25 + 1))
                reply = get(f"http://{base}/webhooks/hubspot", method="POST", body=body, headers=signed(body))
                assert reply.status == 204
            assert len([*(tmp_path / "metrics").glob("counter_*")]) > 1
            for _ in range(6):
                told = samples_of(get(f"http://{base}/metrics").body)
                assert named(told, "events_received_total") == {("4242", "contact.propertyChange"): 30}
                assert named(told, "events_duplicate_total") == {(): 5}
                assert named(told, "inbox_pending") == {(): 25}
        finally:
            server.terminate()
            server.wait(30)
