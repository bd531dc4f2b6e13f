"""Calls against a server that stands in for a model: what becomes of each, and what is in the journal."""

import json
import threading
from collections import Counter

import pytest
from PIL import Image
from pydantic import BaseModel
from stand_in import Fault, StandIn, images_of, system_of, text_of

from align.calling.asking import open_model
from align.calling.call import Call, Decode, Unusable
from align.calling.endpoint import Endpoint, EndpointError
from align.calling.engine import FAILURES_IN_A_ROW
from align.calling.journal import Journal, JournalBusy
from align.calling.run import estimate_calls, run_calls
from align.records import DataError

DECODE = Decode(20, 0.7, 0.9)


def endpoint(server, **settings):
    given = {"model": "openai-api/stand-in/m", "base_url": server.base_url, "timeout": 60, "backoff": 0.01}
    return Endpoint(**given | settings)


def lines(journal):
    return [json.loads(line) for line in journal.read_text().splitlines()]


@pytest.fixture(scope="module", autouse=True)
def warm(tmp_path_factory):
    # The clients import on their first request, for longer than the shortest time limit below.
    with StandIn() as server:
        journal = tmp_path_factory.mktemp("warm") / "journal.jsonl"
        run_calls([Call("k", "hi")], endpoint(server), DECODE, journal)


@pytest.fixture
def journal(tmp_path):
    return tmp_path / "calls" / "journal.jsonl"


def refuse_apologies(call, text):
    if text.startswith("I'm sorry"):
        raise Unusable("the teacher refuses")


# What goes wrong with the first request of a call -> the line in the journal, the reason that it gives, and
# whether the tokens may have been paid for.
FAULTS = {
    "too many requests": (Fault.status(429, retry_after=1), "error", "RateLimitError", False),
    "server error": (Fault.status(500), "error", "InternalServerError", False),
    "half a JSON": (Fault.half_json(), "error", "JSONDecodeError", True),
    "empty text": (Fault.empty(), "unusable", "an empty text", True),
    "refusal": ("I'm sorry, I can't help with that.", "unusable", "the teacher refuses", True),
    "wrong encoding": (Fault.wrong_encoding(), "error", "UnicodeDecodeError", True),
    "half a character": (Fault.lone_surrogate(), "unusable", "a broken character", True),
    "a proxy's page": (Fault.web_page(), "error", "<html>", True),
    "disconnect": (Fault.disconnect(), "error", "Connection error", True),
    "content filter": (Fault.filtered("Perhaps"), "error", "filter", True),
}


def test_what_each_fault_becomes(stand_in, journal):
    server = stand_in(
        lambda request, n: FAULTS[text_of(request)][0] if n == 0 else f"about {text_of(request)}"
    )
    calls = [Call(name, name) for name in FAULTS]
    report = run_calls(calls, endpoint(server), DECODE, journal, accept=refuse_apologies)
    assert {key: outcome.text for key, outcome in report.outcomes.items()} == {
        name: f"about {name}" for name in FAULTS
    }
    assert report.stopped is None
    written = lines(journal)
    for name, (_, what, why, billed) in FAULTS.items():
        own = [line for line in written if line["key"] == name]
        found = next(line for line in own if "why" in line)
        assert (found["what"], why in found["why"]) == (what, True), (name, found)
        answer = next(line for line in own if line["what"] in ("text", "error"))
        assert (answer["in"] > 0) == billed, name
    first, again = [asked.arrived for asked in server.requests if text_of(asked.body) == "too many requests"]
    assert again - first >= 1, "Retry-After was not kept"


def test_a_stall_ends_with_the_time_limit(stand_in, journal):
    server = stand_in(lambda request, n: Fault.stall(60) if n == 0 else "fine")
    report = run_calls([Call("k", "x")], endpoint(server, timeout=1, attempts=10), DECODE, journal)
    assert report.outcomes["k"].text == "fine"
    error = lines(journal)[1]
    assert (error["what"], error["why"], error["in"] > 0) == ("error", "no answer within 1 s", True)


