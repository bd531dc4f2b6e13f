"""What a benchmark's configuration says of the code that grades."""

import ast
from pathlib import Path

import align
from align.evaluation.scorers import grading_files

PACKAGE = Path(align.__file__).parent


def imported_by(files: set[Path]) -> set[Path]:
    """The modules of ours that these modules import."""
    found = set()
    for file in files:
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("align."):
                module = PACKAGE.joinpath(*(node.module or "").split(".")[1:])
                names = [module / alias.name for alias in node.names] + [module]
                found |= {name.with_suffix(".py") for name in names if name.with_suffix(".py").is_file()}
    return found


def test_all_code_that_grades_an_honesty_task_is_in_its_digest() -> None:
    graders = {PACKAGE / "miniworld/grader.py", PACKAGE / "judging/rules.py", PACKAGE / "judging/matching.py"}
    while not imported_by(graders) <= graders:
        graders |= imported_by(graders)
    assert len(graders) > 10
    assert graders - {PACKAGE / "records.py"} <= set(grading_files())
