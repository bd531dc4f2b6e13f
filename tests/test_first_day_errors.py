"""What a user meets on the first day ends with a message and the next step, in the programs themselves.

All programs run in children of one process that has imported everything: see `_serve`. A case may change one
thing in its child beforehand, where the real thing (a full disk, a GPU without memory) cannot be had in a
test."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
TINY = ROOT / "align/miniworld/tiny_vlm"

pytestmark = pytest.mark.program

DISK_FULL = """
import errno, json, os
def full(path, value):
    with open("/dev/full", "w", buffering=1) as stream:  # the kernel's own ENOSPC
        stream.write(json.dumps(value) + chr(10))
import align.training.job
align.training.job.write_json = full
"""
CHECKPOINT_FULL = """
import safetensors.torch, transformers
def full(*_, **__):
    raise safetensors.SafetensorError("I/O error: No space left on device (os error 28)")
transformers.Trainer._save_checkpoint = full
"""
NO_MEMORY = """
import torch, transformers
def short(*_, **__):
    raise torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB. GPU 0 has 79 GiB")
transformers.Trainer.training_step = short
"""
BUG = """
import align.training.job
def bug(*_, **__):
    return {}["no such key"]
align.training.job.training_arguments = bug
"""


@dataclass(frozen=True)
class Ended:
    status: int
    output: str


class Programs:
    """Runs programs one at a time in forked children of a process with the imports."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        environment = {
            name: value
            for name, value in os.environ.items()
            if not name.startswith(("HF_", "OPENAI_", "HYDRA_"))
        }
        environment |= {
            "PYTHONPATH": str(ROOT),
            "OMP_NUM_THREADS": "1",
            "WANDB_MODE": "disabled",
            "HF_HOME": str(folder / "hub"),
        }
        self._process = subprocess.Popen(
            [sys.executable, __file__],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            env=environment,
        )

    def run(self, program: str, *arguments: str, change: str = "", **environment: str) -> Ended:
        job = {"program": program, "arguments": arguments, "change": change, "environment": environment}
        self._process.stdin.write(json.dumps(job | {"folder": str(self.folder)}) + "\n")
        self._process.stdin.flush()
        status = int(self._process.stdout.readline())
        return Ended(status, (self.folder / "output.txt").read_text(encoding="utf-8"))

    def close(self) -> None:
        self._process.stdin.close()
        self._process.wait(30)
        self._process.stdout.close()


@pytest.fixture(scope="module")
def programs(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Programs]:
    running = Programs(tmp_path_factory.mktemp("first-day"))
    yield running
    running.close()


def fails(ended: Ended, *says: str) -> None:
    """Status 1, every text of `says`, how to see the traceback, and no traceback."""
    told = " ".join(ended.output.split())
    assert ended.status == 1, ended.output
    for text in (*says, "HYDRA_FULL_ERROR=1 shows where it happened"):
        assert text in told, ended.output
    assert "Traceback" not in ended.output


def rows(folder: Path) -> tuple[str, ...]:
    """A pair about one picture, as data of a user's own."""
    from PIL import Image

    folder.mkdir(exist_ok=True)
    Image.new("RGB", (96, 96), "white").save(folder / "a.png")
    lines = [
        {
            "question_id": f"q{number}",
            "images": ["a.png"],
            "prompt": f"What color is the dog? {number}",
            "chosen": "There is no dog.",
            "rejected": "It is red.",
            "kind": "refuse",
            "chosen_source": "test",
            "rejected_source": "test",
        }
        for number in range(4)
    ]
    file = folder / "pairs.jsonl"
    file.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return ("probe=none", "data=files", f"data.pairs={file}", f"data.root={folder}", "++trainer.max_steps=1")


def edited(folder: Path, name: str, **files: object) -> Path:
    """A copy of the embedded model with other files: a dictionary updates JSON, None removes."""
    copy = folder / name
    shutil.copytree(TINY, copy)
    for stem, change in files.items():
        file = copy / f"{stem}.json"
        if change is None:
            file.unlink()
        else:
            old = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
            file.write_text(json.dumps(old | change), encoding="utf-8")
    return copy


def test_a_recipe_for_a_gpu_on_a_cpu(programs: Programs) -> None:
    ended = programs.run("recipes/dpo.py", "model=hub", "model.name=a/b", "trainer=gpu", "out=no-gpu")
    fails(ended, "there is none", "trainer.use_cpu=true", "mohoalign doctor")


