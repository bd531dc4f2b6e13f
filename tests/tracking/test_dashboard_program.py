"""The workspace as recipes/dashboard.py writes it down, and sends it to a server that stands in for W&B."""

import json
import os
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from align.tracking.dashboard import DashboardError, View, resolve, specification, workspace

ROOT = Path(__file__).parents[2]
pytest.importorskip("wandb_workspaces")


def dashboard(folder, *options, **environment):
    return subprocess.run(
        [sys.executable, str(ROOT / "recipes/dashboard.py"), f"out={folder / 'out'}", *options],
        capture_output=True,
        text=True,
        timeout=300,
        cwd=folder,
        env=os.environ | environment,
    )


def panels(spec):
    return [
        (section["name"], panel)
        for section in spec["spec"]["section"]["panelBankConfig"]["sections"]
        for panel in section["panels"]
    ]


def test_panels_follow_the_tasks_and_runs_the_group():
    view = View(
        project="ours",
        name="Photographs",
        entity="team",
        honesty=("mohobench",),
        general=("pope.accuracy",),
        settings=("method", "lora.r"),
        group="sweep",
        group_by=("group", "training.method"),
    )
    made = specification(workspace(view))
    assert (made["entity"], made["project"], made["displayName"]) == ("team", "ours", "Photographs")
    found = panels(made)
    assert {name for name, _ in found} == {
        "Training",
        "Honesty probe",
        "Benchmark: mohobench",
        "General ability",
        "Sweep",
    }
    by_type = {panel["viewType"]: panel["config"] for _, panel in found}
    plane = by_type["Scatter Plot"]
    assert plane["xAxis"] == "summary:mohobench/over_refusal_rate"
    assert plane["yAxis"] == "summary:mohobench/refusal_rate"
    columns = [column["accessor"] for column in by_type["Parallel Coordinates Plot"]["columns"]]
    assert columns[:2] == ["config:training.value.method", "config:training.value.lora.r"]
    assert columns[-1] == "summary:mohobench/refusal_rate"
    assert ["pope/accuracy"] in [panel["config"].get("metrics") for _, panel in found]
    assert "miniworld" not in json.dumps(made)
    runs = made["spec"]["section"]["runSets"][0]
    [only] = runs["filters"]["filters"]
    assert (only["key"], only["op"], only["value"]) == ({"section": "run", "name": "group"}, "=", "sweep")
    assert [key["name"] for key in runs["grouping"]] == ["group", "training.value.method"]


def test_what_cannot_be_made_is_named():
    with pytest.raises(DashboardError, match="name at least one task"):
        View(project="p", name="n")
    with pytest.raises(DashboardError, match=r"'pope' is not TASK\.FIGURE"):
        View(project="p", name="n", honesty=("a",), general=("pope",))
    assert resolve("auto") is False
    with pytest.raises(DashboardError, match="nobody is logged in"):
        resolve("online")


def test_a_missing_package_comes_with_the_command(monkeypatch):
    for name in [name for name in sys.modules if name.startswith("wandb_workspaces")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "wandb_workspaces", None)
    with pytest.raises(DashboardError, match=r"pip install 'mohoalign\[dashboard\]'"):
        workspace(View(project="p", name="n", honesty=("a",)))


class StandIn(BaseHTTPRequestHandler):
    """As much of W&B's API as a login and a new view need."""

    sent = ()

    def do_POST(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        reply = {}
        if self.path == "/graphql":
            asked = json.loads(body)
            if "upsertView" in asked["query"]:
                type(self).sent += (asked["variables"],)
                reply = {"upsertView": {"view": {"id": "V", "name": "nw-abc-v"}, "inserted": True}}
            elif "viewer" in asked["query"]:
                teams = {"edges": []}
                who = {
                    "id": "1",
                    "entity": "me",
                    "username": "me",
                    "email": "",
                    "flags": "{}",
                    "teams": teams,
                }
                reply = {"viewer": who}
        text = json.dumps({"data": reply}).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)

    def log_message(self, *_):
        pass


@pytest.mark.program
def test_it_is_written_down_and_sent_by_whoever_is_logged_in(tmp_path):
    server = ThreadingHTTPServer(("127.0.0.1", 0), StandIn)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    address = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        done = dashboard(tmp_path, "project=ours", WANDB_BASE_URL=address, WANDB_API_KEY="a" * 40)
    finally:
        server.shutdown()
    assert done.returncode == 0, done.stderr
    assert f"workspace: {address}/me/ours?nw=abc" in done.stdout
    [sent] = StandIn.sent
    assert (sent["entityName"], sent["projectName"], sent["displayName"]) == ("me", "ours", "Honesty")
    written = json.loads((tmp_path / "out/workspace.json").read_text())
    assert json.loads(sent["spec"]) == written["spec"]


@pytest.mark.program
def test_without_a_login_it_is_only_written_down(tmp_path):
    done = dashboard(tmp_path, "general=[]", "settings=[]", "honesty=[mohobench]")
    assert done.returncode == 0, done.stderr
    assert "not sent" in done.stdout
    written = json.loads((tmp_path / "out/workspace.json").read_text())
    assert "Sweep" not in {name for name, _ in panels(written)}
