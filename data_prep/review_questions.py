"""People check questions, or judge models' responses, in the browser.

    python data_prep/review_questions.py folder=data/photos root=samples/photos/images
    python data_prep/review_questions.py mode=responses folder=data/photos root=samples/photos/images \\
        responses=data/photos/responses.jsonl

Every decision goes to `out`/reviews.jsonl before the page calls it saved; the same command goes on where it
ended. Writes to `out`, at the end and whenever the page asks: questions.{reviewed,rejected,disputed}.jsonl or
verdicts.human.jsonl, review.json (progress, agreement) and run.json.
"""

from pathlib import Path

import hydra
from omegaconf import DictConfig

from align.data.report import print_summary, say
from align.judging.files import to_these
from align.records import Question, Response, Verdict, read_records
from align.reviewing.access import find_token, known_hosts
from align.reviewing.app import Site, make_app
from align.reviewing.export import write_exports
from align.reviewing.items import check_images, choose_items, question_items, response_items
from align.reviewing.log import EventLog
from align.reviewing.serve import listen, serve
from align.reviewing.state import Plan, Review
from align.run import run_folder, to_plain, write_run_json
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="review_questions")
@ends_with_message
def main(cfg: DictConfig) -> None:
    config, folder = to_plain(cfg), run_folder()
    if cfg.mode not in ("questions", "responses"):
        raise ValueError(f"mode must be questions or responses, not {cfg.mode!r}")
    if cfg.mode == "responses" and not cfg.responses:
        raise ValueError("mode=responses needs responses=FILE: what is to be judged")
    if cfg.mode == "questions" and cfg.verdicts:
        raise ValueError("verdicts are compared with people in mode=responses only")
    if cfg.leave_out_others and not cfg.responses:
        raise ValueError("leave_out_others=true is about responses: give responses=FILE")
    verdict_files = [config["verdicts"]] if isinstance(config["verdicts"], str) else config["verdicts"] or []

    questions = read_records(cfg.questions, Question)
    responses = read_records(cfg.responses, Response) if cfg.responses else []
    if cfg.leave_out_others:
        given, responses = responses, to_these(responses, questions)
        others = len(given) - len(responses)
        say(
            f"{others} of {len(given)} response(s) are to questions that are not in {cfg.questions}: left out"
        )
    verdicts = [verdict for file in verdict_files for verdict in read_records(file, Verdict)]
    make_items = question_items if cfg.mode == "questions" else response_items
    items = choose_items(
        make_items(questions, responses), categories=config["categories"], limit=cfg.limit, seed=cfg.seed
    )
    check_images(items, cfg.root, follow_links=cfg.follow_links)
    plan = Plan(
        annotators=tuple(config["annotators"]) if config["annotators"] else None,
        overlap=cfg.overlap,
        second_pass=cfg.second_pass,
        adjudicator=cfg.adjudicator,
        seed=cfg.seed,
    )
    with EventLog(folder / "reviews.jsonl", cfg.mode) as log:
        review = Review(items, log, plan)
        say(f"{len(items)} items, {len(log.events)} events in {log.path}")
        if log.torn:
            say(f"{log.torn} bytes of a line that was cut off are now in {log.path.with_suffix('.torn')}")
        if cfg.serve:
            token = find_token(cfg.host, folder)
            site = Site(review, Path(cfg.root), folder, verdicts, cfg.follow_links)
            hosts = known_hosts(cfg.host, tuple(cfg.allowed_hosts))
            app = make_app(site, host=cfg.host, token=token, hosts=hosts)
            serve(app, listen(cfg.host, cfg.port), cfg.host, token)
        report = write_exports(review, folder, verdicts)
    print_summary(
        f"review: {folder}", {k: v for k, v in report.items() if k not in ("agreement", "by_category")}
    )
    inputs = {"questions": cfg.questions, "reviews": folder / "reviews.jsonl"}
    inputs |= {"responses": cfg.responses} if cfg.responses else {}
    inputs |= {f"verdicts_{number}": file for number, file in enumerate(verdict_files)}
    write_run_json(folder, config=cfg, seeds=cfg.seed, inputs=inputs, results={"items": len(items)})


if __name__ == "__main__":
    main()
