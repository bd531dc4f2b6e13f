"""Inspect's way to a `transformers` vision model with a PEFT adapter.

    inspect eval align/miniworld --model align/tiny_vlm -M adapter=runs/dpo/adapter --max-connections 512

After `align/` comes any reference that `align.models.loading.load_model` takes. Model arguments (`-M`):
`adapter`, `batch_size`, `dtype`, `device`, `attn_implementation`, `trust_remote_code`, `revision`,
`parts`, `quantization`, `max_pixels`.
"""

from __future__ import annotations

import asyncio
import base64
from collections.abc import Mapping, Sequence

from inspect_ai.model import (
    ChatCompletionChoice,
    ChatMessage,
    ChatMessageAssistant,
    ContentImage,
    ContentText,
    GenerateConfig,
    ModelAPI,
    ModelInfo,
    ModelOutput,
    ModelUsage,
    set_model_info,
)
from inspect_ai.tool import ToolChoice, ToolInfo

from align.evaluation.adapter_check import require_active_adapter, warn_of_idle_parts
from align.evaluation.batching import WAITING_BATCHES, Batcher
from align.evaluation.response_logprob import LOGPROB, TOKENS
from align.evaluation.wrapping import current_epoch
from align.models.generation import Decoding, Request
from align.models.loading import load_model

MAX_NEW_TOKENS = 512
_UNSUPPORTED = (
    "top_k",
    "stop_seqs",
    "best_of",
    "frequency_penalty",
    "presence_penalty",
    "logit_bias",
    "top_logprobs",
    "response_schema",
    "batch",
)


class RowError(Exception):
    """One row has no response: its image cannot be read, or the processor refuses it."""


class AlignAPI(ModelAPI):
    """`transformers` vision model, batched over the samples that Inspect runs at once.

    Decoding: `max_tokens`, `temperature` (none or 0 is greedy), `top_p`, `seed`. Settings that would
    change the text and aren't supported are refused. One user message with at most one image. With
    `logprobs`, `response_logprob` reads the log-probability of a response from its output.
    """

    def __init__(
        self,
        model_name: str,
        base_url: str | None = None,
        api_key: str | None = None,
        config: GenerateConfig = GenerateConfig(),  # noqa: B008 - Inspect's own signature
        *,
        adapter: str | None = None,
        batch_size: int = 32,
        dtype: str = "auto",
        device: str = "auto",
        attn_implementation: str | None = None,
        trust_remote_code: bool = False,
        revision: str | None = None,
        parts: Mapping[str, Sequence[str]] | None = None,
        quantization: str | None = None,
        max_pixels: int | None = None,
    ) -> None:
        super().__init__(model_name, base_url, api_key, [], config)
        if base_url is not None:
            raise ValueError(f"align/{model_name} runs in this process: it has no base_url ({base_url!r})")
        if batch_size < 1:
            raise ValueError(f"batch_size is {batch_size}: it must be at least 1")
        self.loaded = load_model(
            model_name,
            adapter,
            dtype=dtype,
            device=device,
            attn_implementation=attn_implementation,
            trust_remote_code=trust_remote_code,
            revision=revision,
            parts=parts,
            quantization=quantization,
            max_pixels=max_pixels,
        )
        if adapter is not None:
            require_active_adapter(self.loaded)
            warn_of_idle_parts(self.loaded, parts)
        # Inspect asks for a model's context length; where none is known it makes a second instance of the
        # provider to ask, which would load the weights a second time.
        text_config = self.loaded.model.config.get_text_config()
        context = getattr(text_config, "max_position_embeddings", None)
        set_model_info(f"align/{model_name}", ModelInfo(model=model_name, context_length=context))
        self._batch_size = batch_size
        self._batcher = Batcher(self.loaded, batch_size)

    async def generate(
        self,
        input: list[ChatMessage],
        tools: list[ToolInfo],
        tool_choice: ToolChoice,
        config: GenerateConfig,
    ) -> ModelOutput:
        if tools:
            raise ValueError(f"align/{self.model_name} doesn't support tools")
        request = to_request(input, epoch=current_epoch())
        generation = await asyncio.wrap_future(self._batcher.submit(request, to_decoding(config)))
        if generation.text is None:
            raise RowError(generation.error)
        logprob = generation.logprob
        return ModelOutput(
            model=self.model_name,
            metadata=None if logprob is None else {LOGPROB: logprob, TOKENS: generation.output_tokens},
            choices=[
                ChatCompletionChoice(
                    message=ChatMessageAssistant(
                        content=generation.text, model=self.model_name, source="generate"
                    ),
                    stop_reason="max_tokens" if generation.truncated else "stop",
                )
            ],
            usage=ModelUsage(
                input_tokens=generation.input_tokens,
                output_tokens=generation.output_tokens,
                total_tokens=generation.input_tokens + generation.output_tokens,
            ),
        )

    def max_connections(self) -> int:
        return WAITING_BATCHES * self._batch_size

    def max_tokens(self) -> int:
        return MAX_NEW_TOKENS

    def close(self) -> None:
        self._batcher.close()


def to_decoding(config: GenerateConfig) -> Decoding:
    """Inspect's generation settings as ours. Raises `ValueError` that names the unsupported ones."""
    given = [name for name in _UNSUPPORTED if getattr(config, name, None) not in (None, False)]
    if config.num_choices not in (None, 1):
        given.append("num_choices")
    if given:
        raise ValueError(f"the align provider doesn't support {', '.join(given)}: leave it out")
    return Decoding(
        max_new_tokens=config.max_tokens or MAX_NEW_TOKENS,
        temperature=config.temperature or 0.0,
        top_p=1.0 if config.top_p is None else config.top_p,
        seed=config.seed or 0,
        logprobs=bool(config.logprobs),
    )


def to_request(messages: list[ChatMessage], epoch: int = 1) -> Request:
    """One user message with text and at most one inline image. Raises `ValueError` for anything else."""
    if len(messages) != 1 or messages[0].role != "user":
        roles = ", ".join(message.role for message in messages)
        raise ValueError(f"the align provider takes one user message, not: {roles or 'none'}")
    content = messages[0].content
    parts = [ContentText(text=content)] if isinstance(content, str) else content
    texts = [part.text for part in parts if isinstance(part, ContentText)]
    images = [part.image for part in parts if isinstance(part, ContentImage)]
    others = [part.type for part in parts if not isinstance(part, ContentText | ContentImage)]
    if others or len(images) > 1:
        found = ", ".join([f"{len(images)} images", *others])
        raise ValueError(f"the align provider takes text and at most one image in a message, not: {found}")
    image = base64.b64decode(images[0].partition(",")[2]) if images else None
    # Samples of one question are told apart by their epoch, or at one seed they would all be the same.
    return Request("\n".join(texts), image, key="" if epoch == 1 else f"epoch {epoch}")
