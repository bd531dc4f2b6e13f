"""Sampling into a file that can be continued. The model is replaced by one that repeats its request."""

from types import SimpleNamespace

import pytest
from PIL import Image

from align.data import sampling
from align.models.generation import Generation
from align.records import DataError, Question, Response, read_records


@pytest.fixture
def world(tmp_path, monkeypatch):
    Image.new("RGB", (4, 4)).save(tmp_path / "a.png")
    asked = []
    fail = set()

    def generate(loaded, requests, *, max_new_tokens, temperature, top_p, seed, batch_size, progress):
        asked.extend((r.question, r.key) for r in requests)
        progress(len(requests))
        return [
            Generation(None, "out of memory")
            if r.question in fail
            else Generation(f"{r.question} {r.key} {seed}")
            for r in requests
        ]

    monkeypatch.setattr(sampling, "generate", generate)
    questions = [
        Question(
            id=f"q{i}",
            image="a.png",
            question=f"Q{i}",
            category="Context_Dependent",
            source="s",
            split="train",
        )
        for i in range(5)
    ]
    out = tmp_path / "out" / "responses.jsonl"

    def sample(some=questions, digest="d", **settings):
        asked.clear()
        loaded = SimpleNamespace(name="m", digest=digest)
        return sampling.sample_responses(loaded, some, tmp_path, out, **settings)

    return SimpleNamespace(sample=sample, out=out, asked=asked, fail=fail, questions=questions)


def rows(world):
    return read_records(world.out, Response)


def test_samples_are_written_with_their_origin(world):
    seen = []
    counts = world.sample(samples=2, seed=7, chunk=3, progress=lambda done, total: seen.append((done, total)))
    assert counts == {
        "asked": 10,
        "already_there": 0,
        "sampled": 10,
        "failed": 0,
        "half_written_lines_removed": 0,
    }
    assert seen[-1] == (10, 10)
    first = rows(world)[0]
    assert (first.question_id, first.model, first.model_digest, first.text) == ("q0", "m", "d", "Q0 0 7")
    assert first.decoding == {"temperature": 1.0, "top_p": 0.95, "max_new_tokens": 256, "seed": 7}
    assert {(r.question_id, r.sample_index) for r in rows(world)} == {
        (f"q{i}", k) for i in range(5) for k in (0, 1)
    }


def test_what_is_there_is_not_sampled_again(world):
    world.sample(world.questions[:3])
    before = world.out.read_bytes()
    counts = world.sample()
    assert world.asked == [("Q3", "0"), ("Q4", "0")]
    assert (counts["already_there"], counts["sampled"]) == (3, 2)
    assert world.out.read_bytes().startswith(before)
    assert world.sample()["sampled"] == 0


def test_other_weights_or_settings_are_other_responses(world):
    world.sample()
    assert world.sample(digest="e")["sampled"] == 5
    assert world.sample(temperature=0.5)["sampled"] == 5
    assert len(rows(world)) == 15


def test_a_half_written_line_is_removed_and_sampled_again(world):
    world.sample()
    whole = world.out.read_bytes()
    world.out.write_bytes(whole[:-30])
    counts = world.sample()
    assert (counts["half_written_lines_removed"], counts["sampled"]) == (1, 1)
    assert world.out.read_bytes() == whole


def test_a_last_line_without_its_end_is_kept(world):
    world.sample()
    world.out.write_bytes(world.out.read_bytes()[:-1])
    counts = world.sample(digest="e")
    assert counts["half_written_lines_removed"] == 0
    assert len(rows(world)) == 10


def test_a_broken_line_in_the_middle_is_an_error_and_the_file_is_left_alone(world):
    world.sample()
    lines = world.out.read_bytes().split(b"\n")
    lines[1] = lines[1][:-30]
    world.out.write_bytes(b"\n".join(lines))
    with pytest.raises(DataError, match=r"responses\.jsonl:2"):
        world.sample()
    assert world.out.read_bytes() == b"\n".join(lines)


def test_failed_calls_are_tried_again_and_replaced(world):
    world.fail.add("Q2")
    assert world.sample()["failed"] == 1
    assert [r.error for r in rows(world) if r.text is None] == ["out of memory"]
    world.fail.clear()
    assert world.sample()["sampled"] == 1
    assert world.asked == [("Q2", "0")]
    assert len(rows(world)) == 5
    assert all(r.error is None for r in rows(world))


def test_what_cannot_be_sampled(world):
    with pytest.raises(ValueError, match="temperature above 0"):
        world.sample(samples=2, temperature=0.0)
    with pytest.raises(ValueError, match="1 or more"):
        world.sample(samples=0)
    with pytest.raises(DataError, match="never training data"):
        world.sample([world.questions[0].model_copy(update={"split": "test"})])
    with pytest.raises(DataError, match=r"'b\.png' is not there: is root= right"):
        world.sample([world.questions[0].model_copy(update={"image": "b.png"})])
    assert not world.out.exists()
