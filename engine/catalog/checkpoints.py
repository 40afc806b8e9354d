"""List the checkpoints of a model: of the adder, a folder of folders, a published schedule, or one named revision."""

from engine.catalog.checkpoint_folders import Checkpoint, checkpoints_in, split_checkpoint, step_of
from engine.catalog.local_models import ADDER, bundled_checkpoints
from engine.errors import ModelError
from engine.machine.paths import path_of

PYTHIA_STEPS = (0, *(2**power for power in range(10)), *range(1000, 143_001, 1000))
PYTHIA_V0_STEPS = tuple(range(1000, 143_001, 1000))
STANFORD_STEPS = (*range(0, 100, 10), *range(100, 2000, 50), *range(2000, 20_000, 100), *range(20_000, 400_001, 1000))
"""As in TransformerLens (tools.model_registry.checkpoints), whose import takes seconds and needs torch.

The training runs are over, so the lists do not change; tests/engine/catalog/test_checkpoints.py compares them.
"""
_FILES_ONLY = ("NeelNanda/", "ArthurConmy/", "Baidicoot/")
"""Publishers whose checkpoints are pickled files of TransformerLens, no revisions."""


def checkpoints(model: str) -> tuple[Checkpoint, ...]:
    """Return the checkpoints of a model by step, without asking a hub; `MODEL@NAME` loads one.

    `model`: adder; a folder that holds a model folder per checkpoint; a hub name with a schedule in TransformerLens
    (Pythia, stanford-crfm); or MODEL@REVISION, which is one checkpoint. Raises ModelError for any other.
    """
    if model == ADDER:
        return bundled_checkpoints()
    local = path_of(model)
    if local.is_dir():
        found = checkpoints_in(local)
        if found:
            return tuple(checkpoint for checkpoint, _ in found)
        raise ModelError(
            f"{model} is {'one model' if (local / 'config.json').is_file() else 'a folder'} without checkpoints.",
            hint="A folder of checkpoints has a model folder for each: step1000/, step2000/, or checkpoint-500/.",
        )
    base, revision = split_checkpoint(model)
    if revision:
        return _one(base, revision)
    schedule = _published(model)
    if schedule:
        return schedule
    if model.startswith(_FILES_ONLY):
        raise ModelError(
            f"The checkpoints of {model} are pickled files, which can run code on loading.",
            hint="Convert those you need with: headcode models import FOLDER, and put the folders into one.",
        )
    raise ModelError(
        f"No checkpoints of {model!r} are known.",
        hint="There are those of adder, of EleutherAI/pythia-* and stanford-crfm/*, and of a folder with a model "
        f"folder for each (step1000/, step2000/); one revision of a hub model is written {model}@REVISION.",
    )


def _one(base: str, revision: str) -> tuple[Checkpoint, ...]:
    """Return the one checkpoint of a name with a revision; where all are known, it must be one of them."""
    known = checkpoints(base) if base == ADDER or path_of(base).is_dir() else ()
    if not known:
        return (Checkpoint(name=revision, step=step_of(revision)),)
    name = revision.removeprefix("step") if base == ADDER else revision
    step = int(name) if name.isascii() and name.isdecimal() else None
    found = tuple(each for each in known if name == each.name or (step is not None and each.step == step))
    if not found:
        names = ", ".join(each.name for each in known)
        raise ModelError(f"{base} has no checkpoint {revision!r}.", hint=f"It has {names}.")
    return found


def _published(model: str) -> tuple[Checkpoint, ...]:
    """Return the published schedule of a hub model, as revisions; empty if it has none."""
    if model.startswith("stanford-crfm/"):
        return tuple(Checkpoint(name=f"checkpoint-{step}", step=step) for step in STANFORD_STEPS)
    if model.startswith("EleutherAI/pythia"):
        steps = PYTHIA_V0_STEPS if "v0" in model else PYTHIA_STEPS
        return tuple(Checkpoint(name=f"step{step}", step=step) for step in steps)
    return ()