def test_a_call_that_always_fails_has_an_error_and_is_tried_again_by_the_next_run(stand_in, journal):
    failing = True
    server = stand_in(lambda request, n: Fault.status(500) if failing else "fine")
    settings = endpoint(server, attempts=2)
    report = run_calls([Call("a", "x"), Call("b", "y")], settings, DECODE, journal)
    assert [(o.text, "500" in o.error, o.attempts) for o in report.outcomes.values()] == [(None, True, 2)] * 2
    assert report.counts == {
        "asked": 2, "cached": 0, "finished": 0, "failed": 2, "not_made": 0, "requests": 4,
    }  # fmt: skip
    assert "text" not in {line["what"] for line in lines(journal)}
    failing = False
    report = run_calls([Call("a", "x"), Call("b", "y")], settings, DECODE, journal)
    assert [(o.text, o.attempts, o.cached) for o in report.outcomes.values()] == [("fine", 3, False)] * 2


def test_a_call_that_the_endpoint_calls_bad_is_not_tried_again_in_this_run(stand_in, journal):
    server = stand_in(lambda request, n: Fault.status(400) if text_of(request) == "bad" else "fine")
    calls = [Call(f"bad {k}", "bad") for k in range(30)]
    calls.insert(5, Call("good", "good"))
    report = run_calls(calls, endpoint(server, max_connections=1), DECODE, journal)
    assert {outcome.attempts for outcome in report.outcomes.values()} == {1}
    assert (report.counts["finished"], report.counts["failed"], report.stopped) == (1, 30, None)
    # The next run begins with those that never failed.
    run_calls([*calls, Call("new", "new")], endpoint(server, max_connections=1), DECODE, journal)
    assert text_of(server.bodies[31]) == "new"


def test_an_endpoint_that_calls_every_call_bad_stops_the_run(stand_in, journal):
    server = stand_in(lambda request, n: Fault.status(403))
    report = run_calls([Call(f"{k}", "x") for k in range(50)], endpoint(server), DECODE, journal)
    assert f"{FAILURES_IN_A_ROW} calls in a row had no answer" in report.stopped


@pytest.mark.parametrize("code", [401, 404])
def test_a_wrong_key_or_model_stops_the_run_at_once(stand_in, journal, code):
    server = stand_in(lambda request, n: Fault.status(code))
    calls = [Call(str(k), "x") for k in range(50)]
    report = run_calls(calls, endpoint(server, max_connections=2), DECODE, journal)
    assert len(server.requests) <= 2
    assert report.stopped.startswith("50 call(s) not made: the endpoint refuses every call")
    assert report.outcomes == {}


def test_an_endpoint_that_is_down_stops_the_run(stand_in, journal):
    server = stand_in(lambda request, n: Fault.status(503))
    calls = [Call(str(k), "x") for k in range(50)]
    report = run_calls(calls, endpoint(server, attempts=1, max_connections=2), DECODE, journal)
    assert f"{FAILURES_IN_A_ROW} calls in a row had no answer" in report.stopped
    assert len(server.requests) <= FAILURES_IN_A_ROW + 1
    assert report.counts["not_made"] >= 50 - FAILURES_IN_A_ROW - 1


def test_an_endpoint_that_goes_down_with_the_last_calls_stopped_the_run_too(stand_in, journal):
    server = stand_in(lambda request, n: Fault.status(503))
    calls = [Call(str(k), "x") for k in range(FAILURES_IN_A_ROW)]
    report = run_calls(calls, endpoint(server, attempts=1, max_connections=2), DECODE, journal)
    assert report.counts["not_made"] == 0
    assert report.stopped.startswith(
        f"{FAILURES_IN_A_ROW} call(s) failed: {FAILURES_IN_A_ROW} calls in a row"
    )


def test_a_server_that_is_not_there_costs_nothing(journal):
    nowhere = Endpoint(
        model="openai-api/stand-in/m", base_url="http://127.0.0.1:9/v1", backoff=0.01, attempts=2
    )
    report = run_calls([Call("k", "x")], nowhere, DECODE, journal)
    assert "Connection error" in report.outcomes["k"].error
    assert (report.counts["requests"], report.tokens) == (2, {"input": 0, "output": 0})


def test_outcomes_are_in_the_calls_order_and_progress_counts_them(stand_in, journal):
    server = stand_in(lambda request, n: Fault.stall((7 - int(text_of(request))) * 0.02, text_of(request)))
    seen = []
    report = run_calls(
        [Call(f"k{n}", str(n)) for n in range(8)],
        endpoint(server),
        DECODE,
        journal,
        progress=lambda done, total: seen.append((done, total)),
    )
    assert [o.text for o in report.outcomes.values()] == [str(n) for n in range(8)]
    assert seen == [(n, 8) for n in range(9)]


