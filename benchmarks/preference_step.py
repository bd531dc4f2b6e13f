"""Time and memory of one preference step: TRL's DPOTrainer and ours, on the same model and pairs, in one run.

    python benchmarks/preference_step.py                               a 50-million LLaVA on a CPU, minutes
    python benchmarks/preference_step.py --model qwen2.5-vl-7b --device cuda --dtype bfloat16 \
        --image-tokens 1280 --gradient-checkpointing --attention flex_attention
    python benchmarks/preference_step.py --grid                        batches and lengths in turn
    python benchmarks/preference_step.py --profile                     where our step's time goes

Three contenders: `trl` is `DPOTrainer` with LoRA, whose reference is the model without its adapter, run in
every step (it refuses to compute it beforehand for images). `shared` is our trainer with the reference run in
every step. `shared_cached` is ours with the reference's log-probs looked up, as a run does from its second
look at a row on. Each has a process of its own and builds the same model (random weights, same seed), adapter
(LoRA of rank 16 on the language model, filled with the same random numbers) and pairs (noise for images,
random tokens).

Before the clock starts all three must give the same log-probs for the first batch, as policy and as
reference, and the same gradient; otherwise the program ends with an error. On a CPU they then take turns, one
step each, so that a machine that slows down slows all of them; on CUDA, where three models may not fit, each
runs alone, twice. Given are the median over steps and the range.

The share of the floor is the least number of token-forwards over those that were run. A token-forward is one
token that goes once through the language model's layers, counted where it happens, recomputation in the
backward pass included. The least is each pair's prompt, chosen and rejected tokens once: what the policy
needs, if the reference is known and no token is padding.

Where there is no Triton, as on a CPU, TRL's fused head scores every token of a sequence; on CUDA it scores
completions only, as ours does everywhere. `--vocabulary 1000` shows what is left of the ratio without that.

Memory on a CPU is what the process's resident memory grew by from the start, with model and data built, to
its peak; on CUDA it is the peak of what PyTorch allocated, model included. Making batches (decoding images,
tokenising) is not timed, and neither is the pass that fills the cache.

The last line is one JSON object. `ratio_shared` and `ratio_cached` are pairs per second over TRL's.
"""

from __future__ import annotations

import argparse
import functools
import json
import multiprocessing
import statistics
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, replace
from multiprocessing.connection import Connection
from typing import Any

from contenders import CONTENDERS, Case, FirstLook, work
from shapes import SHAPES, shape_config
from step_profile import profile_step

from align.run import hardware, package_versions

TOLERANCE = {"float32": 2e-5, "bfloat16": 1e-2}  # of log-probs, for each token
GRADIENT_TOLERANCE = {"float32": 1e-3, "bfloat16": 5e-2}  # relative, of the norm
GRID_BATCHES = (1, 2, 4, 8, 16)
GRID_PROMPTS = (16, 256)
GRID_COMPLETIONS = (20, 200)


class Contender:
    """A contender's process, seen from the outside."""

    def __init__(self, name: str, case: Case) -> None:
        self.name, self.seconds, self.memory = name, [], {}
        context = multiprocessing.get_context("spawn")
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=work, args=(name, case, theirs), daemon=True)
        self.process.start()
        theirs.close()

    @functools.cached_property
    def first(self) -> FirstLook:
        """The figures of the first batch; waits until the process has started up."""
        return self._hear()

    seconds: list[float]
    memory: dict[str, float | None]
    connection: Connection

    def step(self) -> float:
        self.connection.send("step")
        return self._hear()

    def end(self) -> None:
        self.connection.send(None)
        self.memory = self._hear()
        self.process.join()

    def _hear(self) -> Any:
        try:
            return self.connection.recv()
        except EOFError:
            self.process.join()
            raise SystemExit(f"{self.name} ended with status {self.process.exitcode}: see above") from None


