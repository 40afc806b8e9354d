"""Every option of a run with its meaning: one table for the screen, the command line's help and the docs.

A field of engine.config without an entry here fails a test. Imports none of our modules: `headcode --help` reads it.
"""

from typing import Literal

import msgspec

Kind = Literal["choice", "whole", "number", "yes", "seeds", "position", "model", "device", "device_map", "max_memory"]
NAMED_MAPS = ("auto", "balanced")
DEVICES = ("auto", "cpu", "cuda", "mps")


class Option(msgspec.Struct, frozen=True, kw_only=True):
    """One option of a run."""

    path: str
    """Its field in RunOptions, or in the config (`sae.n_codes`)."""
    flag: str
    """Its flag of `headcode probe`."""
    title: str
    group: str
    meaning: str
    """What it does, in one or two sentences that end with a full stop."""
    kind: Kind
    published: str
    """The value of the published method; empty: the method does not have it."""
    choices: tuple[str, ...] = ()
    """All values of a choice."""
    suggestions: tuple[str, ...] = ()
    """Values to step through, smallest first, where any number is allowed."""
    range: str = ""
    """The accepted values, as text."""
    default: str = ""
    """The value if none is given, as written by people; "": see `unset`. A test compares it with engine.config."""
    unset: str = ""
    """What leaving it empty means; "": it must have a value."""
    most: float | None = None
    """Larger numbers cannot work and are refused; None: no limit."""
    measured: tuple[float, float] | None = None
    """Smallest and largest value that results were compared with ground truth at (docs/lab).

    A value outside gets a warning. None: no warning.
    """


