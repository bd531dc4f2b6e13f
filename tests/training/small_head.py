"""recipes/dpo.py with so few logits at a time that every batch has several parts."""

import runpy

from align.training import completions

completions.LOGITS_AT_ONCE = 4000  # a few tokens of the tiny vocabulary
runpy.run_path("recipes/dpo.py", run_name="__main__")