def measure(case: Case, steps: int, warm_up: int = 1) -> dict[str, Any]:
    """All contenders on one case. Raises `SystemExit` where they do not compute the same."""
    if case.device.startswith("cuda"):
        ended = one_after_another(case, steps, warm_up)
    else:
        ended = taking_turns(case, steps, warm_up)
    speed = {name: case.batch / statistics.median(ended[name].seconds) for name in CONTENDERS}
    return {
        "shape": asdict(case),
        "pairs_per_second": speed,
        "ratio_shared": speed["shared"] / speed["trl"],
        "ratio_cached": speed["shared_cached"] / speed["trl"],
        "peak_memory_mib": {name: _growth(ended[name].memory, case) for name in CONTENDERS},
        "raw_memory_mib": {name: ended[name].memory for name in CONTENDERS},
        "step_seconds": {
            name: {
                "median": statistics.median(ended[name].seconds),
                "least": min(ended[name].seconds),
                "most": max(ended[name].seconds),
                "all": ended[name].seconds,
            }
            for name in CONTENDERS
        },
        "share_of_floor": {name: ended[name].first.floor / ended[name].first.tokens for name in CONTENDERS},
        "images_encoded": {name: ended[name].first.images / case.batch for name in CONTENDERS},
    }


def _growth(memory: Mapping[str, float | None], case: Case) -> float | None:
    peak, start = memory["peak"], memory["start"]
    if peak is None or start is None or case.device.startswith("cuda"):
        return peak
    return peak - start


def taking_turns(case: Case, steps: int, warm_up: int) -> dict[str, Contender]:
    contenders = {name: Contender(name, case) for name in CONTENDERS}
    agree(contenders, case)
    for number in range(warm_up + steps):
        for contender in contenders.values():
            took = contender.step()
            if number >= warm_up:
                contender.seconds.append(took)
    for contender in contenders.values():
        contender.end()
    return contenders