def test_the_embedded_model_may_train_on_a_cpu_all_the_same(programs: Programs) -> None:
    ended = programs.run("recipes/dpo.py", "trainer=gpu", "out=tiny-gpu", *rows(programs.folder / "rows"))
    assert ended.status == 0, ended.output


def test_a_setting_that_prepare_does_not_have(programs: Programs) -> None:
    ended = programs.run("data_prep/prepare.py", "+on_bad_rows=skip", "out=prepared")
    fails(ended, "+on_bad_rows: prepare has no such setting", "+STEP.NAME=VALUE", "the steps are ingest")


def test_out_of_memory_names_what_to_lower_and_what_it_saves(programs: Programs) -> None:
    data = rows(programs.folder / "rows")
    ended = programs.run("recipes/dpo.py", "out=memory", "trainer=gpu", *data, change=NO_MEMORY)
    fails(
        ended,
        "CUDA out of memory",
        "By the estimate the longest rows need",
        "trainer.per_device_train_batch_size=2 trainer.gradient_accumulation_steps=16 saves about",
    )
    assert "gradient_checkpointing" not in ended.output, "it is on already"


@pytest.mark.parametrize(
    ("change", "where"),
    [(DISK_FULL, "the record"), (CHECKPOINT_FULL, "a checkpoint")],
    ids=["record", "checkpoint"],
)
def test_a_full_disk(programs: Programs, change: str, where: str) -> None:
    data = rows(programs.folder / "rows")
    ended = programs.run("recipes/dpo.py", f"out=full {where}", *data, change=change)
    fails(ended, f"full {where} is full", "MiB are free", "trainer.save_total_limit=1", "resume=true")


def test_a_processor_that_needs_torchvision(programs: Programs) -> None:
    if _has_torchvision():
        pytest.skip("torchvision is here")
    settings = {
        "image_processor_type": "Qwen2VLImageProcessor",
        "processor_class": "Qwen2_5_VLProcessor",
        "patch_size": 14,
        "merge_size": 2,
        "temporal_patch_size": 2,
    }
    model = edited(
        programs.folder,
        "qwen",
        processor_config=None,
        preprocessor_config=settings,
        tokenizer_config={"processor_class": "Qwen2_5_VLProcessor"},
    )
    ended = programs.run("data_prep/audit.py", "model=hub", f"model.name={model}", "out=qwen-audit")
    fails(ended, "needs torchvision, which is missing", "pip install torchvision torch==")


@pytest.mark.parametrize(
    ("name", "files", "says"),
    [
        ("no-processor", {"processor_config": None}, "its processor cannot be read"),
        ("other-processor", {"config": {"image_token_index": 7, "image_token_id": 7}}, "another model's"),
        ("text-only", {"config": {"model_type": "qwen2"}}, "is no vision-language model"),
        ("unknown", {"config": {"model_type": "brand_new_vl"}}, "model.trust_remote_code=true"),
        ("no-config", {"config": None}, "no config.json"),
    ],
)
def test_a_folder_that_is_no_whole_model(programs: Programs, name: str, files: dict, says: str) -> None:
    model = edited(programs.folder, name, **files)
    ended = programs.run(
        "recipes/sft.py", "model=hub", f"model.name={model}", f"out=runs/{name}", "probe=none"
    )
    fails(ended, says, f"model '{model}'" if name != "text-only" else "(qwen2)")


def test_a_device_that_is_not_here(programs: Programs) -> None:
    ended = programs.run("data_prep/audit.py", "device=cuda", "out=no-cuda", CUDA_VISIBLE_DEVICES="")
    fails(ended, "device=cuda: CUDA_VISIBLE_DEVICES='' hides every GPU")


class Hub(BaseHTTPRequestHandler):
    """A hub that knows one gated model, whose description is open and whose files are not."""

    def do_GET(self) -> None:
        if "/late/" in self.path:
            return self._say(503, "")
        if not self.path.startswith("/api/models/owner/gated"):
            return self._say(401, "RepoNotFound")
        if "revision/other" in self.path:
            return self._say(404, "RevisionNotFound")
        return self._say(403, "GatedRepo")

    do_HEAD = do_GET

    def _say(self, status: int, code: str) -> None:
        self.send_response(status)
        self.send_header("X-Error-Code", code)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture(scope="module")
