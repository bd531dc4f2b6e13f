"""The layout of rows with several completions, and the head that sees only what is scored."""

import pytest
import torch
from zoo import join, specimen

from align.training import completions
from align.training.attention import attention_mask, why_not_shared
from align.training.completions import completion_logps, token_logps
from align.training.sequences import PADDING, PROMPT, build_sequences, packed


def two_rows(left: bool = False) -> dict[str, torch.Tensor]:
    """Prompts of three and two tokens."""
    short = [0, 8, 9] if left else [8, 9, 0]
    return {
        "input_ids": torch.tensor([[5, 6, 7], short]),
        "attention_mask": torch.tensor([[1, 1, 1], [int(i != 0) for i in short]]),
        "mm_token_type_ids": torch.tensor([[0, 1, 0], [2 * int(i == 8) for i in short]]),
        "pixel_values": torch.ones(2, 3, 4, 4),
    }


ANSWERS = [[[11, 12], [13]], [[14], [15, 16, 17]]]


@pytest.mark.parametrize("left", [False, True], ids=["right-padded", "left-padded"])
def test_completions_stand_behind_their_prompt(left: bool) -> None:
    batch = build_sequences(two_rows(left), ANSWERS, pad=99)
    assert batch.input_ids.tolist() == [[5, 6, 7, 11, 12, 13], [8, 9, 14, 15, 16, 17]]
    assert batch.segments.tolist() == [[PROMPT] * 3 + [0, 0, 1], [PROMPT] * 2 + [0, 1, 1, 1]]
    assert batch.steps.tolist() == [[0, 1, 2, 3, 4, 3], [0, 1, 2, 2, 3, 4]]
    # A completion's first token is predicted by the prompt's last, the others by the token before.
    places = list(zip(batch.rows.tolist(), batch.columns.tolist(), batch.labels.tolist(), strict=True))
    assert places == [(0, 2, 11), (0, 3, 12), (0, 2, 13), (1, 1, 14), (1, 1, 15), (1, 3, 16), (1, 4, 17)]
    assert batch.owners.tolist() == [0, 0, 1, 2, 3, 3, 3]
    assert batch.completions == 4
    assert batch.inputs["mm_token_type_ids"].tolist() == [[0, 1, 0, 0, 0, 0], [2, 0, 0, 0, 0, 0]]
    assert batch.inputs["pixel_values"].shape == (2, 3, 4, 4)


def test_shorter_rows_are_padded_and_marked() -> None:
    batch = build_sequences(
        two_rows(), [[[11, 12], [13]], [[14]]], pad=99, completion_types={"mm_token_type_ids": 7}
    )
    assert batch.input_ids[1].tolist() == [8, 9, 14, 99, 99, 99]
    assert batch.segments[1].tolist() == [PROMPT, PROMPT, 0, PADDING, PADDING, PADDING]
    assert batch.attention_mask.tolist() == [[1] * 6, [1, 1, 1, 0, 0, 0]]
    assert batch.inputs["mm_token_type_ids"][0].tolist() == [0, 1, 0, 7, 7, 7]


def test_a_completion_sees_the_images_that_its_prompts_end_sees() -> None:
    prompts = two_rows() | {"cross_attention_mask": torch.tensor([[[0], [1], [2]], [[3], [4], [0]]])}
    batch = build_sequences(prompts, ANSWERS, pad=0)
    assert batch.inputs["cross_attention_mask"][..., 0].tolist() == [[0, 1, 2, 2, 2, 2], [3, 4, 4, 4, 4, 4]]
    with pytest.raises(ValueError, match="cannot be packed"):
        packed(batch)


def test_packing_leaves_no_padding_and_keeps_every_place() -> None:
    batch = build_sequences(two_rows(), [[[11, 12], [13]], [[14]]], pad=99)
    flat = packed(batch, multiple=4)
    assert flat.input_ids.tolist() == [[5, 6, 7, 11, 12, 13, 8, 9, 14, 0, 0, 0]]
    assert flat.documents[0, :9].tolist() == [0] * 6 + [1] * 3
    assert flat.segments[0, 9:].tolist() == [PADDING] * 3
    for before, after in zip(
        batch.input_ids[batch.rows, batch.columns], flat.input_ids[flat.rows, flat.columns], strict=True
    ):
        assert before == after
    assert flat.inputs["mm_token_type_ids"].tolist() == [[0, 1, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0]]
    assert flat.inputs["pixel_values"] is batch.inputs["pixel_values"]