def test_what_is_asked_is_what_the_call_says(stand_in, journal, tmp_path):
    class Mark(BaseModel):
        mark: int

    Image.new("RGB", (40, 20), "red").save(tmp_path / "a.jpg")
    turned = Image.new("RGB", (40, 20), "blue")
    exif = turned.getexif()
    exif[0x0112] = 6
    turned.save(tmp_path / "turned.jpg", exif=exif)
    server = stand_in(lambda request, n: "7")
    images = (tmp_path / "a.jpg", tmp_path / "turned.jpg")
    calls = [Call("k", "Mark it.", images, system="You judge.", schema=Mark)]
    run_calls(calls, endpoint(server, structured=True), DECODE, journal)
    run_calls(calls, endpoint(server), DECODE, journal.with_name("other"))
    body = server.bodies[0]
    assert (text_of(body), system_of(body)) == ("Mark it.", "You judge.")
    assert (body["temperature"], body["top_p"], body["max_tokens"], body["model"]) == (0.7, 0.9, 20, "m")
    assert body["response_format"]["json_schema"]["schema"]["properties"]["mark"]["type"] == "integer"
    assert "response_format" not in server.bodies[1]
    plain, upright = images_of(body)
    assert plain == images[0].read_bytes()
    (tmp_path / "sent.png").write_bytes(upright)
    with Image.open(tmp_path / "sent.png") as picture:
        assert picture.size == (20, 40), "an endpoint that ignores EXIF would see it lying on its side"


def test_samples_of_one_question_have_seeds_of_their_own_and_so_has_a_text_after_a_refused_one(
    stand_in, journal
):
    server = stand_in(lambda request, n: "" if n == 0 else str(request["seed"]))
    calls = [Call(f"q/{k}", "same") for k in range(3)]
    settings = endpoint(server, max_connections=1)
    report = run_calls(calls, settings, DECODE, journal)
    seeds = [body["seed"] for body in server.bodies]
    assert len(set(seeds)) == 4
    assert [o.text for o in report.outcomes.values()] == [str(seed) for seed in seeds[1:]]
    run_calls(calls, settings, DECODE, journal.with_name("other"), seed=1)
    assert not set(seeds) & {body["seed"] for body in server.bodies[4:]}
    run_calls(calls, endpoint(server, seeds=False), DECODE, journal.with_name("none"))
    assert "seed" not in server.bodies[-1]
    run_calls(calls, endpoint(server), Decode(20, 0.0), journal.with_name("greedy"))
    assert "seed" not in server.bodies[-1]


def test_a_text_that_was_cut_off_is_kept_and_marked_unless_it_must_be_whole(stand_in, journal):
    server = stand_in(lambda request, n: Fault.cut_off("It is a") if n == 0 else "It is a bus.")
    kept = run_calls([Call("k", "x")], endpoint(server), DECODE, journal).outcomes["k"]
    assert (kept.text, kept.truncated) == ("It is a", True)
    whole = run_calls([Call("k", "x")], endpoint(server), DECODE, journal, whole=True).outcomes["k"]
    assert (whole.text, whole.truncated, whole.attempts) == ("It is a bus.", False, 2)


# --- The journal ---------------------------------------------------------------------------------------


def test_only_what_decides_the_answer_makes_a_call_another_one(stand_in, journal, tmp_path):
    image = tmp_path / "a.png"
    Image.new("RGB", (4, 4)).save(image)
    server, moved = stand_in(), stand_in()
    call = Call("k", "x", (image,))
    run_calls([call], endpoint(server), DECODE, journal)
    report = run_calls([call], endpoint(moved, max_connections=2, timeout=9), DECODE, journal)
    assert (report.outcomes["k"].cached, moved.requests) == (True, [])
    others = [
        ([Call("k2", "x", (image,))], endpoint(server), DECODE),
        ([Call("k", "y", (image,))], endpoint(server), DECODE),
        ([Call("k", "x", (image,), system="s")], endpoint(server), DECODE),
        ([call], endpoint(server), Decode(21, 0.7, 0.9)),
        ([call], endpoint(server, revision="2"), DECODE),
        ([call], endpoint(server, model="openai-api/other/m"), DECODE),
    ]
    for other in others:
        assert not next(iter(run_calls(*other, journal).outcomes.values())).cached
    Image.new("RGB", (4, 4), "red").save(image)
    assert not run_calls([call], endpoint(server), DECODE, journal).outcomes["k"].cached
    assert len(server.requests) == 2 + len(others)


