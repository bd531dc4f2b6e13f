"""Responses a second: batches filled by length, beside one `generate` after another with plain transformers.

    python benchmarks/generation_throughput.py                    both models on a CPU, under 3 minutes
    python benchmarks/generation_throughput.py --models tiny_vlm --questions 512 --batch 128
    python benchmarks/generation_throughput.py --models llava-1.5-7b --device cuda --dtype bfloat16 \
        --questions 128 --new-tokens 128 --batch 32

Both sides answer the same questions about the same images of the miniature world with the same weights,
greedily. `batched` is what a benchmark run does: the questions come in random order, are batched with those
nearest in length, and their images are decoded while the model runs; log-probabilities of the responses are
added up. `one_by_one` is the loop of a tutorial: chat template, processor, `model.generate`, decode. They
take turns, a round each, and the median round counts, images' decoding and the processor included.

tiny_vlm is the embedded model, which ends its answers itself. The others have random weights in a published
shape (`shapes.py`) and go on to `--new-tokens` as a rule. How many texts are the same is given, since batched
matrix products round differently.

The last line is one JSON object: `cases`, one for each model, and `ratios`, batched over one by one.
"""

from __future__ import annotations

import argparse
import json
import random
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image
from shapes import SHAPES, build_model, shape_config
from transformers.utils import logging

from align.evaluation.batching import Batcher
from align.miniworld.dataset import build_questions
from align.models.generation import Decoding, Request
from align.models.loading import LoadedModel, load_model
from align.records import Question, read_records
from align.run import hardware, package_versions

TINY = "tiny_vlm"
DEFAULTS = {TINY: (64, 32, 32), "llava-50m": (16, 8, 24)}
"""Questions, batch and new tokens, so that all ends within minutes on two cores."""


def load(name: str, device: str, dtype: str) -> LoadedModel:
    """The embedded model, or a shape with random weights behind the embedded model's tokenizer."""
    tiny = load_model(TINY, device=device)
    if name == TINY:
        return tiny
    shape = SHAPES[name]
    config: Any = shape_config(shape, shape.image_tokens)
    if config.model_type != "llava":
        raise SystemExit(f"--models {name}: only LLaVA shapes take the embedded model's processor")
    processor: Any = tiny.processor
    config.image_token_id = config.image_token_index = processor.tokenizer.convert_tokens_to_ids("<image>")
    processor.patch_size = config.vision_config.patch_size
    processor.num_additional_image_tokens = 1  # CLIP's class token, which "default" leaves out again
    processor.vision_feature_select_strategy = "default"
    processor.tokenizer.model_max_length = config.text_config.max_position_embeddings
    side = config.vision_config.image_size
    processor.image_processor.size = {"height": side, "width": side}
    model = build_model(config, dtype=getattr(torch, dtype), device=device, attention="sdpa").eval()
    return LoadedModel(model, processor, name, "random")


def batched(loaded: LoadedModel, requests: Sequence[Request], new_tokens: int, batch: int) -> list[str]:
    batcher = Batcher(loaded, batch)
    try:
        decoding = Decoding(max_new_tokens=new_tokens)
        futures = [batcher.submit(request, decoding) for request in requests]
        generations = [future.result() for future in futures]
    finally:
        batcher.close()
    if errors := [generation.error for generation in generations if generation.error]:
        raise SystemExit(errors[0])
    return [generation.text or "" for generation in generations]


@torch.inference_mode()
def one_by_one(loaded: LoadedModel, requests: Sequence[Request], new_tokens: int, batch: int) -> list[str]:
    model: Any = loaded.model
    processor: Any = loaded.processor
    texts = []
    for request in requests:
        content = [{"type": "image"}, {"type": "text", "text": request.question}]
        prompt = processor.apply_chat_template(
            [{"role": "user", "content": content}], tokenize=False, add_generation_prompt=True
        )
        image = Image.open(request.image).convert("RGB")
        inputs = processor(text=prompt, images=image, return_tensors="pt").to(loaded.device, model.dtype)
        answer = model.generate(
            **inputs,
            max_new_tokens=new_tokens,
            do_sample=False,
            eos_token_id=processor.tokenizer.eos_token_id,
            pad_token_id=processor.tokenizer.pad_token_id,
        )[0, inputs["input_ids"].shape[1] :]
        texts.append(processor.decode(answer, skip_special_tokens=True).strip())
    return texts


