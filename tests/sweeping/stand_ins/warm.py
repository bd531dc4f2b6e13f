"""A server that runs programs of the project in forks of a process that has imported what they need.

    python warm.py SOCKET WORD ...        says `ready`; ends with its standard input

The programs are the real ones: only that each of them imports torch, transformers and Inspect anew, which is
most of what a few steps on a few rows take, is left out. The words are of a benchmark that imports the rest.
"""

import contextlib
import json
import os
import runpy
import socketserver
import sys
import threading
import traceback
from pathlib import Path
from typing import Any


class Server(socketserver.ForkingMixIn, socketserver.UnixStreamServer):
    pass


class Handler(socketserver.StreamRequestHandler):
    """Runs in a fork: one request is a program with its words and its log; the answer is its status."""

    def handle(self) -> None:
        asked: dict[str, Any] = json.loads(self.rfile.readline())
        status = 0
        log = os.open(asked["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        for stream in (1, 2):
            os.dup2(log, stream)
        os.chdir(asked["cwd"])
        os.environ.update(asked["environment"])
        sys.argv = [asked["program"], *asked["words"]]
        sys.path[0] = str(Path(asked["program"]).parent)
        try:
            runpy.run_path(asked["program"], run_name="__main__")
        except SystemExit as ended:
            status = ended.code if isinstance(ended.code, int) else 0 if ended.code is None else 1
        except BaseException:
            traceback.print_exc()
            status = 1
        sys.stdout.flush()
        sys.stderr.flush()
        self.wfile.write(f"{status}\n".encode())
        self.wfile.flush()
        os._exit(0)


def main() -> None:
    import align.training.job  # noqa: F401

    socket, *words = sys.argv[1:]
    program = str(Path(os.environ["WARM_PROGRAMS"]) / "evaluate" / "benchmark.py")
    sys.argv = [program, *words]
    with contextlib.redirect_stdout(sys.stderr), contextlib.suppress(SystemExit):
        runpy.run_path(program, run_name="__main__")
    with Server(socket, Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        print("ready", flush=True)
        sys.stdin.read()


if __name__ == "__main__":
    main()
