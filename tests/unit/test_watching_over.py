"""The alerts and the dashboard ask for nothing that is not told, say what to do, and promtool finds them in order."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from ruamel.yaml import YAML

from connector.cli import COMMANDS
from tests.promql import FOREIGN, asked, catalogue, faults

DEPLOY = Path(__file__).parents[2] / "deploy"
PROMETHEUS = DEPLOY / "prometheus"
DASHBOARDS = sorted((DEPLOY / "grafana").glob("*.json"))
KNOWN = {**catalogue(), **FOREIGN}
CONTRACT = {
    "events_received_total": "portal type", "events_rejected_total": "reason", "events_duplicate_total": "",
    "inbox_pending": "", "inbox_oldest_seconds": "", "dead_letters": "", "decisions_total": "portal stage status",
    "decision_seconds_count": "", "writes_total": "portal kind outcome",
    "hubspot_calls_total": "portal endpoint outcome", "hubspot_wait_seconds_total": "portal",
    "hubspot_calls_left": "portal window", "stage_moves_total": "portal from to", "event_to_write_seconds_count": "",
    "shadow_disagreements_total": "", "build_info": "version rules",
}  # fmt: skip


def read(path: Path) -> Any:
    return YAML(typ="safe").load(path.read_text(encoding="utf-8"))


def alerts() -> list[dict[str, Any]]:
    return [rule for group in read(PROMETHEUS / "alerts.yml")["groups"] for rule in group["rules"]]


def expressions(dashboard: Any) -> Iterator[str]:
    for panel in dashboard["panels"]:
        for target in panel.get("targets", ()):
            yield target["expr"]


def promtool(*arguments: str, folder: Path = PROMETHEUS) -> str:
    """Run promtool where it is at hand; give what it found wrong."""
    if shutil.which("promtool") is None:
        return ""
    done = subprocess.run(["promtool", *arguments], cwd=folder, capture_output=True, text=True, check=False)
    return "" if done.returncode == 0 else done.stdout + done.stderr


def test_every_metric_of_the_contract_is_told_with_its_labels() -> None:
    told = {name: KNOWN.get(f"stagekeeper_{name}") for name in CONTRACT}
    assert told == {name: frozenset(labels.split()) for name, labels in CONTRACT.items()}


@pytest.mark.parametrize("alert", alerts(), ids=lambda alert: alert["alert"])
def test_an_alert_asks_for_what_is_told_and_says_what_to_do(alert: dict[str, Any]) -> None:
    assert faults(alert["expr"], KNOWN) == []
    assert set(alert["annotations"]) == {"summary", "meaning", "action", "command"}
    assert alert["labels"]["severity"] in ("critical", "warning", "info")
    commands = re.findall(r"stagekeeper (\w+)", alert["annotations"]["command"])
    assert commands
    assert set(commands) <= set(COMMANDS)
    named = set(re.findall(r"\$labels\.(\w+)", " ".join(alert["annotations"].values())))
    assert named <= {label for name, _ in asked(alert["expr"]) for label in (*KNOWN[name], "instance")}


def test_every_alert_is_shown_to_fire_and_all_of_them_to_be_quiet() -> None:
    tests = read(PROMETHEUS / "alerts_test.yml")["tests"]
    checks = [check for test in tests for check in test["promql_expr_test"]]
    samples = [one["labels"] for check in checks for one in check["exp_samples"]]
    fired = {name for labels in samples for name in re.findall(r'alertname="(\w+)"', labels)}
    assert fired == {alert["alert"] for alert in alerts()}
    assert sum(check["exp_samples"] == [] for check in checks) >= 3
    series = [one["series"] for test in tests for one in test["input_series"]]
    assert {name: faults(name, KNOWN) for name in series if faults(name, KNOWN)} == {}


def test_promtool_finds_the_alerts_right() -> None:
    assert promtool("check", "rules", "alerts.yml") == ""
    assert promtool("test", "rules", "alerts_test.yml") == ""
    assert promtool("check", "config", "--syntax-only", "prometheus.yml") == ""
    assert read(PROMETHEUS / "prometheus.yml")["rule_files"] == ["alerts.yml"]


@pytest.mark.parametrize("path", DASHBOARDS, ids=lambda path: path.name)
def test_a_dashboard_asks_for_what_is_told(path: Path, tmp_path: Path) -> None:
    dashboard = json.loads(path.read_text(encoding="utf-8"))
    found = [*expressions(dashboard)]
    assert len(found) > 20
    assert {expression: faults(expression, KNOWN) for expression in found if faults(expression, KNOWN)} == {}
    ids = [panel["id"] for panel in dashboard["panels"]]
    assert len(ids) == len(set(ids))
    # As rules, which promtool can parse; what Grafana fills in is filled in.
    filled = [re.sub(r"\$__\w+", "5m", one).replace("$portal", ".*") for one in found]
    rules = [{"record": f"panel:{number}", "expr": one} for number, one in enumerate(filled)]
    (tmp_path / "rules.yml").write_text(json.dumps({"groups": [{"name": "panels", "rules": rules}]}), encoding="utf-8")
    assert promtool("check", "rules", "rules.yml", folder=tmp_path) == ""


def test_the_dashboard_shows_every_metric_of_the_contract() -> None:
    shown = {name for path in DASHBOARDS for one in expressions(json.loads(path.read_text())) for name, _ in asked(one)}
    wanted = {f"stagekeeper_{name}".removesuffix("_count") for name in CONTRACT}
    assert {name for name in wanted if name not in shown and f"{name}_bucket" not in shown} == set()


def test_grafana_is_told_where_its_source_and_its_dashboards_are() -> None:
    [source] = read(DEPLOY / "grafana/provisioning/datasources/prometheus.yaml")["datasources"]
    [provider] = read(DEPLOY / "grafana/provisioning/dashboards/stagekeeper.yaml")["providers"]
    assert (source["type"], provider["type"]) == ("prometheus", "file")
