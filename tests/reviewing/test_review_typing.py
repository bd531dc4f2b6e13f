"""Fast typists: no key is lost, and none goes to another question, whatever the server does meanwhile."""

import random

import pytest
from PIL import Image
from review_driver import chosen, enter, saved, type_keys, until

from align.records import Question, write_records
from align.reviewing.scales import SCALES, fold

pytestmark = pytest.mark.program

ITEMS = 10
RATINGS = [scale.name for scale in SCALES["questions"]]
TROUBLE = """() => {
  // What the page sees of a server that is slow (`delay`, ms), answers 500 (`fail` times) or is `down`.
  const real = window.fetch.bind(window);
  window.trouble = { delay: 0, fail: 0, down: false };
  window.fetch = async (...given) => {
    await new Promise((resolve) => setTimeout(resolve, window.trouble.delay));
    if (window.trouble.down) throw new TypeError('no such server');
    if (window.trouble.fail-- > 0) return new Response('{"error": "out of order"}', { status: 500 });
    return real(...given);
  };
}"""
WATCH = """() => {
  // Whether anything chosen is in the document at any moment of the second pass, before its first key.
  window.stale = [];
  window.keys = 0;
  addEventListener('keydown', (event) => { window.keys += /[0-9]/.test(event.key); }, true);
  const look = () => {
    const blind = !document.getElementById('second-mark').hidden;
    const found = document.querySelectorAll('#dock .chosen, #content .mended, #dock .note');
    if (blind && !window.keys && found.length) window.stale.push(document.getElementById('item').innerText);
  };
  new MutationObserver(look).observe(document, { subtree: true, childList: true, attributes: true });
}"""


@pytest.fixture
def data(tmp_path):
    folder = tmp_path / "data"
    (folder / "images").mkdir(parents=True)
    rows = []
    for number in range(ITEMS):
        Image.new("RGB", (64, 48), (20 * number, 30, 30)).save(folder / "images" / f"{number}.png")
        rows.append(
            Question(
                id=f"q{number}",
                image=f"{number}.png",
                question=f"Why {number}?",
                category="False_Premises",
                reason="It is not so.",
                source="test",
            )
        )
    write_records(folder / "questions.jsonl", rows)
    (folder / "responses.jsonl").write_text("")
    return folder


def judgments(server, who, round=1):
    """What the server has of an annotator, items in the order in which they were begun, undos applied."""
    events = [event for event in server.events() if event["annotator"] == who and event["round"] == round]
    undone = {event.get("undoes") for event in events}
    states = {}
    for event in events:
        if event["kind"] == "set" and event["id"] not in undone:
            states[event["item"]] = fold("questions", states.get(event["item"], {}), event["fields"])
    return [
        ([state.get(name) for name in RATINGS], state.get("decision"), state.get("note"))
        for state in states.values()
    ]


def burst(seed, items):
    """Keys for some items, with a decision taken back now and then, and what should come of them."""
    rng, keys, wanted = random.Random(seed), [], []
    for _ in range(items):
        ratings = [rng.randint(1, 3) for _ in RATINGS]
        if rng.random() < 0.3:
            keys += [str(4 - ratings[0]), "u"]
        keys += map(str, ratings)
        if rng.random() < 0.3:
            keys += ["r", "4"]
            wanted.append((ratings, "reject", "Unclear or ungrammatical"))
        else:
            keys.append("a")
            wanted.append((ratings, "accept", None))
    return keys, wanted


def troubled(browser, **trouble):
    context = browser.new_context()
    context.add_init_script(f"({TROUBLE})()")
    context.add_init_script(f"addEventListener('DOMContentLoaded', {WATCH})")
    return context


def test_keys_without_a_pause_reach_the_items_that_they_were_meant_for(browser, serve):
    server = serve("questions", "second_pass=0.3")
    for who, trouble in {
        "ana": {},
        "ben": {"delay": 50, "fail": 3},
        "cleo": {"down": True},
    }.items():
        page = enter(troubled(browser), server, who)
        page.evaluate("trouble => Object.assign(window.trouble, trouble)", trouble)
        first, wanted = burst(who, ITEMS)
        second, again = burst(who + "'s second pass", 3)
        type_keys(page, [*first, "p", *second])
        if trouble.get("down"):
            page.wait_for_selector("text=will be taken when it is here")
            assert judgments(server, who) == []
            page.evaluate("window.trouble.down = false")
        page.wait_for_selector("text=The second pass is done")
        saved(page)
        assert judgments(server, who) == wanted, who
        assert judgments(server, who, round=2) == again, who
        assert page.errors == []
        page.context.close()


