"""Read configuration, processor and weights of a model's folder, and refuse those that cannot work.

What transformers raises here names classes of its own; a user needs to know which file or package is missing.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import AutoConfig, AutoModelForImageTextToText, AutoProcessor, PreTrainedConfig

_PROCESSOR_FILES = "processor_config.json, preprocessor_config.json, tokenizer.json, tokenizer_config.json"


def read_config(folder: Path, name: str, *, trust_remote_code: bool) -> PreTrainedConfig:
    """Raises `ValueError` for a folder that holds no model, or one that this transformers does not know."""
    if not (folder / "config.json").is_file():
        beside = (
            " It is an adapter: give it as adapter=..." if (folder / "adapter_config.json").is_file() else ""
        )
        raise ValueError(f"model {name!r}: no config.json in {folder}, so it holds no model.{beside}")
    try:
        return AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except (ValueError, KeyError) as error:
        import transformers

        if "does not recognize this architecture" not in str(error) and not isinstance(error, KeyError):
            raise
        raise ValueError(
            f"model {name!r} is of a kind that transformers {transformers.__version__} does not know: "
            "model.trust_remote_code=true runs the code that comes with a model, if it brings any; else it "
            "needs a newer transformers, and a mohoalign that allows one"
        ) from error


def read_processor(folder: Path, name: str, config: PreTrainedConfig, *, trust_remote_code: bool) -> Any:
    """The model's processor. Raises `ImportError` for a package that it needs, `ValueError` for a wrong "
    "one."""
    try:
        processor = AutoProcessor.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except ImportError as error:
        raise ImportError(_missing_package(name, error)) from error
    except (OSError, ValueError) as error:
        raise ValueError(
            f"model {name!r}: its processor cannot be read from {folder}. Copy {_PROCESSOR_FILES} (those "
            f"there are) from the model that it was made from. {_first_lines(error)}"
        ) from error
    if not hasattr(processor, "image_processor"):
        raise ValueError(
            f"model {name!r}: what {folder} holds makes a {type(processor).__name__}, which takes no images. "
            f"Copy {_PROCESSOR_FILES} (those there are) from the model that it was made from"
        )
    _refuse_other_processor(processor, config, name)
    return processor


def _refuse_other_processor(processor: Any, config: PreTrainedConfig, name: str) -> None:
    """Raise `ValueError` if the token that stands for an image is not the one that the model looks for."""
    wanted = getattr(config, "image_token_id", None)
    wanted = getattr(config, "image_token_index", None) if wanted is None else wanted
    given = getattr(processor, "image_token_id", None)
    if isinstance(wanted, int) and isinstance(given, int) and wanted != given:
        tokens = processor.tokenizer.convert_ids_to_tokens([wanted, given])
        raise ValueError(
            f"model {name!r}: its processor is another model's. It marks images with {tokens[1]!r} (token "
            f"{given}), and the model looks for token {wanted} ({tokens[0]!r}): the image would never be "
            f"seen. Copy {_PROCESSOR_FILES} (those there are) from the model that it was made from"
        )


def read_network(folder: Path, name: str, config: PreTrainedConfig, **how: Any) -> Any:
    """The weights. Raises `ValueError` for a model that takes no images, or a file that was cut off."""
    try:
        return AutoModelForImageTextToText.from_pretrained(folder, config=config, use_safetensors=True, **how)
    except SafetensorError as error:
        raise ValueError(
            f"model {name!r}: a *.safetensors file in {folder} is damaged or was cut off ({error}): delete "
            f"it and fetch it again"
        ) from error
    except ValueError as error:
        if "Unrecognized configuration class" not in str(error):
            raise
        raise ValueError(
            f"model {name!r} ({config.model_type}) is no vision-language model: transformers has no way from "
            "images and text to text for it. Give one that takes images"
        ) from error


def device_for(device: str) -> torch.device:
    """ "auto": the first CUDA device if there is one, else the CPU. Raises `ValueError` where there is no "
    "GPU."""
    place = torch.device(("cuda" if torch.cuda.is_available() else "cpu") if device == "auto" else device)
    if place.type == "cuda" and not torch.cuda.is_available():
        raise ValueError(f"device={device}: {why_no_gpu()}. device=cpu, or auto, does without")
    return place


def why_no_gpu() -> str:
    """Why torch has no CUDA device here, and what to do, as far as it can be told."""
    import os
    import shutil

    hidden = os.environ.get("CUDA_VISIBLE_DEVICES")
    if hidden is not None and hidden.strip() in ("", "-1"):
        return f"CUDA_VISIBLE_DEVICES={hidden!r} hides every GPU: unset it"
    if torch.version.cuda is None and torch.version.hip is None:
        seen = shutil.which("nvidia-smi") is not None
        return (
            f"torch {torch.__version__} is a build for CPUs"
            + (", though this machine has NVIDIA's driver" if seen else "")
            + ": on a machine with a GPU install the CUDA build, as https://pytorch.org/get-started/locally/ "
            "says"
        )
    return (
        f"torch {torch.__version__} finds no GPU: `nvidia-smi` must list one (in a container: `--gpus all`), "
        f"with a driver for CUDA {torch.version.cuda} or newer"
    )


def _missing_package(name: str, error: ImportError) -> str:
    text = str(error)
    if "orchvision" in text:
        version = torch.__version__.partition("+")[0]
        known = importlib.util.find_spec("torchvision") is not None
        state = (
            "is installed but cannot be imported, as when it was built for another torch"
            if known
            else "is missing"
        )
        return (
            f"model {name!r}: its processor needs torchvision, which {state}. "
            f"pip install torchvision torch=={version} takes the one that belongs to this torch (for a CPU "
            f"build add --index-url https://download.pytorch.org/whl/cpu); pip install 'mohoalign[gpu]' "
            f"brings it on a GPU machine"
        )
    return f"model {name!r}: its processor needs a package that is missing. {_first_lines(error)}"


def _first_lines(error: Exception) -> str:
    return " ".join(line.strip() for line in str(error).strip().splitlines()[:2])
