"""TransformerLens 2's own patching of every head on a HookedTransformer."""

import hooked_model
from bridge_patching import patch_every_head
from child import Answer, Job, serve


def measure(job: Job) -> Answer:
    from transformer_lens import patching

    return patch_every_head(job, hooked_model.load(job["folder"]), patching.get_act_patch_attn_head_out_all_pos)


if __name__ == "__main__":
    serve(measure, "transformer-lens", "torch", "transformers")
