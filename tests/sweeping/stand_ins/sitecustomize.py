"""On the path of a sweep that is tested: its recipes and its benchmark are stand-ins."""

import os
from pathlib import Path

if "SWEEP_TEST_HOME" in os.environ:
    from align.cli import launching, programs

    programs.home = launching.home = lambda: Path(os.environ["SWEEP_TEST_HOME"])