def test_a_completion_without_tokens_is_refused() -> None:
    with pytest.raises(ValueError, match="no tokens"):
        build_sequences(two_rows(), [[[11]], [[]]], pad=0)


def test_who_sees_whom() -> None:
    model = specimen("llava").model
    prompts = {key: value[:1] for key, value in two_rows().items() if key != "pixel_values"}
    batch = build_sequences(prompts, [[[11, 12], [13]]], pad=0)
    seen = attention_mask(batch, model)[0, 0].int().tolist()
    assert seen == [
        [1, 0, 0, 0, 0, 0],
        [1, 1, 0, 0, 0, 0],
        [1, 1, 1, 0, 0, 0],
        [1, 1, 1, 1, 0, 0],
        [1, 1, 1, 1, 1, 0],
        [1, 1, 1, 0, 0, 1],  # the second completion does not see the first
    ]


def test_families_that_cannot_share_say_why(monkeypatch: pytest.MonkeyPatch) -> None:
    recurrent = specimen("qwen3_5").model
    assert "carry a state from token to token" in str(why_not_shared(recurrent))
    model = specimen("llava").model
    assert why_not_shared(model) is None
    monkeypatch.setattr(model.config.get_text_config(), "_attn_implementation_internal", "flash_attention_2")
    assert "attn_implementation=flash_attention_2" in str(why_not_shared(model))


@pytest.mark.parametrize("cap", [None, 5.0])
def test_log_probs_in_parts_equal_those_at_once(cap: float | None) -> None:
    torch.manual_seed(0)
    head = torch.nn.Linear(8, 50)
    labels = torch.randint(50, (13,))
    results = []
    for size in (13, 4, 1):
        hidden = torch.randn(13, 8, generator=torch.Generator().manual_seed(1), requires_grad=True)
        logps = token_logps(head, hidden, labels, size=size, cap=cap)
        logits = head(hidden)
        logits = logits if cap is None else torch.tanh(logits / cap) * cap
        torch.testing.assert_close(logps, logits.log_softmax(-1).gather(1, labels[:, None])[:, 0])
        head.zero_grad()
        (logps * torch.arange(13)).sum().backward()
        results.append((hidden.grad, head.weight.grad.clone()))
    for hidden_grad, head_grad in results[1:]:
        torch.testing.assert_close(hidden_grad, results[0][0])
        torch.testing.assert_close(head_grad, results[0][1])


def test_log_probs_do_not_break_where_a_token_is_certain_or_impossible() -> None:
    logits = torch.tensor([[200.0, 0.0, -200.0]]).repeat(2, 1).requires_grad_()
    logps = token_logps(lambda x: x.bfloat16(), logits, torch.tensor([0, 2]), size=2)
    assert logps.dtype == torch.float32
    assert logps.tolist() == [0.0, -400.0]
    logps.sum().backward()
    assert torch.isfinite(logits.grad).all()


def test_the_head_sees_only_the_places_that_are_scored(monkeypatch: pytest.MonkeyPatch) -> None:
    tiny = specimen("llava")
    batch = build_sequences(join(tiny.prompts[:2]), ANSWERS, pad=0)
    head = tiny.model.get_output_embeddings()
    sizes = []
    monkeypatch.setattr(completions, "LOGITS_AT_ONCE", 3 * tiny.model.config.get_text_config().vocab_size)
    monkeypatch.setattr(
        torch.nn.functional, "linear", _counting(torch.nn.functional.linear, head.weight, sizes)
    )
    with torch.no_grad():
        completion_logps(tiny.model, batch, bare=tiny.model, shared=True)
    assert sizes == [3, 3, 1]  # seven tokens, three at a time
    assert "forward" not in vars(head)


def _counting(linear, weight, sizes):  # type: ignore[no-untyped-def]
    def counted(hidden, own, *rest):  # type: ignore[no-untyped-def]
        if own is weight:
            sizes.append(len(hidden))
        return linear(hidden, own, *rest)

    return counted
