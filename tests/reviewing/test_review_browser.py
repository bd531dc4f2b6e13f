"""The page in a real Chromium, by keyboard; the program as a user starts it, and killed on the way."""

import json
import os
import random
import re
import subprocess
import sys

import pytest
from PIL import Image
from review_driver import (
    CONTRAST,
    ROOT,
    chosen,
    enter,
    fully_rated,
    on_next,
    saved,
    text_of,
    type_keys,
    until,
)

from align.records import Question, Response, Verdict, read_records, write_records
from align.reviewing import scales
from align.reviewing.settling import NotKept

pytestmark = pytest.mark.program

HOSTILE = (
    "<script>document.title='owned'</script></textarea><img src=x onerror=\"document.title='owned'\">"
    " \u202egnp.exe\u202c " + "W" * 3000 + " end"
)


@pytest.fixture
def data(tmp_path, questions, responses):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    Image.new("RGB", (64, 48), (200, 30, 30)).save(folder / "images" / "a.jpg")
    Image.new("RGB", (48, 64), (30, 30, 200)).save(folder / "images" / "b.png")
    write_records(folder / "questions.jsonl", questions)
    rows = [*responses, Response(question_id="q4", model="m<b>3", text=HOSTILE)]
    write_records(folder / "responses.jsonl", rows)
    return folder


def test_a_review_from_the_first_key_to_the_exports(browser, serve):
    server = serve("questions", "second_pass=0.5")
    context = browser.new_context()
    page = enter(context, server, "ana")

    # Four keys rate a question and lead to the next.
    first = text_of(page)
    type_keys(page, "321a")
    on_next(page, first)
    saved(page)
    assert page.inner_text("#done") == "1"
    # Undo, several steps: the decision, then two ratings; and again what was undone.
    second = text_of(page)
    type_keys(page, "uuu")
    on_next(page, second)
    assert text_of(page) == first
    until(page, "document.querySelectorAll('#dock button.chosen').length === 1")
    saved(page)
    assert chosen(page) == ["3"]
    type_keys(page, "23a")
    on_next(page, first)

    # The server dies in the middle. What is decided now waits in the browser, also when the tab is closed.
    assert text_of(page) == second
    saved(page)
    server.kill()
    type_keys(page, "12")
    page.wait_for_selector("#saved.trouble")
    assert "2 not saved" in page.inner_text("#saved")
    page.close()
    assert 'rationality":1' not in (server.out / "reviews.jsonl").read_text()
    server.start()
    page = enter(context, server, "ana")
    saved(page)
    assert text_of(page) == second
    assert chosen(page) == ["1", "2"]

    # It dies again, and the page that stays open goes on by itself when the server is back.
    server.kill()
    type_keys(page, "3u")  # an undo, too, needs no server
    until(page, "document.querySelectorAll('#dock button.chosen').length === 2")
    assert chosen(page) == ["1", "2"]
    type_keys(page, "3r")
    page.wait_for_selector("#dialog[open]")
    page.keyboard.press("4")
    on_next(page, second)
    page.wait_for_selector("#saved.trouble")
    server.start()
    saved(page)
    assert fully_rated(server, "ana") == 3  # an acceptance that was undone, another one, a rejection
    ids = [event["id"] for event in server.events()]
    assert len(ids) == len(set(ids))

    # A fix, by keyboard.
    third = text_of(page)
    type_keys(page, "333f")
    page.wait_for_selector("#dialog[open]")
    page.keyboard.press("Control+A")
    page.keyboard.type("Is this in other words?")
    page.keyboard.press("Control+Enter")
    on_next(page, third)
    # Rating after deciding is as good.
    fourth = text_of(page)
    type_keys(page, "a222")
    page.wait_for_selector("text=All done, once")
    saved(page)

    # The blind second pass shows nothing of the first.
    page.keyboard.press("p")
    page.wait_for_selector("#second-mark:not([hidden])")
    assert page.inner_text("#total") == " of 2"
    for _ in range(2):
        assert chosen(page) == []
        shown = text_of(page)
        type_keys(page, "333a")
        on_next(page, shown)
    page.wait_for_selector("text=The second pass is done")

    # Somebody else, with an order of their own and none of the first one's ratings.
    other = enter(browser.new_context(), server, "ben")
    for _ in range(4):
        assert chosen(other) == []
        shown = text_of(other)
        type_keys(other, "322a")
        on_next(other, shown)
    saved(other)
    other.keyboard.press("i")
    other.wait_for_selector("#dialog.agreement[open] tbody")
    cells = other.eval_on_selector_all(
        "#dialog tbody tr", "rows => rows.map(row => [...row.cells].map(cell => cell.innerText))"
    )
    assert ["kept", "4", "75.0 %", "0.00", "", "0.00"] in cells
    assert any(row[0] == "ana: decision" and row[1] == "2" for row in cells)
    assert page.errors == other.errors == []
    server.stop()

    reviewed = {q.metadata["review"].get("before", {}).get("id", q.id): q for q in
                read_records(server.out / "questions.reviewed.jsonl", Question)}  # fmt: skip
    disputed = read_records(server.out / "questions.disputed.jsonl", NotKept)
    by_text = {q.question: q.id for q in read_records(server.folder / "questions.jsonl", Question)}
    assert {row.question.id for row in disputed} == {by_text[second], by_text[third]}
    assert set(reviewed) == {by_text[first], by_text[fourth]}
    assert reviewed[by_text[first]].metadata["review"]["ratings"] == {
        "rationality": 3.0, "novelty": 2.0, "diversity": 2.5,
    }  # fmt: skip
    opinions = {
        o.annotator: o for row in disputed for o in row.opinions if row.question.id == by_text[second]
    }
    assert opinions["ana"].note == "Unclear or ungrammatical"
    fixes = [o.fix for row in disputed for o in row.opinions if o.fix]
    assert fixes == [{"question": "Is this in other words?"}]
    report = json.loads((server.out / "review.json").read_text())
    assert report["agreement"]["self"]["ana"]["decision"]["n"] == 2
    assert (server.out / "run.json").exists()


