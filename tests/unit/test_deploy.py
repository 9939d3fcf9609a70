"""What lies in deploy/: whatever it names is there, and what can be checked without an engine is."""

import re
import shlex
import shutil
import subprocess
import sys
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connector.cli import COMMANDS
from connector.config import load_config

TOP = Path(__file__).parent.parent.parent
DEPLOY = TOP / "deploy"
UNITS = ("stagekeeper.service", "stagekeeper-worker@.service")
PROJECT = tomllib.loads((TOP / "pyproject.toml").read_text("utf-8"))


def instructions() -> list[tuple[str, str]]:
    """Read the Dockerfile: an instruction and what follows it, lines joined."""
    text = (DEPLOY / "Dockerfile").read_text("utf-8")
    lines = [line for line in text.splitlines() if not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n\s*", " ", "\n".join(lines))
    return [(word, rest) for word, _, rest in (line.partition(" ") for line in joined.splitlines() if line.strip())]


def compose() -> dict[str, Any]:
    found: dict[str, Any] = YAML(typ="safe").load((DEPLOY / "compose.yaml").read_text("utf-8"))
    return found


# --- the image --------------------------------------------------------------------------------------------------------


def test_the_dockerfile_has_two_stages_of_which_the_second_is_run_by_nobody_special() -> None:
    words = [word for word, _ in instructions()]
    known = {"ARG", "FROM", "RUN", "WORKDIR", "COPY", "ENV", "USER", "EXPOSE", "STOPSIGNAL", "HEALTHCHECK",
             "ENTRYPOINT", "CMD"}  # fmt: skip
    assert set(words) <= known
    assert words.count("FROM") == 2
    second = instructions()[len(words) - 1 - words[::-1].index("FROM") :]
    assert [rest for word, rest in second if word == "USER"] == ["10001:10001"]
    assert not any("gcc" in rest or "apt-get" in rest for _, rest in second)
    assert {"HEALTHCHECK", "ENTRYPOINT", "CMD"} <= {word for word, _ in second}


def test_what_the_dockerfile_copies_is_there_and_is_let_into_the_build() -> None:
    copied = [shlex.split(rest)[:-1] for word, rest in instructions() if word == "COPY" and "--from" not in rest]
    sources = [source for each in copied for source in each]
    allowed = (DEPLOY / "Dockerfile.dockerignore").read_text("utf-8").splitlines()
    assert all((TOP / source).exists() for source in sources)
    assert {f"!{source}" for source in sources} == {line for line in allowed if line.startswith("!")}


def test_what_the_wheel_is_made_of_is_copied() -> None:
    copied = " ".join(rest for word, rest in instructions() if word == "COPY").split()
    built = PROJECT["tool"]["hatch"]["build"]["targets"]["wheel"]
    needed = [*built["packages"], *built["force-include"], PROJECT["project"]["readme"]]
    assert set(needed) | set(PROJECT["project"]["license-files"]) <= set(copied)
    extras = re.findall(r"'\.\[([a-z,]+)\]'", " ".join(rest for _, rest in instructions()))
    assert set(extras[0].split(",")) <= set(PROJECT["project"]["optional-dependencies"])


def test_the_shell_lines_of_the_image_are_lines_that_a_shell_takes() -> None:
    for word, rest in instructions():
        if word == "RUN":
            done = subprocess.run(["sh", "-n", "-c", rest], capture_output=True, text=True, timeout=10, check=False)
            assert (done.returncode, done.stderr) == (0, ""), rest
    [flags] = re.findall(r'CPPFLAGS="\$\((python -c .*?)\)"', " ".join(rest for _, rest in instructions()))
    line = flags.replace("python", shlex.quote(sys.executable), 1)
    said = subprocess.run(["sh", "-c", line], capture_output=True, text=True, timeout=10, check=True).stdout.strip()
    assert said == ("-DPyEval_CallObject=PyObject_CallObject" if sys.version_info >= (3, 13) else "")


# --- compose ----------------------------------------------------------------------------------------------------------


def test_whatever_compose_mounts_is_there() -> None:
    for name, service in compose()["services"].items():
        for volume in service.get("volumes", []):
            source = volume.split(":")[0]
            assert (DEPLOY / source).exists() if source.startswith(".") else source in compose()["volumes"], name
        assert set(service.get("secrets", [])) <= set(compose()["secrets"]), name
        assert set(service.get("depends_on", {})) <= set(compose()["services"]), name


def test_compose_runs_commands_that_exist_in_one_profile_each() -> None:
    ours = {name: one for name, one in compose()["services"].items() if one["image"] == "stagekeeper"}
    assert {name: (one["profiles"], one.get("deploy", {}).get("replicas", 1)) for name, one in ours.items()} == {
        "stagekeeper": (["single"], 1), "page": (["scaled"], 1), "receiver": (["scaled"], 3), "worker": (["scaled"], 4),
    }  # fmt: skip
    assert {one["command"][0] for one in ours.values()} <= set(COMMANDS)
    assert all(one["read_only"] and one["cap_drop"] == ["ALL"] for one in ours.values())
    assert (TOP / "deploy" / ours["page"]["build"]["context"] / ours["page"]["build"]["dockerfile"]).exists()


def test_every_image_that_is_fetched_names_its_version() -> None:
    images = {one["image"] for one in compose()["services"].values()} - {"stagekeeper"}
    assert all(re.fullmatch(r"[a-z/]+:v?\d[\d.]*", image) for image in images)


def test_whoever_is_called_by_name_on_that_network_is_there() -> None:
    services = compose()["services"]
    networks = [one["networks"]["default"] for one in services.values() if "networks" in one]
    known = {*services, *(alias for one in networks for alias in one["aliases"])}
    caddy = (DEPLOY / "Caddyfile").read_text("utf-8")
    assert set(re.findall(r"dynamic a (\w+) 8080", caddy)) == {"receiver", "page"}
    assert caddy.count("{") == caddy.count("}")
    for file in ("prometheus/prometheus.yml", "prometheus-scaled.yml"):
        for job in YAML(typ="safe").load((DEPLOY / file).read_text("utf-8"))["scrape_configs"]:
            targets = [target.split(":")[0] for one in job.get("static_configs", []) for target in one["targets"]]
            targets += [name for one in job.get("dns_sd_configs", []) for name in one["names"]]
            assert targets
            assert set(targets) <= known
            secret = Path(job["authorization"]["credentials_file"]).name
            assert secret in services["prometheus-scaled"]["secrets"]


def test_the_configuration_of_compose_is_one(tmp_path: Path) -> None:
    for name in compose()["secrets"]:
        (tmp_path / name).write_text(f"{name}-of-a-test\n")
    text = (DEPLOY / "config.yaml").read_text("utf-8").replace("/run/secrets", str(tmp_path))
    (tmp_path / "config.yaml").write_text(text)
    config, problems = load_config(tmp_path / "config.yaml", {"STAGEKEEPER_HOST": "hooks.acme.example"})
    assert problems == []
    assert config is not None
    assert config.database == "postgresql://stagekeeper:postgres_password-of-a-test@postgres/stagekeeper"
    assert config.portals[0].webhook_url == "https://hooks.acme.example/webhooks/hubspot"
    assert (TOP / "rules" / config.portals[0].rules.name).exists()
    mounted = set(re.findall(r"/run/secrets/(\w+)", (DEPLOY / "config.yaml").read_text("utf-8")))
    assert mounted == set(compose()["x-stagekeeper"]["secrets"])


# --- systemd ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("unit", UNITS)
def test_the_units_are_well_behaved_services(unit: str) -> None:
    parser = ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[assignment,method-assign]  # the library's own way to keep capitals
    parser.read(DEPLOY / "systemd" / unit)
    service = dict(parser["Service"])
    assert (service["Type"], service["KillMode"], service["DynamicUser"]) == ("notify", "mixed", "yes")
    command = service["ExecStart"].split()
    assert command[0] == "/opt/stagekeeper/bin/stagekeeper"
    assert command[1] in COMMANDS
    assert service["ExecReload"] == "/bin/kill -HUP $MAINPID"
    assert service["RestartPreventExitStatus"].split() == ["2", "3"]


@pytest.mark.parametrize("unit", UNITS)
def test_systemd_finds_nothing_wrong_with_the_units_where_it_is_installed(unit: str, tmp_path: Path) -> None:
    analyze = shutil.which("systemd-analyze")
    if analyze is None:
        return  # the other test has read them
    text = (DEPLOY / "systemd" / unit).read_text("utf-8")
    ours = str(Path(sys.executable).with_name("stagekeeper"))
    file = tmp_path / unit.replace("@", "@1")
    file.write_text(text.replace("/opt/stagekeeper/bin/stagekeeper", ours))
    verified = subprocess.run([analyze, "verify", file], capture_output=True, text=True, timeout=30, check=False)
    assert (verified.returncode, [line for line in verified.stderr.splitlines() if file.name in line]) == (0, [])
    rated = subprocess.run(
        [analyze, "security", "--offline=true", "--threshold=20", file], capture_output=True, timeout=30, check=False
    )
    assert rated.returncode == 0, rated.stdout
