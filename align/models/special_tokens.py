"""Does the tokenizer add its special tokens to a prompt, or has the chat template put them there?"""

from __future__ import annotations

from typing import Any

from transformers import ProcessorMixin


def adds_special_tokens(processor: ProcessorMixin, prompt: str) -> bool:
    """`add_special_tokens` for a prompt that the processor's chat template wrote.

    False where the template has put the beginning-of-sequence token (Gemma 3, Mllama), or it would stand
    there twice; true where it has not (LLaVA 1.5), or the model would never see it. The rule of transformers'
    own `apply_chat_template(tokenize=True)`, so training, audit and generation spell a prompt as all do.
    """
    tokenizer: Any = processor.tokenizer
    return tokenizer.bos_token is None or not prompt.startswith(tokenizer.bos_token)