def test_the_page_folds_decisions_as_the_server_does(browser, serve):
    """The page goes on before the server answers, by rules.js; both must come to the same state."""
    page = browser.new_page()
    page.goto(serve("questions").url)
    rng = random.Random(3)
    choices = {
        "questions": [
            {"rationality": 1}, {"rationality": None}, {"novelty": 2}, {"diversity": 3},
            {"decision": "accept"}, {"decision": "reject", "note": "why"},
            {"decision": "fix", "fix": {"question": "x"}}, {"decision": None},
        ],
        "responses": [
            {"refused": True}, {"refused": False}, {"refused": None}, {"rationality": 3}, {"helpfulness": 9},
            {"helpfulness": None}, {"unjudged": "why"}, {"unjudged": None},
        ],
    }  # fmt: skip
    cases = []
    for mode in ("questions", "responses"):
        for _ in range(150):
            steps = [rng.choice(choices[mode]) for _ in range(rng.randint(1, 8))]
            state = {}
            for step in steps:
                state = scales.fold(mode, state, step)
            names = [{"name": scale.name} for scale in scales.SCALES[mode]]
            cases.append([mode, names, steps, state, scales.complete(mode, state)])
    theirs = page.evaluate(
        """async (cases) => {
          const { fold, complete } = await import('/page/rules.js');
          return cases.map(([mode, scales, steps]) => {
            const state = steps.reduce((state, step) => fold(mode, state, step), {});
            return [state, complete(mode, scales, state)];
          });
        }""",
        cases,
    )
    assert theirs == [[state, done] for *_, state, done in cases]
    assert {done for *_, done in cases} == {True, False}


def test_responses_are_judged_by_keyboard_and_hostile_text_stays_text(browser, serve):
    server = serve("responses")
    page = enter(browser.new_context(viewport={"width": 390, "height": 844}), server, "ana")
    for number in range(4):
        shown = page.inner_text(".response.judged")
        if shown.startswith("<script>"):
            assert "</textarea><img src=x onerror=" in shown
            marks = page.eval_on_selector_all(".hidden-mark", "found => found.map(one => one.innerText)")
            assert marks == ["U+202E", "U+202C"]
            assert page.locator("#content script, #content textarea, #content .response img").count() == 0
        # Nothing is wider than the screen, also with 3,000 letters in one word.
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        if number == 0:
            type_keys(page, "y")
            page.wait_for_selector(".row.active[data-scale=rationality]")
            type_keys(page, "90")
        elif number == 1:
            type_keys(page, "n5")
        elif number == 2:
            type_keys(page, "x")
            page.wait_for_selector("#dialog[open]")
            type_keys(page, "o")
            page.keyboard.type("It is in a language that I can't read")
            page.keyboard.press("Enter")
        else:
            type_keys(page, "y4n2")  # changed one's mind: the rationality goes with the refusal
        on_next(page, shown, ".response.judged")
    page.wait_for_selector("text=All done, once")
    saved(page)
    assert page.title() == "Judging responses"
    assert page.errors == []
    server.stop()
    rows = read_records(server.out / "verdicts.human.jsonl", Verdict)
    assert sorted((str(v.refused), v.rationality, v.helpfulness) for v in rows) == [
        ("False", None, 2), ("False", None, 5), ("None", None, None), ("True", 9, 10),
    ]  # fmt: skip
    assert [v.error for v in rows if v.refused is None] == [
        "not judged: It is in a language that I can't read"
    ]
    assert {v.judge for v in rows} == {"human:ana"}


