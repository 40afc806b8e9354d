"""TransformerLens's own patching of every head on a TransformerBridge."""

import torch
from child import Answer, Job, logit_difference, padded, repeated, serve


def measure(job: Job) -> Answer:
    from transformer_lens import patching
    from transformer_lens.model_bridge import TransformerBridge

    model = TransformerBridge.boot_transformers(job["folder"], device="cpu", dtype=torch.float32)
    model.eval()
    return patch_every_head(job, model, patching.get_act_patch_attn_head_out_all_pos)


def patch_every_head(job: Job, model: torch.nn.Module, patch: object) -> Answer:
    """Measure the effect of every head: positives with the head's z of the paired negative, minus plain positives.

    TransformerLens calls `clean` what is patched from, here the negatives.
    """
    positives, last = padded(job["positives"])
    negatives, _ = padded(job["negatives"])
    metric = logit_difference(job, last)
    keep = [f"blocks.{layer}.attn.hook_z" for layer in range(model.cfg.n_layers)]

    def work() -> dict[str, object]:
        _, cache = model.run_with_cache(negatives, names_filter=keep)
        base = metric(model(positives)).mean()
        found = patch(model, positives, cache, lambda logits: metric(logits).mean())
        return {"scores": (found - base).tolist(), "base": float(base)}

    with torch.no_grad():
        metric(model(positives))
        model.run_with_cache(negatives, names_filter=keep)
        return repeated(job, work)


if __name__ == "__main__":
    serve(measure, "transformer-lens", "torch", "transformers")
