"""A review server as a user starts it, and what a person does on its page: for the tests in a browser."""

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
PROGRAM = ROOT / "data_prep" / "review_questions.py"


class Server:
    """The program on a fixed port, so that an open page finds it again after a restart."""

    def __init__(self, folder, mode="questions", *overrides):
        with contextlib.closing(socket.socket()) as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        self.folder, self.out = folder, folder / "out" / mode
        self.command = [
            sys.executable, str(PROGRAM), f"mode={mode}", f"folder={folder}",
            f"root={folder / 'images'}", f"responses={folder / 'responses.jsonl'}", f"out={self.out}",
            f"port={self.port}", *overrides,
        ]  # fmt: skip
        self.url = f"http://127.0.0.1:{self.port}/"
        self.start()

    def start(self):
        log = self.folder / "server.log"
        with log.open("wb") as stream:
            self.process = subprocess.Popen(
                self.command,
                cwd=self.folder,
                stdout=stream,
                stderr=subprocess.STDOUT,
                env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
            )
        end = time.monotonic() + 120
        while "Review page" not in log.read_text():
            assert self.process.poll() is None, log.read_text()
            assert time.monotonic() < end, log.read_text()
            time.sleep(0.1)

    def kill(self):
        self.process.send_signal(signal.SIGKILL)
        self.process.wait(30)

    def stop(self):
        """As Ctrl-C does: exports are written."""
        self.process.send_signal(signal.SIGINT)
        assert self.process.wait(120) == 0, (self.folder / "server.log").read_text()

    def events(self):
        return [json.loads(line) for line in (self.out / "reviews.jsonl").read_text().splitlines()[1:]]


def enter(context, server, name):
    page = context.new_page()
    page.errors = []
    page.on("pageerror", lambda error: page.errors.append(str(error)))
    page.goto(server.url)
    page.fill("#name", name)
    page.keyboard.press("Enter")
    page.wait_for_selector("#dock .row")
    return page


def text_of(page):
    return page.inner_text("#question")


def until(page, script, given=None):
    """Wait for a script to be true. Playwright's own wait is an `eval`, which the page's policy forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(script, given):
        assert time.monotonic() < end, (script, given, page.inner_text("body")[:2000])
        time.sleep(0.02)


def on_next(page, before, where="#question"):
    """Another item, or the end."""
    until(
        page,
        "([where, before]) => document.getElementById('item').hidden"
        " || document.querySelector(where).innerText !== before",
        [where, before],
    )


def type_keys(page, keys):
    """Without a pause: the page has to keep what it is too slow for."""
    for key in keys:
        page.keyboard.press(key)


def saved(page):
    until(page, "document.getElementById('saved').innerText === 'Saved'")


def chosen(page):
    return page.eval_on_selector_all("#dock button.chosen", "found => found.map(one => one.innerText)")


def fully_rated(server, who):
    return sum(
        e.get("fields", {}).get("decision") is not None for e in server.events() if e["annotator"] == who
    )


CONTRAST = """() => {
  // Paint the backgrounds from the outermost in, since some let others shine through, then the text's color.
  const light = (colors) => {
    const canvas = document.createElement('canvas').getContext('2d');
    for (const color of colors) { canvas.fillStyle = color; canvas.fillRect(0, 0, 1, 1); }
    const [r, g, b] = [...canvas.getImageData(0, 0, 1, 1).data].slice(0, 3)
      .map((v) => v / 255).map((v) => v <= .03928 ? v / 12.92 : ((v + .055) / 1.055) ** 2.4);
    return .2126 * r + .7152 * g + .0722 * b;
  };
  const behind = (node) =>
    node ? [...behind(node.parentElement), getComputedStyle(node).backgroundColor] : ['Canvas'];
  const found = {};
  for (const query of ['#question', '.category span', '.category .pill', '.fact dt', '#saved', '.chip',
                       '.row .label', '.decide', '.choices button']) {
    const node = document.querySelector(query);
    const below = behind(node);
    const [a, b] = [light([...below, getComputedStyle(node).color]), light(below)].sort((x, y) => y - x);
    found[query] = (a + .05) / (b + .05);
  }
  return found;
}"""