def test_a_text_from_the_journal_passes_the_same_check_as_a_new_one(stand_in, journal):
    server = stand_in(lambda request, n: ["I'm sorry.", "A bus."][n])
    assert run_calls([Call("k", "x")], endpoint(server), DECODE, journal).outcomes["k"].text == "I'm sorry."
    strict = run_calls([Call("k", "x")], endpoint(server), DECODE, journal, accept=refuse_apologies)
    assert strict.outcomes["k"].text == "A bus."


def test_a_fault_in_the_check_is_not_a_failed_call_and_loses_no_text(stand_in, journal):
    server = stand_in()

    def broken(call, text):
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        run_calls([Call("k", "x")], endpoint(server), DECODE, journal, accept=broken)
    assert run_calls([Call("k", "x")], endpoint(server), DECODE, journal).outcomes["k"].cached
    assert len(server.requests) == 1


def test_a_torn_last_line_is_recognised_and_another_broken_line_is_named(stand_in, journal):
    server = stand_in()
    calls = [Call("a", "x"), Call("b", "y")]
    run_calls(calls, endpoint(server, max_connections=1), DECODE, journal)
    whole = journal.read_bytes()
    journal.write_bytes(whole[:-20])
    assert estimate_calls(calls, endpoint(server), DECODE, journal).calls == 1
    report = run_calls(calls, endpoint(server), DECODE, journal)
    assert (report.counts["cached"], report.counts["requests"], len(server.requests)) == (1, 1, 3)
    # The line that was written next did not end up behind the torn one.
    assert run_calls(calls, endpoint(server), DECODE, journal).counts["cached"] == 2
    journal.write_bytes(whole.replace(b'{"what": "text"', b'{"what: "text"', 1))
    with pytest.raises(DataError, match=rf"{journal.name}:2: not a line of UTF-8 JSON"):
        run_calls(calls, endpoint(server), DECODE, journal)


def test_two_processes_may_not_write_one_journal(stand_in, journal):
    server = stand_in()
    with Journal(journal), pytest.raises(JournalBusy, match="another process"):
        run_calls([Call("a", "x")], endpoint(server), DECODE, journal)
    assert run_calls([Call("a", "x")], endpoint(server), DECODE, journal).counts["finished"] == 1


def test_a_key_names_one_call_and_a_picture_must_be_there(stand_in, journal, tmp_path):
    server = stand_in()
    with pytest.raises(ValueError, match="several calls have the key 'a'"):
        run_calls([Call("a", "x"), Call("a", "y")], endpoint(server), DECODE, journal)
    with pytest.raises(FileNotFoundError):
        run_calls([Call("a", "x", (tmp_path / "none.png",))], endpoint(server), DECODE, journal)
    assert (server.requests, journal.exists()) == ([], False)


# --- Rate and budget -----------------------------------------------------------------------------------


def test_the_rate_holds_from_the_first_request_on(stand_in, journal):
    server = stand_in()
    calls = [Call(str(k), "x") for k in range(12)]
    run_calls(calls, endpoint(server, requests_per_minute=1200), DECODE, journal)
    arrived = [asked.arrived for asked in server.requests]
    # At most 1 in any 50 ms; a request may be late by some milliseconds, which brings the next one nearer.
    assert arrived[-1] - arrived[0] >= 11 * 0.05 - 0.04


def test_so_many_calls_are_in_flight_and_no_more(stand_in, journal):
    server = stand_in(delay=0.1)
    run_calls([Call(str(k), "x") for k in range(12)], endpoint(server, max_connections=3), DECODE, journal)
    assert server.most_at_once == 3


