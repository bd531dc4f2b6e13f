"""Training, audit and generation spell a prompt in one way: what is trained on is what is asked."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from PIL import Image
from test_zoo_processors import CASES, word_tokenizer
from transformers import ProcessorMixin

from align.models.generation import Request, prepare, prompt_text
from align.models.loading import load_model
from align.records import Pair
from align.training.data import row_texts
from align.training.placeholders import process_prompt

# In the manner of LLaVA-NeXT; a space between words, which is all that the stand-in tokenizer splits at.
TEMPLATE = (
    "{% for message in messages %}{{ 'w7 ' if message['role'] == 'user' else 'w8 ' }}"
    "{% for part in message['content'] %}{{ '<image> ' if part['type'] == 'image' else part['text'] + ' ' }}"
    "{% endfor %}{% endfor %}{% if add_generation_prompt %}{{ 'w8 ' }}{% endif %}"
)


def llava_next() -> ProcessorMixin:
    tokenizer, _ = word_tokenizer(CASES["llava_next"])
    processor = CASES["llava_next"].make(tokenizer)
    processor.chat_template = TEMPLATE
    return processor


@pytest.fixture(scope="module", params=["tiny_vlm", "llava_next"])
def processor(request: pytest.FixtureRequest) -> ProcessorMixin:
    return load_model("tiny_vlm", device="cpu").processor if request.param == "tiny_vlm" else llava_next()


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
    trained, _ = row_texts(row, processor)
    assert prompt in trained
    assert ("<image>" in trained) is seen
    request = Request(prompt, tmp_path / "a.png" if seen else None)
    given: Any = loaded
    assert prompt_text(given, prompt, seen) == trained
    ((_, asked, _),) = prepare(given, [request]).batches
    audited = process_prompt(processor, prompt, [picture] if seen else [])
    images = {"images": [[picture]]} if seen else {}
    fed = processor(
        text=[trained], **images, add_special_tokens=False, return_tensors="pt"
    )  # as collating does
    assert asked["input_ids"].tolist() == audited["input_ids"].tolist() == fed["input_ids"].tolist()
