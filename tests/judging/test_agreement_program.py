"""evaluate/judge_agreement.py as a user runs it."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from stand_in import Fault, text_of

from align.records import Verdict, digest_of_text, read_records, write_records

pytestmark = pytest.mark.program

ROOT = Path(__file__).parents[2]
LABELLED = Path(__file__).parent / "labelled_responses.jsonl"


def run(folder, *overrides):
    return subprocess.run(
        [sys.executable, str(ROOT / "evaluate" / "judge_agreement.py"), f"out={folder / 'out'}", *overrides],
        cwd=folder,
        env=os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"},
        capture_output=True,
        text=True,
        timeout=600,
    )


def report(folder):
    return json.loads((folder / "out" / "agreement.json").read_text())


def test_the_rules_on_the_labelled_responses(tmp_path):
    """The figures of tests/judging/measure_rules.py, and those of the categories."""
    result = run(tmp_path, f"labels={LABELLED}", "judge=rules", "by=[half,category]", "resamples=200")
    assert result.returncode == 0, result.stdout + result.stderr
    found = report(tmp_path)["against_reference"]["rules"]["refused"]
    held_out = found["half=held_out"]
    assert (held_out["n"], held_out["unscored"]) == (320, 0)
    assert round(held_out["recall"], 3) == 0.769
    assert [round(end, 3) for end in held_out["recall_interval"]] == [0.698, 0.827]
    assert round(held_out["precision"], 3) == 0.953
    assert [round(end, 3) for end in held_out["precision_interval"]] == [0.902, 0.979]
    assert held_out["clusters"] == 40  # questions
    assert sum(g["n"] for name, g in found.items() if name.startswith("category=")) == 640
    assert len(read_records(tmp_path / "out" / "verdicts.jsonl", Verdict)) == 640
    markdown = (tmp_path / "out" / "agreement.md").read_text()
    assert "0.769 \\[0.698, 0.827\\]" in markdown
    table = result.stdout[result.stdout.index("rules against") : result.stdout.index("which way")]
    assert max(map(len, table.splitlines())) <= 80
    assert {"0.769", "[0.698,", "0.827]"} <= set(table.split())
    assert set(json.loads((tmp_path / "out" / "run.json").read_text())["inputs"]) == {"labels", "judge rules"}


def test_files_of_verdicts(tmp_path):
    """A review's export against what two judges said, and one judge's two files against each other."""

    def verdicts(judge, values, digest=None):
        return [
            Verdict(
                question_id=f"q{i}", model="m", text_digest=digest_of_text(str(i)), judge=judge,
                judge_digest=digest, refused=value, error="no reply" if value is None else None,
            )
            for i, value in enumerate(values)
        ]  # fmt: skip

    yes, no = True, False
    people = [*verdicts("human:ana", [yes, yes, no, no]), *verdicts("human:ben", [yes, no, no, no])]
    write_records(tmp_path / "verdicts.human.jsonl", people)
    write_records(tmp_path / "old.jsonl", verdicts("paper", [yes, yes, None, no], "1"))
    write_records(tmp_path / "new.jsonl", verdicts("paper", [yes, no, no, no], "2"))
    result = run(
        tmp_path, "labels=verdicts.human.jsonl", "verdicts={old: old.jsonl, new: new.jsonl}", "resamples=200"
    )
    assert result.returncode == 0, result.stdout + result.stderr
    found = report(tmp_path)
    assert found["reference"] == "people"
    old = found["against_reference"]["old"]["refused"]["all"]
    assert (old["labelled"], old["n"], old["unscored"], old["agreement"]) == (3, 2, 1, 1.0)  # q1: a tie
    assert found["matrix"]["refused"]["raters"] == ["human:ana", "human:ben", "old", "new"]
    assert "Krippendorff" in result.stdout
    # The same judge twice, without names
    clash = run(tmp_path, "verdicts=[old.jsonl,new.jsonl]")
    assert clash.returncode == 1
    assert "verdicts='{old: FILE, new: FILE}'" in clash.stderr
    alone = run(tmp_path, "labels=verdicts.human.jsonl", "judge=rules")
    assert alone.returncode == 1
    assert "give questions=FILE and responses=FILE" in alone.stderr


def test_a_model_judges_labelled_responses_again_and_again(tmp_path, stand_in):
    """Its agreement, what it says when asked again, and what that took; a fault is unscored."""

    def answer(request, n):
        text = text_of(request)
        tag, label = re.search(r'\{"id": "(\w+)", "reason": .*?, "(\w+)": <', text).groups()
        quoted = text.split(f"BEGIN QUOTED {tag} -----\n")[1]
        if "| Hm." in quoted:
            return Fault.empty()
        said = {"refused": "can't" in quoted, "score": 6 + n % 2}[label]  # another mark each time
        return json.dumps({"id": tag, "reason": "r", label: said})

    rows = [
        ("I can't tell.", True, 4),
        ("A dog.", False, None),
        ("Not shown.", True, 8),
        ("Hm.", False, None),
    ]
    common = {"category": "Context_Dependent"}
    labels = [
        common | {"question": f"Why {i}?", "response": text, "refused": yes, "rationality": mark}
        for i, (text, yes, mark) in enumerate(rows)
    ]
    (tmp_path / "labels.jsonl").write_text("".join(json.dumps(row) + "\n" for row in labels))
    server = stand_in(answer)
    judge = (
        "labels=labels.jsonl",
        "judge=local",
        "endpoint@judge.endpoint=openai_compatible",
        "judge.endpoint.model=openai-api/stand-in/judge",
        f"judge.endpoint.base_url={server.base_url}",
        "judge.endpoint.backoff=0.01",
        "judge.endpoint.attempts=2",
        "judge.endpoint.price={input: 1000, output: 1000}",
        "judge.asks.helpfulness=null",
        "judge.asks.correctness=null",
        "passes=2",
        "resamples=200",
    )
    result = run(tmp_path, *judge, "judge.asks.rationality.image=false")
    assert result.returncode == 0, result.stdout + result.stderr
    found = report(tmp_path)
    ours = found["against_reference"]["openai-api/stand-in/judge"]
    refused = ours["refused"]["all"]
    assert (refused["labelled"], refused["n"], refused["unscored"]) == (4, 3, 1)
    assert refused["agreement"] == pytest.approx(2 / 3)
    assert (ours["rationality"]["all"]["n"], ours["rationality"]["all"]["not_asked"]) == (1, 1)
    again = found["consistency"]
    assert again["passes"] == 2
    assert "refusal at temperature 0" in again["decoding"]
    assert (again["by"]["refused"]["same"], again["by"]["rationality"]["same"]) == (1.0, 0.0)
    (used,) = found["used"].values()
    assert used["dollars"] > 0
    assert used["input_tokens"] > 0
    assert "against itself in 2 passes" in result.stdout
