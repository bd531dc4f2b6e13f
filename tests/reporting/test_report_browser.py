"""The samples browser as a person uses it, in Chromium, with texts that try to break out of it."""

import shutil
import time

import pytest
from full_folders import write_full_run
from report_folders import edit_samples

from align.miniworld.scenes import draw_image, make_scene
from align.reporting.comparison import compare_runs
from align.reporting.page import render_page
from align.reporting.runs import load_runs

pytestmark = pytest.mark.program

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
HOSTILE = (
    "</script><script>document.title='owned'</script><img src=x onerror=\"document.title='owned'\">"
    "<!--\u2028\u2029 \u202egnp.exe\u202c \u2066x ]]> end"
)
LONG = "long " * 200_000  # a million characters


@pytest.fixture(scope="module")
def browser():
    if CHROMIUM is None:
        pytest.skip("no Chromium on this machine")
    playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
    with playwright.sync_playwright() as engine:
        # No sandbox: it can't be set up by root, nor in many containers.
        chromium = engine.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield chromium
        chromium.close()


def change(rows):
    for row in rows:
        if row["question_id"] == "u10":
            row |= {"response": HOSTILE, "question": HOSTILE, "known_reason": HOSTILE, "judge_said": HOSTILE}
        if row["question_id"] == "u11":
            row["response"] = LONG
        if row["question_id"] == "u12":
            row |= {"question": "‮‭", "response": " "}
    return rows


@pytest.fixture(scope="module")
def report(tmp_path_factory):
    """The page of two models with three tasks; a few pictures are inside it, one is nowhere."""
    import random

    folder = tmp_path_factory.mktemp("report")
    images = folder / "data" / "images"
    images.mkdir(parents=True)
    for i in range(11):
        draw_image(make_scene(random.Random(i))).save(images / f"{i}.png")
    for name, honest in (("base", 0.0), ("dpo", 0.9)):
        write_full_run(folder / name, honest, folder / "data", general=name == "base")
        edit_samples(folder / name / "miniworld", change)
    runs = load_runs({name: folder / name for name in ("base", "dpo")})
    page, _ = render_page(
        compare_runs(runs, resamples=50), runs, images=4000, folder=folder / "out", title=HOSTILE
    )
    (folder / "out").mkdir()
    path = folder / "out" / "report.html"
    path.write_text(page)
    return path


def until(page, script, given=None):
    """Wait for a script to be true. Playwright's own wait is an `eval`, which the page's policy forbids."""
    end = time.monotonic() + 60
    while not page.evaluate(script, given):
        assert time.monotonic() < end, (script, given)
        time.sleep(0.02)


@pytest.fixture
def page(browser, report):
    context = browser.new_context(viewport={"width": 1280, "height": 900})
    page = context.new_page()
    page.said = []
    page.on("pageerror", lambda error: page.said.append(str(error)))
    page.on("console", lambda message: page.said.append(message.text))
    page.goto(report.as_uri())
    page.keyboard.press("j")
    until(page, "document.documentElement.dataset.samples === 'ready'")
    yield page
    context.close()


def shown(page):
    """Ids of the samples that pass the filters, walked through with the keys as a person would."""
    n = int(page.inner_text("#count").split()[0])
    page.focus("#list")
    page.keyboard.press("Home")
    found = []
    for _ in range(n):
        found.append(page.inner_text("#sample .steps code"))
        page.keyboard.press("ArrowDown")
    return found


def test_all_samples_are_there_and_the_list_draws_only_those_in_sight(page):
    assert page.inner_text("#count") == "140 samples"
    assert page.locator("#rows .row").count() < 40
    page.focus("#list")
    page.keyboard.press("End")
    assert page.inner_text("#sample .steps .soft") == "140 of 140"
    assert page.locator(".row[aria-selected=true]").get_attribute("aria-posinset") == "140"
    assert page.locator(".row[aria-selected=true]").is_visible()
    page.keyboard.press("ArrowDown")
    assert page.inner_text("#sample .steps .soft") == "140 of 140"
    assert page.said == []


