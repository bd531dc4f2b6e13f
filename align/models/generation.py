"""Batched generation with vision-language models.

Rows of similar length share a batch and are padded on the left, images are decoded and processed in the
background while the model runs, and each row draws its own random numbers, so that what a row says does
not hang on which other rows it was batched with (up to the rounding of batched matrix products).
"""

from __future__ import annotations

import hashlib
import io
import warnings
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from copy import deepcopy
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch
from PIL import Image, ImageOps
from transformers import LogitsProcessorList

from align.models.loading import LoadedModel, dtype_of
from align.models.seeded_sampling import SeededSampling
from align.models.special_tokens import adds_special_tokens
from align.models.token_logprobs import generate_with_logprobs

# `generate` itself asks for what transformers has given another name.
warnings.filterwarnings("ignore", message="`is_gradient_checkpointing` is deprecated", category=FutureWarning)


@dataclass(frozen=True)
class Request:
    """A question about one image, or about none.

    `image` is a file or the bytes of one. `key` tells apart requests that are otherwise alike, such as
    the samples that are drawn from one question; requests that are alike in one call of `generate` are
    told apart by their order.
    """

    question: str
    image: Path | bytes | None = None
    key: str = ""


@dataclass(frozen=True)
class Generation:
    """What the model said, or why it said nothing: exactly one of `text` and `error` is given.

    `input_tokens` counts the prompt with its image tokens, `output_tokens` what was generated, the end
    token included. `truncated`: `max_new_tokens` came before the end token did. `logprob` is the sum of the
    natural-log probabilities of the `output_tokens` under the model at temperature 1, whatever way they were
    chosen; null where `Decoding.logprobs` is off. Two are equal whose texts and counts are.
    """

    text: str | None
    error: str | None = None
    input_tokens: int = 0
    output_tokens: int = 0
    truncated: bool = False
    logprob: float | None = field(default=None, compare=False)  # it changes with how rows are batched


@dataclass(frozen=True)
class Decoding:
    """How to decode. `temperature` 0 is greedy, and then `top_p` must be 1 and `seed` is not used.

    `logprobs` adds up what each response's tokens are worth; it changes no token.
    """

    max_new_tokens: int
    temperature: float = 0.0
    top_p: float = 1.0
    seed: int = 0
    logprobs: bool = True

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise ValueError(f"max_new_tokens is {self.max_new_tokens}: it must be at least 1")
        if self.temperature < 0:
            raise ValueError(f"temperature is {self.temperature}: it must be 0 (greedy) or above")
        if not 0 < self.top_p <= 1:
            raise ValueError(f"top_p is {self.top_p}: it must be above 0 and at most 1 (off)")
        if self.temperature == 0 and self.top_p < 1:
            raise ValueError(
                f"top_p={self.top_p} does nothing at temperature 0: set a temperature or leave it 1"
            )


@dataclass
class Prepared:
    """Rows that are ready for the model, and those that cannot be made ready.

    `batches` are the places of rows in `requests` with the processor's output for them (`input_ids`
    `[B, T]`, left-padded) and the seed of each row; `errors` maps the place of a bad row to what is
    wrong with it. `seed` is what the rows' seeds were made from.
    """

    requests: Sequence[Request]
    seed: int
    batches: list[tuple[list[int], dict[str, torch.Tensor], list[int]]] = field(default_factory=list)
    errors: dict[int, str] = field(default_factory=dict)


def generate(
    loaded: LoadedModel,
    requests: Sequence[Request],
    *,
    max_new_tokens: int,
    temperature: float = 0.0,
    top_p: float = 1.0,
    seed: int = 0,
    batch_size: int,
    progress: Callable[[int], Any] | None = None,
) -> list[Generation]:
    """Answer all requests, in their order.

    Args:
        batch_size: rows a batch; one that does not fit the accelerator's memory is split.
        progress: called with the number of rows that were finished since its last call.

    A row whose image cannot be read gets an `error`. Raises `ValueError` for impossible settings, and
    whatever the model itself raises.
    """
    decoding = Decoding(max_new_tokens, temperature, top_p, seed)
    if batch_size < 1:
        raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
    requests = _tell_apart(requests)
    order = sorted(range(len(requests)), key=lambda i: (requests[i].image is None, len(requests[i].question)))
    chunks = [order[start : start + batch_size] for start in range(0, len(order), batch_size)]
    results: dict[int, Generation] = {}
    with ThreadPoolExecutor(1, "prepare") as pool:
        prepare_chunk = lambda chunk: prepare(loaded, [requests[i] for i in chunk], seed=seed)  # noqa: E731
        for chunk, prepared in _one_ahead(pool, prepare_chunk, chunks):
            for place, generation in run(loaded, prepared, decoding).items():
                results[chunk[place]] = generation
            if progress is not None:
                progress(len(chunk))
    return [results[i] for i in range(len(requests))]


