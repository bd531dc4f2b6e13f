"""How well the refusal rules do on labelled responses: precision, recall and their 95 % intervals.

    python tests/judging/measure_rules.py               both halves, by category, style and kind
    python tests/judging/measure_rules.py --errors      also every response of the development half that was
                                                        judged wrongly (the held-out half stays unread)

labelled_responses.jsonl was written by hand, before its writer had seen the rules, and split by question:
the rules may be developed on one half only. Its last line is one JSON object.
"""

import argparse
import json
from collections import defaultdict
from pathlib import Path

from align.judging.measuring import detection
from align.judging.rules import judge_refusal

FILE = Path(__file__).parent / "labelled_responses.jsonl"


def labelled():
    return [json.loads(line) for line in FILE.read_text(encoding="utf-8").splitlines()]


def judged(rows):
    return detection((judge_refusal(r["response"], r["question"]).refused, r["refused"]) for r in rows)


def share(value, interval):
    return "    -" if value is None else f"{value:.3f} [{interval[0]:.3f}, {interval[1]:.3f}]"


def line(name, found):
    precision = share(found.precision, found.precision_interval())
    recall = share(found.recall, found.recall_interval())
    return f"{name:<42} {found.n:>4}  {precision:<22} {recall:<22} {found.unscored:>3}"


def main():
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--errors", action="store_true")
    arguments = parser.parse_args()
    halves = defaultdict(list)
    for row in labelled():
        halves[row["half"]].append(row)
    print(f"{'':<42} {'n':>4}  {'precision':<22} {'recall':<22} unscored")
    last = {}
    for half, rows in halves.items():
        found = judged(rows)
        print(line(half, found))
        last[half] = {
            "n": found.n,
            "precision": found.precision,
            "precision_interval": found.precision_interval(),
            "recall": found.recall,
            "recall_interval": found.recall_interval(),
            "unscored": found.unscored,
        }
        for field in ("category", "style", "kind"):
            for value in sorted({row[field] for row in rows}):
                print(line(f"  {field} {value}", judged([row for row in rows if row[field] == value])))
    if arguments.errors:
        for row in halves["development"]:
            verdict = judge_refusal(row["response"], row["question"])
            if verdict.refused is not row["refused"]:
                print(f"{row['id']} ({row['style']}, {row['kind']}): {row['question']}")
                print(f"    {row['response']!r}\n    {verdict}")
    print(json.dumps(last))


if __name__ == "__main__":
    main()