def test_keys_come_to_dialogs_that_were_not_open_yet(browser, serve):
    server = serve("questions")
    page = troubled(browser).new_page()
    page.goto(server.url)
    page.evaluate("window.trouble.delay = 300")
    page.fill("#name", "ana")
    # The queue is still to come, and the first item.
    type_keys(page, ["Enter", *"333f", "Control+a", *"So 1?", "Backspace", " ", "2", "Control+Enter"])
    type_keys(page, [*"111r", "Tab", "Enter", *"222r", "o", *"my words", "Enter", *"123a"])
    until(page, "document.getElementById('done').innerText === '4'")
    saved(page)
    assert judgments(server, "ana") == [
        ([3, 3, 3], "fix", None),
        ([1, 1, 1], "reject", "The image answers it"),
        ([2, 2, 2], "reject", "my words"),
        ([1, 2, 3], "accept", None),
    ]
    assert [event["fields"]["fix"] for event in server.events() if event["fields"].get("fix")] == [
        {"question": "So 1 2"}
    ]


def test_what_waits_can_be_dropped_and_a_click_is_only_for_what_one_saw(browser, serve):
    server = serve("questions")
    context, pictures = troubled(browser), []

    def only_the_first(route):
        pictures.append(route)
        if len(pictures) == 1:
            route.continue_()

    context.route("**/image/**", only_the_first)
    page = enter(context, server, "ana")
    source = "() => { const image = document.getElementById('image'); return [image.currentSrc, image.src]; }"
    until(page, "() => document.getElementById('image').naturalWidth === 64")
    type_keys(page, "333")
    page.evaluate("for (let n = 0; n < 2; n++) document.querySelector('#dock .accept').click()")
    page.wait_for_selector("text=not taken")
    assert chosen(page) == []
    # The picture of the item before is not shown with this question, however long the next one takes.
    seen, wanted = page.evaluate(source)
    assert wanted.startswith(server.url)
    assert seen in ("", wanted)
    context.unroute("**/image/**")  # lets them go
    until(page, "() => document.getElementById('image').naturalWidth === 64")
    type_keys(page, "333")
    page.locator("#dock .accept").dblclick()
    until(page, "document.getElementById('done').innerText === '2'")
    assert chosen(page) == []

    # Keys for an item that does not come can be dropped; all that was decided before is kept.
    page.evaluate("window.trouble.down = true")
    type_keys(page, "333a" * 5 + "222")  # one more than are fetched ahead
    page.wait_for_selector("text=3 keys that you pressed will be taken")
    type_keys(page, ["Escape"])
    page.evaluate("window.trouble.down = false")
    page.wait_for_selector("#item:not([hidden])")
    assert chosen(page) == []
    saved(page)
    assert judgments(server, "ana") == [([3, 3, 3], "accept", None)] * 7

    # What was decided before the page was opened anew is taken back without waiting for the server's word.
    page.close()
    page = enter(context, server, "ana")
    page.evaluate("window.trouble.delay = 300")
    type_keys(page, "uu1a")
    until(page, "document.getElementById('done').innerText === '7'")
    saved(page)
    assert judgments(server, "ana")[-1] == ([3, 3, 1], "accept", None)
    assert page.errors == []


def test_the_second_pass_shows_nothing_of_the_first_even_for_a_moment(browser, serve):
    server = serve("questions", "second_pass=0.3")
    page = enter(troubled(browser), server, "ana")
    type_keys(page, "333a" * ITEMS)
    page.wait_for_selector("text=All done, once")
    page.evaluate("window.keys = 0; window.trouble.delay = 200")
    for _ in range(2):
        type_keys(page, "p")
        page.wait_for_selector("#second-mark:not([hidden])")
        page.wait_for_selector("#dock .row")
        type_keys(page, "p")  # back, where one sees what one said
        page.wait_for_selector("#dock .chosen")
    assert page.evaluate("window.stale") == []
    assert page.errors == []
