"""On the path of a sweep that is tested: its programs are stand-ins, run without accelerate's launcher."""

import os
from pathlib import Path

if "SWEEP_TEST_HOME" in os.environ:
    from align.cli import launching, programs

    programs.home = launching.home = lambda: Path(os.environ["SWEEP_TEST_HOME"])
    whole = launching.command_for
    launching.command_for = lambda program, words: whole(
        program, words if program.launched else launching.split_options(words)[1]
    )