OPTIONS: tuple[Option, ...] = (
    Option(
        path="sae.recipe",
        flag="--recipe",
        title="Recipe",
        group="Autoencoder",
        kind="choice",
        choices=("contrast", "published"),
        meaning="The SAE's input and initialisation. contrast: each example minus its pair's mean, each head at the "
        "position where its pair differs most, directions of the data. published: raw activations, random directions. "
        "Steps, examples and lambda follow the recipe.",
        default="contrast",
        published="published",
    ),
    Option(
        path="sae.n_codes",
        flag="--codes",
        title="Codes (K)",
        group="Autoencoder",
        kind="whole",
        range="2 to 65536",
        measured=(5, 800),
        suggestions=("50", "100", "200", "400", "800"),
        meaning="Latents of each SAE: the number of different codes a head can have. More codes distinguish more, "
        "and cost time and memory.",
        default="200",
        published="200",
    ),
    Option(
        path="sae.sparsity",
        flag="--lambda",
        title="Lambda",
        group="Autoencoder",
        kind="number",
        range="0 to 100",
        most=100,
        measured=(0, 1.2),
        suggestions=("0.02", "0.05", "0.1", "0.2", "0.5", "1"),
        unset="the recipe's own",
        meaning="Weight of the L1 term. Larger values silence quieter heads. contrast: .5; published: what the model's "
        "folder recommends, else .2.",
        published=".02 (docstring .05)",
    ),
    Option(
        path="sae.scale",
        flag="--scale/--no-scale",
        title="Scale activations",
        group="Autoencoder",
        kind="yes",
        meaning="Scale all activations by one number before training, so that lambda means the same for every model.",
        default="yes",
        published="no",
    ),
    Option(
        path="seeds",
        flag="--seeds",
        title="Seeds",
        group="Training",
        kind="seeds",
        range="a count from 1 to 64, or a list like 4,8,15",
        suggestions=("1", "3", "5", "10"),
        meaning="One SAE is trained per seed, all side by side; scores are averaged over them. More seeds show how "
        "stable a circuit is; time and memory grow with them.",
        default="3",
        published="not fixed",
    ),
    Option(
        path="sae.steps",
        flag="--steps",
        title="Steps",
        group="Training",
        kind="whole",
        range="1 to 1000000",
        measured=(1, 1000),
        suggestions=("10", "20", "50", "100", "200", "500", "1000"),
        meaning="Optimiser steps of the training. contrast starts from directions of the data and needs few.",
        default="20",
        published="500",
    ),
    Option(
        path="sae.learning_rate",
        flag="--learning-rate",
        title="Learning rate",
        group="Training",
        kind="number",
        range="above 0, at most 1",
        most=1,
        measured=(1e-4, 5e-3),
        suggestions=("0.0003", "0.001", "0.003"),
        meaning="Adam's step size.",
        default="0.003",
        published=".001",
    ),
    Option(
        path="sae.training_examples",
        flag="--train-examples",
        title="Training examples",
        group="Training",
        kind="whole",
        range="2 or more",
        measured=(5, 250),
        suggestions=("10", "20", "50", "100"),
        meaning="Examples the SAEs are trained on, half from each side; they are applied to all. More made the "
        "published method worse.",
        default="20",
        published="10",
    ),
    Option(
        path="position",
        flag="--position",
        title="Position",
        group="Reading",
        kind="position",
        range="mean, last, at:N or token:TEXT",
        suggestions=("mean", "last", "at:0"),
        meaning="Which tokens of a prompt become a head's vector: the mean of all (contrast: the position where the "
        "pair differs most), the last, the Nth (at:-1 is the last), or the last one that reads TEXT.",
        default="mean",
        published="mean",
    ),
    Option(
        path="nodes",
        flag="--nodes",
        title="Nodes",
        group="Reading",
        kind="choice",
        choices=("all", "heads"),
        meaning="What a run looks at. all: attention heads, the MLP of every layer, and the embedding; MLPs and the "
        "embedding have a dictionary of their own, so heads' codes are the same. heads: attention heads alone.",
        default="all",
        published="heads",
    ),
    Option(
        path="grade",
        flag="--grade/--no-grade",
        title="Grade first",
        group="Reading",
        kind="yes",
        meaning="Grade whether the model can do every example. Costs almost nothing.",
        default="yes",
        published="",
    ),
    Option(
        path="shuffles",
        flag="--shuffles",
        title="Label shuffles",
        group="Significance and circuit",
        kind="whole",
        range="0 to 1000000",
        suggestions=("0", "200", "1000", "10000"),
        unset="as many as one head needs",
        meaning="Label permutations behind every p- and q-value; 1000 gives p down to .001. Left open: as many as a "
        "single head needs to be significant (20 per head and up, at least 1000). 0 skips the test.",
        published="",
    ),
    Option(
        path="bootstraps",
        flag="--bootstraps",
        title="Bootstraps",
        group="Significance and circuit",
        kind="whole",
        range="1 to 10000",
        suggestions=("20", "100", "500"),
        meaning="Bootstrap resamples of the examples (with replacement): the share of them in which a head stays in "
        "the circuit is its stability on the card.",
        default="100",
        published="",
    ),
    Option(
        path="circuit_size",
        flag="--circuit-size",
        title="Heads in the circuit",
        group="Significance and circuit",
        kind="whole",
        range="1 or more",
        unset="a tenth of all heads, at least 3",
        suggestions=("3", "5", "10", "20"),
        meaning="How many heads of the ranking form the circuit; the cut can be moved afterwards.",
        published="",
    ),
    Option(
        path="theta",
        flag="--theta",
        title="Theta",
        group="Significance and circuit",
        kind="number",
        range="between 0 and 1",
        unset="twice the uniform share",
        suggestions=("0.01", "0.02", "0.05", "0.1"),
        meaning="Softmax share from which a head belongs to the second circuit, the published kind of cut.",
        published="chosen per circuit",
    ),
    Option(
        path="cause.method",
        flag="--cause",
        title="Effects",
        group="Effects",
        kind="choice",
        choices=("none", "attribution", "exact", "circuit", "combined"),
        meaning="Also measure effects by patching, after the scores. attribution: every head from one gradient. exact: "
        "every head replaced, one at a time. combined: both, within the budget. circuit: combined, then the circuit as "
        "a whole is checked. Also used by the `v` key.",
        default="none",
        published="",
    ),
    Option(
        path="cause.metric",
        flag="--metric",
        title="Effect measured as",
        group="Effects",
        kind="choice",
        choices=("auto", "logit_difference", "log_probability", "probability_mass", "kl"),
        meaning="The metric of an effect: logit difference to the foils, log-probability of the expected token, "
        "probability mass of a set, KL to the clean run. auto: the task's metric.",
        default="auto",
        published="",
    ),
    Option(
        path="cause.replacement",
        flag="--replace",
        title="Heads replaced by",
        group="Effects",
        kind="choice",
        choices=("auto", "pair", "mean", "resample", "zero"),
        meaning="The replacement of a head's output: its value on the paired negative, its mean over the negatives, "
        "its value on a random negative, or zero. auto: pair if there are pairs, else mean.",
        default="auto",
        published="",
    ),
    Option(
        path="cause.budget",
        flag="--budget",
        title="Budget",
        group="Effects",
        kind="number",
        range="above 0",
        suggestions=("10", "30", "100"),
        meaning="For combined and circuit: the cost limit of exact patching, in forward passes of its examples.",
        default="30",
        published="",
    ),
    Option(
        path="cause.gradient_steps",
        flag="--gradient-steps",
        title="Gradient steps",
        group="Effects",
        kind="whole",
        range="0 to 1000",
        suggestions=("0", "5", "20"),
        meaning="Attribution by integrated gradients: the number of points between both sides. 0 takes one gradient.",
        default="0",
        published="",
    ),
    Option(
        path="cause.edges",
        flag="--cause-edges",
        title="Edges too",
        group="Effects",
        kind="yes",
        meaning="Attribution for every pair of heads as well: the effect of a head through a later one.",
        default="no",
        published="",
    ),
    Option(
        path="cause.examples",
        flag="--cause-examples",
        title="Examples for effects",
        group="Effects",
        kind="whole",
        range="1 to 100000",
        suggestions=("16", "64", "256"),
        meaning="Maximum number of positives that effects are measured on; of more, this many are drawn.",
        default="64",
        published="",
    ),
    Option(
        path="cause.smallest",
        flag="--smallest",
        title="Smallest circuit keeps",
        group="Effects",
        kind="number",
        range="0 to below 1",
        suggestions=("0", "0.8", "0.9"),
        meaning="For circuit: also find a smallest circuit that keeps this share of the answer with everything else "
        "replaced. 0: do not. It takes a few passes for every node.",
        default="0",
        published="",
    ),
    Option(
        path="model",
        flag="--model",
        title="Model",
        group="Machine",
        kind="model",
        range="bundled, fetched, a folder or a hub name",
        meaning="The model to read: bundled or fetched by name, a Hugging Face folder by its path, or a hub name.",
        default="toy",
        published="GPT-2, Pythia",
    ),
    Option(
        path="device",
        flag="--device",
        title="Device",
        group="Machine",
        kind="device",
        range="auto, cpu, cuda, cuda:1, mps",
        suggestions=DEVICES,
        meaning="Where torch computes. auto: the first GPU if there is one, else the processor.",
        default="auto",
        published="",
    ),
    Option(
        path="devices",
        flag="--devices",
        title="Several GPUs",
        group="Machine",
        kind="whole",
        range="1 or more",
        suggestions=("2", "4", "8"),
        unset="one device",
        meaning="Split the model over this many CUDA GPUs, layers in order, as TransformerBridge does it.",
        published="",
    ),
    Option(
        path="device_map",
        flag="--device-map",
        title="Device map",
        group="Machine",
        kind="device_map",
        range="auto, balanced, or a JSON file of module names with cpu, disk or a GPU's number",
        suggestions=NAMED_MAPS,
        unset="one device",
        meaning="Where the model's modules are put. Maps of GPUs alone, or of CPU and disk alone: TransformerBridge "
        "refuses others.",
        published="",
    ),
    Option(
        path="max_memory",
        flag="--max-memory",
        title="Memory limits",
        group="Machine",
        kind="max_memory",
        range="20GiB (of every GPU), 0=20GiB, cpu=60GiB, several with commas",
        suggestions=("20GiB", "40GiB", "80GiB"),
        unset="what is free",
        meaning="How much of each device a split model may use.",
        published="",
    ),
    Option(
        path="dtype",
        flag="--dtype",
        title="Precision",
        group="Machine",
        kind="choice",
        choices=("auto", "float32", "bfloat16", "float16"),
        meaning="The precision of the model's weights and forward pass. auto: on a CUDA GPU the one the checkpoint is "
        "stored in, elsewhere float32. Activations, scores, metrics and effects are computed in float32 from it.",
        default="auto",
        published="float32",
    ),
    Option(
        path="trust_remote_code",
        flag="--trust-remote-code",
        title="Trust remote code",
        group="Machine",
        kind="yes",
        meaning="Allow a model to run its own code from the hub. Only for authors you trust.",
        default="no",
        published="",
    ),
)
_BY_PATH = {option.path: option for option in OPTIONS}


def find_option(path: str) -> Option:
    """Return the option at that path. Raises KeyError: paths are written by us."""
    return _BY_PATH[path]


def help_of(path: str) -> str:
    """Return meaning, range, published value and default, as a line of the command line's help."""
    option = _BY_PATH[path]
    known = [option.range] if option.range else [", ".join(option.choices)] if option.choices else []
    known += [f"published: {option.published}"] if option.published else []
    meaning = f"{option.meaning} ({'; '.join(known)})" if known else option.meaning
    default = option.default or option.unset
    if option.kind == "yes":
        default = option.flag.partition("/")[0].removeprefix("--") if default == "yes" else ""
    return f"{meaning} [default: {default}]" if default else meaning
