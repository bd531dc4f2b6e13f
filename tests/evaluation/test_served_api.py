"""A served model under faults: what is tried again, what is not, and that no fault becomes a response."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from cached_run import GREEDY, Job, ask, inline, png, served
from stand_in import Fault, Said, images_of, text_of

from align.evaluation.response_logprob import response_logprob

QUESTIONS = tuple(f"What color is thing number {i}?" for i in range(6))


@pytest.fixture
def job(tmp_path: Path) -> Job:
    return Job({}, tmp_path / "c.sqlite", tmp_path / "logs", QUESTIONS, inline(png()))


def run(job: Job, **config: Any) -> tuple[list[Any], int]:
    """The samples of Inspect's log, and how many responses were stored."""
    log, _, new = ask(replace(job, config=served(**({"backoff": 0.01} | config))))
    assert log.status == "success"
    return log.samples, new


@pytest.mark.parametrize(
    "fault",
    [
        Fault.status(500),
        Fault.status(429, retry_after=0.02),
        Fault.half_json(),
        Fault.disconnect(),
        Fault.filtered("no"),
        Fault.wrong_encoding(),
        Fault.lone_surrogate(),
        Fault.stall(0.6),
    ],
    ids=lambda fault: fault.kind + str(fault.code),
)
def test_a_passing_fault_is_tried_again_and_leaves_no_trace(stand_in: Any, job: Job, fault: Fault) -> None:
    server = stand_in(lambda request, n: fault if n == 0 else f"It is {text_of(request)[-2]}.")
    samples, new = run(job, base_url=server.base_url, timeout=0.3)
    assert [sample.error for sample in samples] == [None] * 6
    assert [s.output.completion for s in samples] == [f"It is {i}." for i in range(6)]
    assert (new, len(server.requests)) == (6, 12)
    assert images_of(server.bodies[0]) == [png()]


@pytest.mark.parametrize(
    ("fault", "says"),
    [(Fault.status(500), "500"), (Fault.filtered("no"), "content_filter"), (Fault.status(400), "400")],
    ids=["500", "filter", "400"],
)
def test_a_fault_that_stays_is_an_error_and_never_a_response(
    stand_in: Any, job: Job, fault: Fault, says: str
) -> None:
    server = stand_in(lambda request, n: fault if "number 3" in text_of(request) else "Red.")
    samples, new = run(job, base_url=server.base_url, attempts=3)
    [failed] = [sample for sample in samples if sample.error is not None]
    assert failed.id == 3
    assert says in failed.error.message
    assert new == 5
    # A request that is bad in itself is not sent again.
    assert len(server.requests) == 5 + (1 if says == "400" else 3)
    server.answer = lambda request, n: "Blue."
    samples, new = run(job, base_url=server.base_url)
    assert (new, samples[3].output.completion) == (1, "Blue.")


def test_a_rate_limit_counts_as_no_attempt(stand_in: Any, job: Job) -> None:
    server = stand_in(lambda request, n: Fault.status(429, retry_after=0.02) if n < 4 else "Red.")
    samples, new = run(job, base_url=server.base_url, attempts=1, max_connections=1)
    assert [sample.error for sample in samples] == [None] * 6
    assert new == 6


def test_an_endpoint_that_refuses_everything_is_asked_no_more(stand_in: Any, job: Job) -> None:
    server = stand_in(lambda request, n: Fault.status(401, says="wrong key"))
    samples, new = run(job, base_url=server.base_url, max_connections=1)
    assert (new, len(server.requests)) == (0, 1)
    for sample in samples:
        assert "check its model, address and key" in sample.error.message


def test_ten_calls_in_a_row_without_an_answer_end_the_asking(stand_in: Any, job: Job) -> None:
    server = stand_in(lambda request, n: Fault.status(503))
    many = tuple(f"What is {i}?" for i in range(30))
    samples, _ = run(replace(job, questions=many), base_url=server.base_url, attempts=1, max_connections=2)
    assert len(server.requests) <= 12
    assert "10 calls in a row had no answer" in samples[-1].error.message


def test_requests_are_spaced_to_the_rate(stand_in: Any, job: Job) -> None:
    server = stand_in(lambda request, n: "Red.")
    run(job, base_url=server.base_url, requests_per_minute=600)
    arrived = [asked.arrived for asked in server.requests]
    assert arrived[-1] - arrived[0] > 0.4  # 5 gaps of 0.1 s


def test_log_probabilities_are_summed_where_they_were_asked_for(
    stand_in: Any, job: Job, caplog: pytest.LogCaptureFixture
) -> None:
    server = stand_in(lambda request, n: Said("Red.", (-0.5, -0.25, 0.0)))
    samples, _ = run(job, base_url=server.base_url, logprobs=True)
    assert {response_logprob(sample.output) for sample in samples} == {(-0.75, 3)}
    assert samples[0].output.choices[0].logprobs is None  # not a line for each token in Inspect's log
    samples, _ = run(job, base_url=server.base_url)
    assert response_logprob(samples[0].output) == (None, samples[0].output.usage.output_tokens)
    server.answer = lambda request, n: "Red."
    samples, _ = run(job, base_url=server.base_url, logprobs=True, revision="2")
    assert response_logprob(samples[0].output)[0] is None
    assert caplog.text.count("gives no log-probabilities") == 1
    server.answer = lambda request, n: Fault.status(400, says="logprobs is not supported")
    samples, _ = run(job, base_url=server.base_url, logprobs=True, revision="3")
    assert "logprobs=false" in samples[0].error.message


def test_decoding_reaches_the_server(stand_in: Any, job: Job) -> None:
    server = stand_in(lambda request, n: "Red.")
    run(job, base_url=server.base_url)
    run(
        job,
        base_url=server.base_url,
        decoding=GREEDY | {"temperature": 0.7, "top_p": 0.9, "seed": 5},
        seeds=False,
    )
    greedy, sampled = server.bodies[0], server.bodies[-1]
    assert (greedy["temperature"], greedy["max_tokens"]) == (0.0, 8)
    assert not {"seed", "top_p"} & greedy.keys()
    assert (sampled["temperature"], sampled["top_p"]) == (0.7, 0.9)
    assert "seed" not in sampled  # endpoint.seeds=false: the server refuses it