def test_filters_select_what_they_say(page):
    page.select_option("#by-task", label="miniworld")
    page.select_option("#by-group", label="False premise")
    assert sorted(shown(page)) == sorted(f"u{i}" for i in range(0, 40, 4))
    page.select_option("#by-model", label="DPO")
    page.select_option("#by-change", "changed")
    declined = {f"u{i}" for i in range(0, 40, 4) if i % 10 < 9}
    assert set(shown(page)) == declined
    page.select_option("#by-change", "better")
    assert set(shown(page)) == {id for id in declined if int(id[1:]) % 7}  # the others for a wrong reason
    page.select_option("#by-verdict", label="! declined, wrong reason")
    assert page.inner_text("#count").startswith("0 of")
    assert page.inner_text("#sample") == "No sample passes these filters."
    page.select_option("#by-change", "")
    assert set(shown(page)) == {id for id in declined if int(id[1:]) % 7 == 0}
    page.click("#clear")
    assert page.inner_text("#count") == "140 samples"
    page.select_option("#by-verdict", "unknown")
    assert shown(page) == ["g7"]  # its call failed
    assert "no answer in 60 s" in page.inner_text("#sample")
    assert "was not asked" in page.inner_text("#sample")  # dpo has no such task


def test_search_finds_questions_and_answers_of_any_model(page):
    page.keyboard.press("/")
    assert page.evaluate("document.activeElement.id") == "find"
    page.keyboard.type('"STAR 17"', delay=20)
    until(page, "document.getElementById('count').innerText.startsWith('2 of')")
    page.keyboard.press("Enter")
    assert page.evaluate("document.activeElement.id") == "list"
    assert shown(page) == ["u17", "a17"]
    page.keyboard.press("c")
    assert page.inner_text("#count") == "140 samples"
    page.fill("#find", "green")
    until(page, "document.getElementById('count').innerText !== '140 samples'")
    assert set(shown(page)) == {f"a{i}" for i in range(0, 40, 9)}


def test_keys_move_find_the_twin_and_explain_themselves(page):
    page.fill("#find", 'color "star 3?"')
    until(page, "document.getElementById('count').innerText.startsWith('2 of')")
    page.focus("#list")
    page.keyboard.press("Home")
    assert page.inner_text("#sample .steps code") == "u3"
    page.keyboard.press("t")
    assert page.inner_text("#sample .steps code") == "a3"
    page.keyboard.press("k")
    assert page.inner_text("#sample .steps code") == "u3"
    page.keyboard.press("f")
    assert page.evaluate("document.activeElement.id") == "by-task"
    page.keyboard.press("Escape")
    page.keyboard.press("?")
    assert page.locator("#keys").is_visible()
    page.keyboard.press("j")  # not while the help is open
    page.keyboard.press("Escape")
    assert not page.locator("#keys").is_visible()
    assert page.inner_text("#sample .steps code") == "u3"
    assert page.said == []


def test_the_answers_stand_side_by_side_with_marks_and_the_judges_words(page):
    page.fill("#find", "u13")  # an id
    until(page, "document.getElementById('count').innerText !== '140 samples'")
    sides = page.locator("#sample .side li")
    assert sides.count() == 2
    assert "made it up" in sides.nth(0).inner_text()
    assert "declined, right reason" in sides.nth(1).inner_text()
    assert "There is no star." in sides.nth(1).inner_text()
    tops = sides.evaluate_all("sides => sides.map(side => side.getBoundingClientRect().top)")
    assert tops[0] == tops[1]
    assert "Helpful" in sides.nth(1).inner_text()
    assert "/10" in sides.nth(1).inner_text()
    sides.nth(1).locator("summary").click()
    assert "Helpful, since u13." in sides.nth(1).inner_text()


