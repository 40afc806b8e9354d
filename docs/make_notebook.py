"""Writes docs/notebook.ipynb: the cells below, without output. `.venv/bin/python docs/make_notebook.py`.

A test runs the cells in order (tests/test_docs_notebook.py), and checks that the notebook has these.
"""

import json
from pathlib import Path

CELLS = (
    (
        "markdown",
        """# One head by hand

Which heads of the bundled model tell apart prompts with and without the indirect object, and what does one of them
do to the answer? With `engine.api` (docs/api.md) and TransformerLens; no store and no host are needed.""",
    ),
    (
        "code",
        """import torch

from engine.api import activations, answer, find_codes, load, pair_rows, task_examples, tokens

model = load("toy")
examples = task_examples(model, "ioi", pairs=8)
model.info.name, model.info.n_layers, model.info.n_heads, examples[0].prompt, examples[1].prompt""",
    ),
    (
        "markdown",
        "**Activations.** `z` is what each head writes before its output matrix, pooled over the prompt's tokens.",
    ),
    (
        "code",
        """found = activations(model, examples)
found.z.shape  # example, layer, head, d_head""",
    ),
    (
        "markdown",
        """**Codes.** Sparse autoencoders turn every node's output on a prompt into one integer. -1 means that it writes
too little. A head with codes on positives that no negative has tells the sides apart.""",
    ),
    (
        "code",
        """layout, codes = find_codes(model, examples)
positive = torch.tensor([example.positive for example in examples])


def unique(node):
    \"\"\"Codes of the node in the first seed that only positives have.\"\"\"
    own = codes[0, :, layout.index(node)]
    return set(own[positive].tolist()) - set(own[~positive].tolist()) - {-1}


heads = [node for node in layout.ids if node.is_head]
ranking = sorted(heads, key=lambda node: -len(unique(node)))
[(str(node), len(unique(node))) for node in ranking[:5]]""",
    ),
    (
        "markdown",
        """**A patch.** Codes say what goes together; patching says what causes the answer. `model.bridge` is
TransformerLens's bridge: on each positive, one head's `z` is replaced by what it is on the paired negative. Below 0:
the answer needs it.""",
    ),
    (
        "code",
        """def effect(node):
    \"\"\"Mean change of the logit difference with the head replaced, over pairs of equal length.\"\"\"
    name, changes = f"blocks.{node.layer}.attn.hook_z", []
    for first, second in pair_rows(examples).tolist():
        clean, other = tokens(model, examples[first].prompt), tokens(model, examples[second].prompt)
        if clean.shape != other.shape:
            continue
        with torch.inference_mode():
            theirs = model.bridge.run_with_cache(other, names_filter=[name])[1][name][:, :, node.head]

            def replace(z, hook):
                z = z.clone()
                z[:, :, node.head] = theirs
                return z

            before = answer(model, model.bridge(clean), examples[first])
            after = answer(model, model.bridge.run_with_hooks(clean, fwd_hooks=[(name, replace)]), examples[first])
        changes.append(after - before)
    return sum(changes) / len(changes)


effects = {str(node): round(effect(node), 2) for node in ranking[:5]}
effects""",
    ),
    (
        "markdown",
        """**A stored run** says itself as such a script: `headcode export RUN FILE.py`. Its codes are read from
a bundle with `stored_codes`.""",
    ),
)
NOTEBOOK = Path(__file__).with_name("notebook.ipynb")


def notebook() -> str:
    """Return the notebook as JSON (format 4.5), without output."""
    cells = [
        {"cell_type": kind, "id": f"cell-{place}", "metadata": {}, "source": text.splitlines(keepends=True)}
        | ({"execution_count": None, "outputs": []} if kind == "code" else {})
        for place, (kind, text) in enumerate(CELLS)
    ]
    about = {"kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"}}
    whole = {"cells": cells, "metadata": about, "nbformat": 4, "nbformat_minor": 5}
    return json.dumps(whole, indent=1, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    NOTEBOOK.write_text(notebook(), encoding="utf-8")