@pytest.mark.parametrize(
    ("budget", "used"),
    [
        ({"calls": 7}, lambda server: len(server.requests)),
        ({"tokens": 1500}, lambda server: sum(asked.tokens for asked in server.requests)),
        ({"dollars": 0.003}, lambda server: 2e-6 * sum(asked.tokens for asked in server.requests)),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_a_budget_is_used_and_never_passed_and_the_next_run_goes_on(stand_in, journal, budget, used):
    server = stand_in(lambda request, n: "x" * 70)
    calls = [Call(str(k), f"{k} " + "word " * 80) for k in range(30)]
    settings = {"price": {"input": 2, "output": 2}, "max_connections": 4}
    name, bound = next(iter(budget.items()))
    report = run_calls(calls, endpoint(server, budget=budget, **settings), DECODE, journal)
    assert bound / 2 < used(server) <= bound
    assert f"the budget of {name}={bound} is reached: raise endpoint.budget.{name}" in report.stopped
    finished = report.counts["finished"]
    assert 0 < finished < 30
    assert list(report.outcomes) == [str(k) for k in range(30) if str(k) in report.outcomes]
    # The same budget again: it is that of the journal, so nothing more is sent.
    run_calls(calls, endpoint(server, budget=budget, **settings), DECODE, journal)
    assert used(server) <= bound
    report = run_calls(calls, endpoint(server, budget={name: bound * 20}, **settings), DECODE, journal)
    assert (report.stopped, report.counts["finished"] + report.counts["cached"]) == (None, 30)
    assert max(Counter(text_of(body) for body in server.bodies).values()) == 1
    assert report.tokens["input"] + report.tokens["output"] == sum(a.tokens for a in server.requests)


def test_a_call_in_flight_at_a_kill_counts_at_its_bound(stand_in, journal):
    server = stand_in()
    calls = [Call("a", "x"), Call("b", "y")]
    run_calls(calls, endpoint(server), DECODE, journal)
    kept = [line for line in journal.read_text().splitlines() if '"sent"' in line]
    journal.write_text("\n".join(kept) + "\n")
    server.requests.clear()
    settings = endpoint(server, budget={"calls": 3})
    report = run_calls(calls, settings, DECODE, journal)
    assert (len(server.requests), report.counts["not_made"]) == (1, 1)


def test_a_picture_that_takes_more_than_its_bound_goes_alone_and_raises_the_bound(
    stand_in, journal, tmp_path
):
    Image.new("RGB", (64, 64)).save(tmp_path / "a.png")
    server = stand_in(image_tokens=20_000)
    calls = [Call(str(k), "x", (tmp_path / "a.png",)) for k in range(8)]
    # By the bound that is not yet raised, all eight would fit at once.
    report = run_calls(calls, endpoint(server, budget={"tokens": 90_000}), DECODE, journal)
    assert sum(asked.tokens for asked in server.requests) <= 90_000
    assert len(server.requests) == 4
    assert "budget of tokens" in report.stopped
    assert estimate_calls(calls, endpoint(server), DECODE, journal).input_tokens >= 4 * 20_000


def test_the_estimate_is_an_upper_bound_of_what_is_left(stand_in, journal, tmp_path):
    Image.new("RGB", (300, 200)).save(tmp_path / "a.png")
    server = stand_in()
    calls = [Call(str(k), "Äpfel " * 30, (tmp_path / "a.png",)) for k in range(5)]
    priced = endpoint(server, price={"input": 1, "output": 10})
    before = estimate_calls(calls, priced, DECODE, journal)
    assert (before.calls, before.cached, before.output_tokens) == (5, 0, 100)
    assert before.dollars == pytest.approx((before.input_tokens + 10 * 100) / 1e6)
    assert not journal.exists()
    report = run_calls(calls[:3], priced, DECODE, journal)
    after = estimate_calls(calls, priced, DECODE, journal)
    assert (after.calls, after.cached) == (2, 3)
    assert after.input_tokens * 3 == before.input_tokens * 3 / 5 * 2
    assert report.tokens["input"] <= before.input_tokens * 3 / 5
    assert after.usual == (report.tokens["input"] / 3, report.tokens["output"] / 3)


# --- Providers and secrets -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "fault"),
    [
        ("openai-api/stand-in/m", Fault.status(429)),
        ("openai-api/stand-in/m", Fault.disconnect()),
        ("openai/gpt-4o", Fault.status(500)),
        ("vllm/m", Fault.disconnect()),
        ("sglang/m", Fault.status(500)),
    ],
)
def test_no_provider_tries_again_out_of_sight(stand_in, journal, monkeypatch, model, fault):
    monkeypatch.setenv("OPENAI_API_KEY", "sk-none")
    server = stand_in(lambda request, n: fault if n == 0 else "fine")
    # Inspect remembers a vLLM server by its model's name.
    settings = endpoint(server, model=f"{model}-{id(server)}", budget={"calls": 9})
    report = run_calls([Call("k", "x")], settings, DECODE, journal)
    assert report.outcomes["k"].text == "fine"
    assert len(server.requests) == report.counts["requests"] == report.outcomes["k"].attempts == 2


def test_a_provider_that_may_try_again_unseen_gets_no_budget(stand_in, journal):
    from inspect_ai.model import ModelAPI, modelapi

    @modelapi(name="unseen")
    class Unseen(ModelAPI):
        async def generate(self, *arguments):
            raise NotImplementedError

    with pytest.raises(EndpointError, match="out of sight of the budget"):
        open_model(Endpoint(model="unseen/m", budget={"calls": 1}))
    open_model(Endpoint(model="unseen/m"))


def test_the_key_goes_to_the_endpoint_and_nowhere_else(stand_in, journal, monkeypatch):
    monkeypatch.setenv("TEACHERS_KEY", "sk-very-secret-1234")
    server = stand_in(lambda request, n: Fault.status(400, says="bad key sk-very-secret-1234"))
    report = run_calls([Call("k", "x")], endpoint(server, key="TEACHERS_KEY"), DECODE, journal)
    assert server.requests[0].headers["authorization"] == "Bearer sk-very-secret-1234"
    assert "bad key <key>" in report.outcomes["k"].error
    assert "very-secret" not in journal.read_text()


def test_an_endpoint_says_what_is_wrong_with_its_description(stand_in, monkeypatch):
    monkeypatch.delenv("NO_SUCH_KEY", raising=False)
    monkeypatch.delenv("OPENAI_API_KEY", raising=False)
    for settings, message in [
        ({"model": "gpt-4o"}, "model"),
        ({"model": "openai/m", "args": {"default_headers": {"api_key": "x"}}}, "looks like a secret"),
        ({"model": "openai/m", "base_url": "http://me:pw@host/v1"}, "password in base_url"),
        ({"model": "openai/m", "base_url": "localhost:8000"}, "is no address"),
        ({"model": "openai/m", "budget": {"dollars": 1}}, "set endpoint.price.input"),
        ({"model": "openai/m", "price": {"input": 1}}, "give both input and output"),
        ({"model": "openai/m", "temprature": 1}, "temprature"),
        ({"model": "openai/m", "key": "sk-1234"}, "not the key"),
    ]:
        with pytest.raises(ValueError, match=message) as caught:
            Endpoint(**settings)
        assert "sk-1234" not in str(caught.value)
    for settings, message in [
        ({"model": "openai/m", "key": "NO_SUCH_KEY"}, "NO_SUCH_KEY"),
        ({"model": "openai/m"}, "OPENAI_API_KEY"),
        ({"model": "nobody/m"}, "nobody"),
    ]:
        with pytest.raises(EndpointError, match=message):
            open_model(Endpoint(**settings))


def test_a_model_of_this_process_is_asked_too_and_known_by_its_weights(journal, tmp_path):
    Image.new("RGB", (96, 96), "red").save(tmp_path / "a.png")
    local = Endpoint(model="align/tiny_vlm", args={"batch_size": 2}, budget={"calls": 2})
    calls = [Call(str(k), "What is in the picture?", (tmp_path / "a.png",)) for k in range(3)]
    report = run_calls(calls, local, Decode(8), journal)
    assert [bool(outcome.text) for outcome in report.outcomes.values()] == [True, True]
    assert "budget of calls=2" in report.stopped
    assert report.digest != local.digest(Decode(8))


def test_runs_in_other_threads_and_one_after_another(stand_in, tmp_path):
    server = stand_in()
    settings = endpoint(server)
    reports = {}

    def make(name):
        reports[name] = run_calls([Call(name, name)], settings, DECODE, tmp_path / f"{name}.jsonl")

    threads = [threading.Thread(target=make, args=(name,)) for name in "abc"]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(60)
    make("d")
    assert [reports[name].counts["finished"] for name in "abcd"] == [1] * 4
