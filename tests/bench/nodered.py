"""Node-RED with one flow, `http in` to `http response`, installed by npm below `build/` when node is at hand."""

import json
import shutil
import subprocess
from pathlib import Path

RELEASE = "node-red@4"  # 5 wants a node that few systems ship yet
PLACE = Path(__file__).parents[2] / "build" / "node-red"
_START = PLACE / "node_modules" / "node-red" / "red.js"
_FLOW = [
    {"id": "tab", "type": "tab", "label": "webhooks"},
    {"id": "in", "type": "http in", "z": "tab", "url": "/webhooks/hubspot", "method": "post", "wires": [["out"]]},
    {"id": "out", "type": "http response", "z": "tab", "statusCode": "204", "wires": []},
]


def install() -> str | None:
    """Install it unless it is there; say why not when it cannot be had."""
    if shutil.which("node") is None or shutil.which("npm") is None:
        return "node and npm are not installed"
    if _START.exists():
        return None
    PLACE.mkdir(parents=True, exist_ok=True)
    command = ["npm", "install", "--prefix", str(PLACE), "--no-audit", "--no-fund", "--ignore-scripts", RELEASE]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=600, check=False)
    except subprocess.TimeoutExpired:
        return "npm did not install it within ten minutes"
    last = (done.stderr.strip().splitlines() or ["npm gave no reason"])[-1]
    return None if done.returncode == 0 and _START.exists() else f"npm could not install it: {last}"


def command(folder: Path, port: int) -> list[str]:
    """Write the flow and the settings, and give the command line."""
    folder.mkdir(exist_ok=True)
    (folder / "flows.json").write_text(json.dumps(_FLOW), "utf-8")
    settings = {
        "uiHost": "127.0.0.1", "uiPort": port, "flowFile": "flows.json", "httpAdminRoot": False,
        "apiMaxLength": "5mb", "credentialSecret": False, "logging": {"console": {"level": "warn"}},
    }  # fmt: skip
    file = folder / "settings.js"
    file.write_text(f"module.exports = {json.dumps(settings)};\n", "utf-8")
    return ["node", str(_START), "--userDir", str(folder), "--settings", str(file)]