def one_after_another(case: Case, steps: int, warm_up: int) -> dict[str, Contender]:
    """Each twice, in an order and in its reverse; the second process of each goes on with the figures."""
    kept: dict[str, Contender] = {}
    for name in (*CONTENDERS, *reversed(CONTENDERS)):
        contender = Contender(name, case)
        agree(kept | {name: contender}, case)
        for _ in range(warm_up):
            contender.step()
        contender.seconds = [contender.step() for _ in range(max(1, steps // 2))]
        contender.end()
        if name in kept:
            contender.seconds = kept[name].seconds + contender.seconds
        kept[name] = contender
    return kept


def agree(contenders: Mapping[str, Contender], case: Case) -> None:
    """Raise `SystemExit` unless all give the same log-probs and gradient for the first batch."""
    expected = contenders["trl"].first
    for name, contender in contenders.items():
        if problem := difference(expected, contender.first, case.dtype):
            raise SystemExit(f"{name} and trl do not compute the same, so their times say nothing: {problem}")


def difference(expected: FirstLook, found: FirstLook, dtype: str) -> str | None:
    """What two contenders do not agree on, or None."""
    if found.completion_tokens != expected.completion_tokens:
        return f"completions of {expected.completion_tokens} and {found.completion_tokens} tokens"
    lengths = iter(expected.completion_tokens)
    for i in range(len(expected.policy)):
        for k, side in enumerate(("chosen", "rejected")):
            allowed = TOLERANCE[dtype] * next(lengths)
            for what in ("policy", "reference"):
                one, other = getattr(expected, what)[i][k], getattr(found, what)[i][k]
                if not abs(one - other) <= allowed:
                    return f"{what}'s log-prob of pair {i}'s {side} side is {one:.5f} and {other:.5f}"
    if not abs(found.gradient / expected.gradient - 1) <= GRADIENT_TOLERANCE[dtype]:
        return f"the gradient's norm is {expected.gradient:.6g} and {found.gradient:.6g}"
    return None


def grid(case: Case) -> list[Case]:
    """The case itself, with other batches, and with other lengths."""
    cases = [case]
    cases += [replace(case, batch=batch) for batch in GRID_BATCHES]
    cases += [
        replace(case, prompt_tokens=prompt, completion_tokens=completion)
        for prompt in GRID_PROMPTS
        for completion in GRID_COMPLETIONS
    ]
    return list(dict.fromkeys(cases))


def row(result: Mapping[str, Any]) -> str:
    shape, speed = result["shape"], result["pairs_per_second"]
    lengths = f"{shape['batch']:>5} {shape['image_tokens']:>6} {shape['prompt_tokens']:>6} "
    lengths += f"{shape['completion_tokens']:>10}"
    speeds = "  ".join(f"{speed[name]:>7.3f}" for name in CONTENDERS)
    ratios = f"{result['ratio_shared']:>6.2f} {result['ratio_cached']:>6.2f}"
    memory = " ".join(
        f"{'-' if (m := result['peak_memory_mib'][name]) is None else round(m):>7}" for name in CONTENDERS
    )
    floor = " ".join(f"{result['share_of_floor'][name]:>5.0%}" for name in CONTENDERS)
    return f"{lengths}  {speeds}  {ratios}  {memory}  {floor}"


HEAD = (
    "                               pairs per second            ratio to trl   memory, MiB              "
    "share of the floor\n"
    "batch  image prompt completion      trl   shared   cached  shared cached      trl  shared  cached"
    "    trl  shared cached"
)


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    shape = SHAPES[options.model]
    case = Case(
        model=options.model,
        image_tokens=options.image_tokens or shape.image_tokens,
        prompt_tokens=options.prompt_tokens,
        completion_tokens=options.completion_tokens,
        spread=options.spread,
        vocabulary=options.vocabulary,
        batch=options.batch,
        dtype=options.dtype,
        device=options.device,
        attention=options.attention,
        gradient_checkpointing=options.gradient_checkpointing,
    )
    if options.profile:
        for name in options.profile:
            print(profile_step(name, case, steps=options.steps), flush=True)
        return
    results = []
    print(HEAD, flush=True)
    for each in grid(case) if options.grid else [case]:
        results.append(measure(each, options.steps))
        print(row(results[-1]), flush=True)
    for name, seconds in results[0]["step_seconds"].items():
        print(
            f"{name}: a step of {seconds['median']:.3f} s ({seconds['least']:.3f} to {seconds['most']:.3f})"
        )
    about = {"versions": package_versions(), "machine": hardware()}
    rest = {"cases": results} if options.grid else {}
    print(json.dumps(results[0] | rest | about))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    add("--model", choices=SHAPES, default="llava-50m", help="shape of the model, with random weights")
    add("--image-tokens", type=_positive, help="of an image; the shape's own unless given")
    add("--prompt-tokens", type=_positive, default=32, help="of a prompt, beside its image")
    add("--completion-tokens", type=_positive, default=60, help="of each side of a pair")
    add("--spread", type=float, default=0.0, help="lengths vary by up to this share of themselves")
    add("--vocabulary", type=_positive, help="size of it; the shape's own unless given")
    add("--batch", type=_positive, default=2, help="pairs in a step")
    add("--dtype", choices=sorted(TOLERANCE), default="float32")
    add("--device", default="cpu", help="cpu, cuda, cuda:1, ...")
    add("--attention", choices=["sdpa", "flex_attention"], default="sdpa", help="ours; TRL runs sdpa")
    add("--gradient-checkpointing", action="store_true", help="for all; TRL's own default is on")
    add("--steps", type=_positive, default=5, help="timed steps of each contender, after one to warm up")
    add("--grid", action="store_true", help="batches of 1 to 16, and short and long texts")
    add(
        "--profile",
        nargs="*",
        choices=CONTENDERS,
        help="show where a step's time goes instead; of our two unless others are named",
    )
    options = parser.parse_args(argv)
    if options.profile == []:
        options.profile = ["shared", "shared_cached"]
    if not 0 <= options.spread < 1:
        parser.error("--spread is a share of the length: at least 0 and below 1")
    if options.prompt_tokens < 2:
        parser.error("--prompt-tokens: one stands before the image and one behind it, so at least 2")
    if options.attention == "flex_attention" and not options.device.startswith("cuda"):
        parser.error("--attention flex_attention: its backward pass needs --device cuda")
    shape = SHAPES[options.model]
    try:
        shape_config(shape, options.image_tokens or shape.image_tokens, options.vocabulary)
    except ValueError as error:
        parser.error(str(error))
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
