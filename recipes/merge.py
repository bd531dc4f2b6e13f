"""Merge an adapter into its base, for programs that know nothing of PEFT.

    python recipes/merge.py adapter=runs/dpo/adapter out=models/honest

Leaves in `out`: weights, configuration and processor for `from_pretrained`, a model card, and run.json. The
folder appears once it is whole and was seen to compute what base and adapter do.
"""

import hydra
from omegaconf import DictConfig

from align.models.loading import adapter_folder, reference_digest
from align.models.merging import appears_whole, merge_adapter, merged_card
from align.run import to_plain, write_run_json
from align.training.console import keep_quiet, say
from align.user_errors import ends_with_message


@hydra.main(version_base="1.3", config_path="../configs", config_name="merge")
@ends_with_message
def main(cfg: DictConfig) -> None:
    model = to_plain(cfg)["model"]
    keep_quiet()
    if model["quantization"] is not None:
        raise ValueError("model.quantization: adapters are merged into unquantised weights; leave it null")
    with appears_whole(cfg.out) as folder:
        merged = merge_adapter(
            model["name"],
            cfg.adapter,
            folder,
            dtype=cfg.dtype,
            device=cfg.device,
            compute_dtype=cfg.compute_dtype,
            attn_implementation=model["attn_implementation"],
            trust_remote_code=model["trust_remote_code"],
            revision=model["revision"],
        )
        digest = reference_digest(model["name"], cfg.adapter, revision=model["revision"])
        card = merged_card(base=model["name"], adapter=cfg.adapter, digest=digest, merged=merged)
        (folder / "README.md").write_text(card, encoding="utf-8")
        write_run_json(
            folder,
            config=cfg,
            seeds={},
            inputs={"adapter": adapter_folder(cfg.adapter)},
            digests={"model": digest},
            results={"adapter_change": merged.adapter, "merge_error": merged.error},
        )
    say(f"logits change by {merged.adapter:.2g} with the adapter, and by {merged.error:.2g} when merged")
    say(f"merged: {cfg.out}")


if __name__ == "__main__":
    main()
