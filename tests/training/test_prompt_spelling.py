"""Training, audit and generation spell a prompt in one way: what is trained on is what is asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from test_zoo_processors import CASES, word_tokenizer
from tokenizers.processors import TemplateProcessing
from transformers import ProcessorMixin
from zoo import BOS

from align.models.generation import Request, prepare, prompt_text
from align.models.loading import load_model
from align.records import Pair
from align.training.collating import Collator
from align.training.data import measure_rows, row_texts
from align.training.placeholders import process_prompt

# In the manner of LLaVA-NeXT; a space between words, which is all that the stand-in tokenizer splits at.
TEMPLATE = (
    "{% for message in messages %}{{ 'w7 ' if message['role'] == 'user' else 'w8 ' }}"
    "{% for part in message['content'] %}{{ '<image> ' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'w8 ' }}{% endif %}"
)


def llava_next(*, begins: bool = False, template: str = TEMPLATE) -> ProcessorMixin:
    """`begins`: the tokenizer puts a token at the beginning, as Llama's do."""
    tokenizer, _ = word_tokenizer(CASES["llava_next"])
    if begins:
        start = TemplateProcessing(single="<bos> $A", special_tokens=[("<bos>", BOS)])
        tokenizer.backend_tokenizer.post_processor = start
    processor = CASES["llava_next"].make(tokenizer)
    processor.chat_template = template
    return processor


PROCESSORS = {
    "tiny_vlm": lambda: load_model("tiny_vlm", device="cpu").processor,
    "llava_next": llava_next,
    "the tokenizer begins": lambda: llava_next(begins=True),
    "both begin": lambda: llava_next(begins=True, template="<bos> " + TEMPLATE),
}


@pytest.fixture(scope="module", params=PROCESSORS)
def processor(request: pytest.FixtureRequest) -> ProcessorMixin:
    made: ProcessorMixin = PROCESSORS[request.param]()
    return made


@pytest.mark.parametrize("seen", [True, False], ids=["image", "no image"])
def test_a_prompt_is_spelt_alike_everywhere(processor: ProcessorMixin, seen: bool, tmp_path: Path) -> None:
    prompt, loaded = "w5 w6 what is it ?", SimpleNamespace(processor=processor)
    picture = Image.effect_noise((50, 64), 90).convert("RGB")
    picture.save(tmp_path / "a.png")
    row = Pair(
        question_id="q",
        images=("a.png",) if seen else (),
        prompt=prompt,
        chosen="w9",
        rejected="w10",
        kind="refuse",
        chosen_source="t",
        rejected_source="t",
    )
    trained, sides = row_texts(row, processor)
    assert prompt in trained
    assert ("<image>" in trained) is seen
    request = Request(prompt, tmp_path / "a.png" if seen else None)
    given: Any = loaded
    assert prompt_text(given, prompt, seen) == trained
    ((_, asked, _),) = prepare(given, [request]).batches
    audited = process_prompt(processor, prompt, [picture] if seen else [])
    collator = Collator(processor, tmp_path, "llava_next")
    fed = collator._process([trained], [[picture]] if seen else None)["input_ids"]
    assert asked["input_ids"].tolist() == audited["input_ids"].tolist() == fed.tolist()
    row_ids = fed[0].tolist()
    begins = processor.tokenizer("w5")["input_ids"][0] == BOS
    assert row_ids.count(BOS) == begins
    assert not begins or row_ids[0] == BOS
    longest = max(len(ids) for ids in processor.tokenizer(sides, add_special_tokens=False)["input_ids"])
    assert measure_rows([row], tmp_path, processor).tokens == [len(row_ids) + longest]
