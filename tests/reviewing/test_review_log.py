"""The log under crashes: torn lines, kills, full disks, two servers; and what a replay gives."""

import json
import os
import random
import uuid

import pytest

from align.records import DataError
from align.reviewing import log as log_module
from align.reviewing.events import Event
from align.reviewing.log import EventLog, LogError
from align.reviewing.scales import NotAllowed
from align.reviewing.state import Conflict, Plan, Review


def test_a_replay_gives_the_same_state(play):
    one = play()
    one.rate("ana", "q1", 3, 2, 1)
    one.set("ana", "q3", rationality=2)
    gone = one.set("ana", "q3", novelty=1)
    one.undo("ana", gone)
    one.rate("ben", "q1", 1, 1, 1, "reject", note="The image answers it")
    before = [one.state(who, q) for who in ("ana", "ben") for q in ("q1", "q3")]
    assert before[1] == {"rationality": 2}
    two = one.again()
    assert [two.state(who, q) for who in ("ana", "ben") for q in ("q1", "q3")] == before
    assert two.review.trail("ana", 1) == one.review.trail("ana", 1)
    assert two.review.queue("ana") == one.review.queue("ana")


@pytest.mark.parametrize("seed", range(20))
def test_cut_anywhere_it_holds_what_was_acknowledged(play, tmp_path, seed):
    """A kill leaves any number of bytes of the line that was being written, and all the lines before it."""
    rng = random.Random(seed)
    one = play()
    for number in range(rng.randint(1, 6)):
        one.set("ana", rng.choice(["q1", "q3", "q4"]), rationality=1 + number % 3)
    states = {q: one.state("ana", q) for q in ("q1", "q3", "q4")}
    path = one.log.path
    whole = path.read_bytes()
    last = Event(
        kind="set", id=uuid.uuid4().hex, annotator="ana", item=one.key("q1"),
        digest=one.items[one.key("q1")].digest, fields={"novelty": 3}, made="now",
    )  # fmt: skip
    line = last.model_dump_json(exclude_none=True).encode() + b"\n"
    cut = rng.randint(0, len(line) - 1)
    one.log.close()
    path.write_bytes(whole + line[:cut])

    two = one.again()
    assert two.log.torn == cut
    assert path.read_bytes() == whole
    assert {q: two.state("ana", q) for q in states} == states
    if cut:
        assert path.with_suffix(".torn").read_bytes() == line[:cut] + b"\n"
    two.review.add(last)  # the browser sends it again
    two.review.add(last)
    three = two.again()
    assert three.state("ana", "q1")["novelty"] == 3
    assert path.read_bytes().count(last.id.encode()) == 1


def test_an_event_is_on_the_disk_before_it_is_acknowledged(play, monkeypatch):
    one = play()
    synced = []
    real = os.fsync
    monkeypatch.setattr(
        log_module.os, "fsync", lambda handle: (synced.append(one.log.path.read_bytes()), real(handle))
    )
    event = one.set("ana", "q1", rationality=1)
    assert synced[-1].endswith(b"\n")
    assert event.id.encode() in synced[-1]


def test_a_full_disk_leaves_the_log_whole(play, monkeypatch):
    one = play()
    one.set("ana", "q1", rationality=1)
    before = one.log.path.read_bytes()

    def full(handle):
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(log_module.os, "fsync", full)
        with pytest.raises(LogError, match="is the disk full"):
            one.set("ana", "q1", novelty=2)
    assert one.log.path.read_bytes() == before
    assert one.state("ana", "q1") == {"rationality": 1}
    one.set("ana", "q1", novelty=3)
    assert one.again().state("ana", "q1") == {"rationality": 1, "novelty": 3}


def test_a_bad_line_in_the_middle_stops_and_is_named(play):
    one = play()
    one.set("ana", "q1", rationality=1)
    one.log.close()
    lines = one.log.path.read_bytes().splitlines(keepends=True)
    one.log.path.write_bytes(lines[0] + b'{"kind": "set", "id": "short"}\nnonsense\n' + lines[1])
    with pytest.raises(DataError) as error:
        one.again()
    assert {problem.line for problem in error.value.problems} == {2, 3}


def test_one_server_at_a_time(play):
    one = play()
    with pytest.raises(RuntimeError, match="in use by another review server"):
        EventLog(one.log.path, "questions")


def test_a_log_of_another_mode_or_of_other_questions_is_refused(play, tmp_path):
    one = play()
    one.set("ana", "q1", rationality=1)
    one.log.close()
    with pytest.raises(DataError, match="of questions, not of responses"):
        EventLog(one.log.path, "responses")
    gone = {key: item for key, item in one.items.items() if item.question.id != "q1"}
    with EventLog(one.log.path, "questions") as log, pytest.raises(DataError, match="not in this review"):
        Review(gone, log, Plan())
    changed = one.items | {
        one.key("q1"): type(one.items[one.key("q1")])(**vars(one.items[one.key("q1")]) | {"digest": "other"})
    }
    with EventLog(one.log.path, "questions") as log, pytest.raises(DataError, match="was changed since"):
        Review(changed, log, Plan())
    (tmp_path / "foreign").mkdir()
    (tmp_path / "foreign" / "reviews.jsonl").write_text('{"id": 1}\n')
    with pytest.raises(DataError, match="no header"):
        EventLog(tmp_path / "foreign" / "reviews.jsonl", "questions")


def test_undo_goes_back_step_by_step_and_only_through_ones_own(play):
    one = play()
    steps = [one.set("ana", "q1", rationality=value) for value in (1, 2, 3)]
    other = one.set("ben", "q1", rationality=1)
    one.undo("ana", steps[2])
    assert one.state("ana", "q1") == {"rationality": 2}
    one.undo("ana", steps[1])
    one.undo("ana", steps[0])
    assert one.state("ana", "q1") == {}
    assert one.review.trail("ana", 1) == []
    assert one.review.annotators == ["ben"]
    with pytest.raises(Conflict, match="taken back already"):
        one.undo("ana", steps[0])
    with pytest.raises(NotAllowed, match="one's own"):
        one.undo("ana", other)
    assert one.again().state("ana", "q1") == {}


def test_an_id_with_another_content_is_a_conflict(play):
    one = play()
    event = one.set("ana", "q1", rationality=1)
    with pytest.raises(Conflict, match="another content"):
        one.set("ana", "q1", rationality=2, id=event.id)
    rows = [json.loads(line) for line in one.log.path.read_text().splitlines()]
    assert len(rows) == 2
