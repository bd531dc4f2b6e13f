"""Honesty alignment of multimodal language models: data, training, measurement."""

import logging

__version__ = "0.1.0"

# Where bitsandbytes is installed PEFT imports it, and it asks at each start for a package that is not needed.
logging.getLogger("bitsandbytes.backends.cpu.ops").setLevel(logging.ERROR)