def prepare(loaded: LoadedModel, requests: Sequence[Request], *, seed: int = 0) -> Prepared:
    """Decode the images and run the processor: all the work that needs no accelerator.

    Rows with an image and rows without one come in separate batches, because not every processor takes
    both at once.
    """
    prepared = Prepared(requests, seed)
    images: dict[int, Image.Image | None] = {}
    seeds: dict[int, int] = {}
    with ThreadPoolExecutor(min(8, max(1, len(requests))), "decode") as pool:
        for place, opened in enumerate(pool.map(_open, requests)):
            if isinstance(opened, str):
                prepared.errors[place] = opened
            else:
                images[place], digest = opened
                seeds[place] = _row_seed(seed, requests[place], digest)
    for with_image in (True, False):
        places = [place for place, image in images.items() if (image is not None) == with_image]
        for group, inputs in _process(loaded, requests, images, places, prepared.errors):
            prepared.batches.append((group, inputs, [seeds[place] for place in group]))
    return prepared


@torch.inference_mode()
def run(loaded: LoadedModel, prepared: Prepared, decoding: Decoding) -> dict[int, Generation]:
    """Generate for prepared rows. Returns place -> generation, bad rows included.

    A batch that does not fit the accelerator's memory is halved until it does; a single row that does not
    raises `torch.OutOfMemoryError`.
    """
    results = {place: Generation(None, error) for place, error in prepared.errors.items()}
    for places, inputs, seeds in prepared.batches:
        try:
            generations = _run_batch(loaded, inputs, seeds, decoding)
        except torch.OutOfMemoryError:
            if len(places) == 1:
                raise
            torch.cuda.empty_cache()
            generations = _run_halves(
                loaded, [prepared.requests[place] for place in places], prepared.seed, decoding
            )
        results.update(zip(places, generations, strict=True))
    return results


def _run_halves(
    loaded: LoadedModel, requests: Sequence[Request], seed: int, decoding: Decoding
) -> list[Generation]:
    # The processor runs again: for some families its output can't be cut into rows.
    generations: list[Generation] = []
    half = len(requests) // 2
    for part in (requests[:half], requests[half:]):
        results = run(loaded, prepare(loaded, part, seed=seed), decoding)
        generations += [results[place] for place in range(len(part))]
    return generations


def to_device(loaded: LoadedModel, inputs: dict[str, torch.Tensor]) -> dict[str, torch.Tensor]:
    """The processor's output on the model's device, pixels in its dtype (processors give float32)."""
    dtype = dtype_of(loaded.model)
    return {
        name: value.to(loaded.device, dtype if value.is_floating_point() else None)
        for name, value in inputs.items()
    }


def prompt_text(loaded: LoadedModel, question: str, with_image: bool) -> str:
    """The chat template filled in: the image before the question, and the start of the answer."""
    content: list[dict[str, str]] = [{"type": "image"}] if with_image else []
    content.append({"type": "text", "text": question})
    messages: Any = [{"role": "user", "content": content}]  # transformers' annotation has no parts
    text: str = loaded.processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


# --- One batch -----------------------------------------------------------------------------------------


def _run_batch(
    loaded: LoadedModel, inputs: dict[str, torch.Tensor], seeds: list[int], decoding: Decoding
) -> list[Generation]:
    rows = len(seeds)
    on_device = to_device(loaded, inputs)
    config = _generation_config(loaded, decoding)
    processors = LogitsProcessorList()
    if decoding.temperature > 0:
        processors.append(SeededSampling(decoding.temperature, decoding.top_p, seeds, loaded.device))
    eos = torch.tensor(config.eos_token_id).flatten()
    arguments: dict[str, Any] = {**on_device, "generation_config": config, "logits_processor": processors}
    logprobs: list[float] | list[None] = [None] * rows
    if decoding.logprobs:
        sequences, logprobs = generate_with_logprobs(loaded.model, eos, **arguments)
    else:
        model: Any = loaded.model  # a module's attributes are typed as tensors
        sequences = model.generate(**arguments)
    prompt = inputs["input_ids"].shape[1]
    answers = sequences[:, prompt:].cpu()  # [B, new]
    texts = loaded.processor.batch_decode(answers, skip_special_tokens=True)
    ends = torch.isin(answers, eos)  # [B, new]
    generations = []
    for row in range(rows):
        ended = bool(ends[row].any())
        generations.append(
            Generation(
                text=texts[row].strip(),
                input_tokens=int(inputs["attention_mask"][row].sum()),
                output_tokens=int(ends[row].int().argmax()) + 1 if ended else answers.shape[1],
                truncated=not ended,
                logprob=logprobs[row],
            )
        )
    return generations