def measure(
    name: str, questions: Sequence[Question], root: Path, options: argparse.Namespace
) -> dict[str, Any]:
    count, batch, new_tokens = DEFAULTS.get(name, DEFAULTS["llava-50m"])
    count, batch = options.questions or count, options.batch or batch
    new_tokens = options.new_tokens or new_tokens
    if count > len(questions):
        raise SystemExit(f"--questions {count}: there are {len(questions)}")
    loaded = load(name, options.device, options.dtype)
    drawn = random.Random(0).sample(list(questions), count)
    requests = [Request(question.question, root / question.image) for question in drawn]
    contenders: dict[str, Callable[..., list[str]]] = {"batched": batched, "one_by_one": one_by_one}
    seconds: dict[str, list[float]] = {side: [] for side in contenders}
    texts: dict[str, list[str]] = {}
    for answer in contenders.values():  # warm up
        answer(loaded, requests[: min(2, count)], 2, batch)
    for _ in range(options.rounds):
        for side, answer in contenders.items():
            start = time.perf_counter()
            texts[side] = answer(loaded, requests, new_tokens, batch)
            seconds[side].append(time.perf_counter() - start)
    rates = {side: count / statistics.median(taken) for side, taken in seconds.items()}
    return {
        "model": name,
        "parameters": sum(parameter.numel() for parameter in loaded.model.parameters()),
        "questions": count,
        "batch": batch,
        "new_tokens": new_tokens,
        "responses_per_second": rates,
        "ratio": rates["batched"] / rates["one_by_one"],
        "same_texts": sum(a == b for a, b in zip(*texts.values(), strict=True)),
        "seconds": seconds,
    }


def main(argv: Sequence[str] | None = None) -> None:
    options = parse(argv)
    logging.disable_progress_bar()
    cases = []
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        build_questions(root, train=1, test=max(options.questions or 0, 64))
        questions = [q for q in read_records(root / "questions.jsonl", Question) if q.split == "test"]
        for name in options.models:
            case = measure(name, questions, root, options)
            cases.append(case)
            rates = case["responses_per_second"]
            print(
                f"{name} ({case['parameters'] / 1e6:.1f} M parameters), {case['questions']} questions, batch "
                f"{case['batch']}: {rates['batched']:.2f} responses a second, one by one "
                f"{rates['one_by_one']:.2f}: {case['ratio']:.2f} times as many; "
                f"{case['same_texts']} of {case['questions']} texts are the same",
                flush=True,
            )
    about = {"device": options.device, "versions": package_versions(), "machine": hardware()}
    print(json.dumps({"ratios": {case["model"]: case["ratio"] for case in cases}, "cases": cases} | about))


def parse(argv: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        description=(__doc__ or "").partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    add = parser.add_argument
    shapes = [name for name in SHAPES if name.startswith("llava")]
    add("--models", nargs="+", choices=[TINY, *shapes], default=[TINY, "llava-50m"])
    add("--questions", type=_positive, help="64 for tiny_vlm and 16 for the others unless given")
    add("--batch", type=_positive, help="rows a batch; 32 and 8 unless given")
    add("--new-tokens", type=_positive, help="at most, in a response; 32 and 24 unless given")
    add("--rounds", type=_positive, default=3, help="rounds of each side")
    add("--device", default="cpu")
    add("--dtype", choices=["float32", "bfloat16"], default="float32", help="of random weights")
    return parser.parse_args(argv)


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return value


if __name__ == "__main__":
    sys.exit(main())