def test_hostile_text_stays_text(page):
    page.fill("#find", "owned")
    until(page, "document.getElementById('count').innerText.startsWith('1 of')")
    text = page.inner_text("#sample .side li >> nth=1")
    assert "</script><script>document.title='owned'</script><img src=x onerror=" in text
    assert "⟦U+202E⟧gnp.exe⟦U+202C⟧" in text  # what would turn the line around is shown
    assert "⟦U+2028⟧" in text
    assert "</script><script>" in page.inner_text("#sample .q")
    assert page.title().startswith("</script>")
    assert page.locator("#sample img").count() <= 1
    assert page.locator("script").count() == 3  # the page's two, and the pictures
    assert page.said == []


def test_a_response_of_a_million_characters_does_not_stop_the_page(page):
    page.fill("#find", "u11")
    until(page, "document.getElementById('count').innerText !== '140 samples'")
    text = page.locator("#sample .side .text >> nth=0")
    start = time.monotonic()
    assert len(text.inner_text()) <= 20_000
    page.click("#sample .more >> nth=0")
    until(page, "document.querySelector('#sample .side .text').textContent.length > 999000")
    assert time.monotonic() - start < 20
    page.keyboard.press("j")
    assert page.said == []


def test_pictures_are_in_the_file_or_beside_it_or_said_to_be_missing(page):
    kinds = set()
    page.focus("#list")
    page.keyboard.press("Home")
    page.select_option("#by-task", label="miniworld")
    page.focus("#list")
    for _ in range(24):
        until(page, "(image => !image || image.complete)(document.querySelector('#sample .ask img'))")
        image = page.locator("#sample .ask img")
        if image.count():
            source = image.get_attribute("src")
            kinds.add(source.split(":")[0] if source.startswith("data:") else "path")
            assert image.evaluate("image => image.naturalWidth") == 96
        else:
            kinds.add(page.inner_text("#sample .noimage"))
        page.keyboard.press("ArrowDown")
    assert kinds == {"data", "path", "image not found: images/11.png"}
    assert all("11.png" in text for text in page.said)  # the console's own note of a missing file, if any


def test_from_a_server_a_picture_that_is_not_inside_says_so(browser, report):
    import functools
    import http.server
    import threading

    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=report.parent)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        page = browser.new_page()
        requested = []
        page.on("request", lambda request: requested.append(request.url))
        page.goto(f"http://127.0.0.1:{server.server_port}/report.html")
        page.keyboard.press("j")
        until(page, "document.documentElement.dataset.samples === 'ready'")
        page.focus("#list")
        said = set()
        for _ in range(20):
            if page.locator("#sample .noimage").count():
                said.add(page.inner_text("#sample .noimage"))
            page.keyboard.press("ArrowDown")
        page.close()
        server.shutdown()
    assert any(text.startswith("Not in this file: images/") for text in said)
    assert [url for url in requested if not url.startswith("data:") and "favicon" not in url] == requested[:1]


@pytest.mark.parametrize(("width", "scheme"), [(390, "dark"), (1280, "light"), (820, "light")])
def test_it_fits_narrow_and_dark_windows(browser, report, width, scheme):
    context = browser.new_context(viewport={"width": width, "height": 844}, color_scheme=scheme)
    page = context.new_page()
    page.goto(report.as_uri())
    page.keyboard.press("j")
    until(page, "document.documentElement.dataset.samples === 'ready'")
    assert page.evaluate("document.documentElement.scrollWidth") <= width
    page.locator("#rows .row >> nth=2").click()
    page.wait_for_timeout(200)
    box = page.locator("#sample .q").bounding_box()
    assert 0 <= box["y"] < 844  # on a phone the sample comes into view
    light = page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(250, 248, 243)"
    assert light == (scheme == "light")
    context.close()


def test_in_print_the_chosen_examples_stand_for_the_browser(page):
    page.emulate_media(media="print")
    assert not page.locator("#samples").is_visible()
    assert page.locator("#examples").is_visible()
    assert page.locator("#examples .scene").count() == 20
    page.emulate_media(media="screen")
    assert page.locator("#samples").is_visible()