def _generation_config(loaded: LoadedModel, decoding: Decoding) -> Any:
    """The model's own settings (end tokens, penalties) with our way of choosing a token.

    Sampling is argmax over noisy scores (see `SeededSampling`), so the sampler of `transformers`,
    which draws one random stream for the whole batch, stays off.
    """
    config = deepcopy(loaded.model.generation_config)
    tokenizer = loaded.processor.tokenizer
    config.do_sample, config.num_beams = False, 1
    config.temperature = config.top_p = config.top_k = config.max_length = None
    config.max_new_tokens = decoding.max_new_tokens
    if config.eos_token_id is None:
        config.eos_token_id = tokenizer.eos_token_id
    if config.pad_token_id is None:
        config.pad_token_id = (
            tokenizer.pad_token_id if tokenizer.pad_token_id is not None else tokenizer.eos_token_id
        )
    return config


# --- From requests to tensors --------------------------------------------------------------------------


def _tell_apart(requests: Sequence[Request]) -> list[Request]:
    seen: Counter[Request] = Counter()
    apart = []
    for request in requests:
        count = seen[request]
        seen[request] += 1
        apart.append(
            request if not count else Request(request.question, request.image, f"{request.key}#{count}")
        )
    return apart


def _row_seed(seed: int, request: Request, image_digest: str) -> int:
    text = "\x1f".join((str(seed), request.question, image_digest, request.key))
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:7], "big")


def _open(request: Request) -> tuple[Image.Image | None, str] | str:
    """(RGB image or None, digest of its file), or what is wrong with it."""
    if request.image is None:
        return None, ""
    name = str(request.image) if isinstance(request.image, Path) else "image"
    try:
        data = request.image.read_bytes() if isinstance(request.image, Path) else request.image
        with Image.open(io.BytesIO(data)) as image:
            image.load()
            # As in training: RGB, and upright after its EXIF orientation.
            picture = (ImageOps.exif_transpose(image) or image).convert("RGB")
    except FileNotFoundError:
        return f"{name}: no such file"
    except Exception as error:  # a decoder raises whatever its parsing of a corrupt file trips over
        return f"{name}: cannot be decoded ({type(error).__name__}: {error})"
    return picture, hashlib.sha256(data).hexdigest()


def _process(
    loaded: LoadedModel,
    requests: Sequence[Request],
    images: dict[int, Image.Image | None],
    places: list[int],
    errors: dict[int, str],
) -> Iterator[tuple[list[int], dict[str, torch.Tensor]]]:
    """Run the processor; where it fails, halve the batch until the row that it fails on stands alone."""
    if not places:
        return
    with_image = images[places[0]] is not None
    arguments: dict[str, Any] = {
        "text": [prompt_text(loaded, requests[place].question, with_image) for place in places]
    }
    if with_image:
        arguments["images"] = [[images[place]] for place in places]
    try:
        encoded = loaded.processor(
            **arguments,
            padding=True,
            padding_side="left",
            add_special_tokens=adds_special_tokens(loaded.processor, arguments["text"][0]),
            return_tensors="pt",
        )
    except Exception as error:  # e.g. an aspect ratio that one family's image processor refuses
        if len(places) == 1:
            errors[places[0]] = f"the processor refuses this row ({type(error).__name__}: {error})"
            return
        half = len(places) // 2
        yield from _process(loaded, requests, images, places[:half], errors)
        yield from _process(loaded, requests, images, places[half:], errors)
        return
    yield places, dict(encoded)


def _one_ahead(
    pool: ThreadPoolExecutor, function: Callable[[Any], Any], items: Sequence[Any]
) -> Iterator[tuple[Any, Any]]:
    """(item, function(item)) in order, computing the next one while the caller works on this one."""
    waiting: Future[Any] | None = pool.submit(function, items[0]) if items else None
    for place, item in enumerate(items):
        assert waiting is not None
        value = waiting.result()
        if place + 1 < len(items):
            waiting = pool.submit(function, items[place + 1])
        yield item, value