def hub() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Hub)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.mark.parametrize(
    ("arguments", "environment", "says"),
    [
        (["model.name=owner/gated"], {}, "nobody is logged in here. Ask for access at {hub}/owner/gated"),
        (["model.name=owner/gated"], {"HF_TOKEN": "hf_x"}, "the token of this machine has no access"),
        (["model.name=owner/gated", "model.revision=other"], {}, "it has no revision 'other'"),
        (["model.name=owner/nothing"], {}, "there is no such repository at {hub}, or it is private"),
        (["model.name=owner/nothing"], {"HF_HUB_OFFLINE": "1"}, "HF_HUB_OFFLINE is set"),
        (["model.name=owner/nothing"], {"HF_ENDPOINT": "http://127.0.0.1:9"}, "cannot be reached"),
        (["model.name=./nothing"], {}, "no such folder"),
        (["model.name='no name'"], {}, "no name that a hub could know"),
    ],
)
def test_a_model_that_the_hub_does_not_give(
    programs: Programs, hub: str, arguments: list[str], environment: dict[str, str], says: str
) -> None:
    variables = {"HF_ENDPOINT": hub} | environment
    ended = programs.run("recipes/sft.py", "model=hub", "out=hub", "probe=none", *arguments, **variables)
    fails(ended, says.format(hub=hub))
    assert "hf_x" not in ended.output


def test_no_judge_key(programs: Programs) -> None:
    folder = programs.folder / "judged"
    (data,) = [argument.partition("=")[2] for argument in rows(folder) if argument.startswith("data.root")]
    question = {"id": "q0", "image": "a.png", "question": "What color is the dog?"}
    question |= {"category": "False_Premises", "source": "test"}
    response = {"question_id": "q0", "model": "m", "text": "Red."}
    (folder / "questions.jsonl").write_text(json.dumps(question) + "\n", encoding="utf-8")
    (folder / "responses.jsonl").write_text(json.dumps(response) + "\n", encoding="utf-8")
    ended = programs.run("data_prep/judge_responses.py", f"folder={folder}", f"root={data}", "judge=paper")
    fails(ended, "OPENAI_API_KEY")


def test_a_bug_keeps_its_traceback(programs: Programs) -> None:
    ended = programs.run("recipes/dpo.py", "out=bug", change=BUG)
    assert ended.status == 1
    assert "Traceback" in ended.output
    assert "KeyError: 'no such key'" in ended.output


def test_the_switch_shows_the_traceback_of_a_users_error(programs: Programs) -> None:
    ended = programs.run("recipes/dpo.py", "data=files", "data.root=.", "out=full", HYDRA_FULL_ERROR="1")
    assert ended.status == 1
    assert "Traceback" in ended.output
    assert "data.pairs" in ended.output


def _has_torchvision() -> bool:
    import importlib.util

    return importlib.util.find_spec("torchvision") is not None


def _serve() -> None:
    import align.training.job
    import align.training.reference  # noqa: F401

    for line in sys.stdin:
        job = json.loads(line)
        pid = os.fork()
        if pid == 0:
            _be(**job)
        _, status = os.waitpid(pid, 0)
        print(os.waitstatus_to_exitcode(status), flush=True)


def _be(program: str, arguments: list[str], change: str, environment: dict[str, str], folder: str) -> None:
    import runpy
    import traceback

    from huggingface_hub import constants

    os.chdir(folder)
    os.environ.update(environment)
    # Read when the library is imported, which has happened.
    constants.ENDPOINT = environment.get("HF_ENDPOINT", constants.ENDPOINT)
    constants.HF_HUB_OFFLINE = environment.get("HF_HUB_OFFLINE") == "1"
    output = os.open("output.txt", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
    for target in (1, 2):
        os.dup2(output, target)
    os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
    sys.argv = [program, *arguments]
    code = 1
    try:
        exec(change, {})
        runpy.run_path(str(ROOT / program), run_name="__main__")
        code = 0
    except SystemExit as end:
        code = end.code if isinstance(end.code, int) else int(end.code is not None)
    except BaseException:
        traceback.print_exc()
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    _serve()