def test_nothing_is_cut_off_on_a_phone_and_all_is_legible_in_light_and_dark(browser, serve):
    server = serve("questions")
    for scheme in ("light", "dark"):
        context = browser.new_context(
            viewport={"width": 360, "height": 740}, color_scheme=scheme, has_touch=True, is_mobile=True
        )
        page = enter(context, server, scheme)
        assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
        first = text_of(page)
        page.tap("#dock [data-scale=rationality] button[data-value='3']")
        page.tap("#dock [data-scale=novelty] button[data-value='2']")
        page.tap("#dock [data-scale=diversity] button[data-value='1']")
        page.tap("#dock .accept")
        on_next(page, first)
        page.tap("#undo")
        until(page, "first => document.getElementById('question').innerText === first", first)
        saved(page)
        assert chosen(page) == ["3", "2", "1"]
        page.tap("#dock .reject")
        page.wait_for_selector("#dialog[open]")
        page.tap("#dialog .reasons li:nth-child(1) button")
        on_next(page, first)
        assert "null" not in page.inner_text("#item")
        page.tap("#open-agreement")
        page.wait_for_selector("#dialog.agreement[open] tbody")
        assert "null" not in page.inner_text("#dialog")
        names = page.eval_on_selector_all("#dialog tbody th", "found => found.map(one => one.offsetHeight)")
        assert max(names) < 40, "a row's name is broken into letters"
        page.keyboard.press("Escape")
        page.keyboard.press("?")
        page.wait_for_selector("#dialog.keys[open]")
        page.keyboard.press("Escape")
        page.wait_for_selector("#dialog", state="hidden")
        # Text against its background, by WCAG: 4.5 for small text.
        pairs = page.evaluate(CONTRAST)
        assert min(pairs.values()) >= 4.5, (scheme, pairs)
        assert page.errors == []


def test_the_program_says_what_is_wrong_and_can_export_alone(data):
    def run(*overrides):
        command = [
            sys.executable,
            str(ROOT / "data_prep" / "review_questions.py"),
            f"folder={data}",
            *overrides,
        ]
        environment = os.environ | {"PYTHONPATH": str(ROOT), "COLUMNS": "200"}
        return subprocess.run(
            command, cwd=data, env=environment, capture_output=True, text=True, timeout=300, check=False
        )

    result = run(f"root={data / 'images'}", "serve=false")
    assert result.returncode == 0, result.stdout + result.stderr
    out = data / "runs" / "review" / "questions"
    assert {path.name for path in out.iterdir()} >= {"review.json", "run.json", "questions.reviewed.jsonl"}
    result = run(f"root={data}", "serve=false")
    assert result.returncode == 1
    assert re.search(r"image 'a.jpg' is no file in .*: is `root` right", result.stdout + result.stderr)
    result = run(f"root={data / 'images'}", "mode=responses", "serve=false")
    assert "needs responses=FILE" in result.stdout + result.stderr
    rows = read_records(data / "questions.jsonl", Question)
    write_records(data / "fewer.jsonl", [q for q in rows if q.id != "q3"])
    fewer = [f"root={data / 'images'}", "mode=responses", f"responses={data / 'responses.jsonl'}"]
    fewer += [f"questions={data / 'fewer.jsonl'}", "serve=false"]
    result = run(*fewer)
    assert result.returncode == 1
    assert "leave_out_others=true leaves out the responses" in result.stdout + result.stderr
    result = run(*fewer, "leave_out_others=true")
    assert result.returncode == 0, result.stdout + result.stderr
    assert "2 of 5 response(s) are to questions that are not in" in result.stdout
