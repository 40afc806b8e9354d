"""The documents that come with Headcode: README and the pages of docs/."""

from collections.abc import Mapping
from functools import cache
from pathlib import Path

import msgspec

_HERE = Path(__file__).resolve().parents[1]
_WORDS: Mapping[str, tuple[str, ...]] = {
    "README.md": ("docs", "documentation", "manual", "help", "readme", "about"),
    "docs/api.md": ("python", "library", "notebook", "jupyter", "transformerlens", "script", "code"),
    "docs/architecture.md": ("develop", "source code", "contribute", "internals"),
    "docs/atlas.md": ("ordinary text", "induction heads", "corpus", "contexts", "scatter", "kinds of heads"),
    "docs/bench.md": ("benchmark", "evaluation", "auc"),
    "docs/cause.md": ("activation patching", "causal effect", "logit difference", "faithfulness", "ablation"),
    "docs/compare.md": ("compare runs", "diff"),
    "docs/dependable.md": ("crash", "lost connection", "data safety", "backup"),
    "docs/examples.md": ("prompts", "dataset format", "jsonl", "templates", "negatives"),
    "docs/explain.md": ("explain", "what does a code mean", "interpretation", "feature families", "neuron2graph"),
    "docs/exports.md": ("export", "csv", "graphml", "json", "python", "share", "pandas"),
    "docs/first-hour.md": ("tutorial", "getting started", "intro", "learn", "name mover", "beginner", "example"),
    "docs/getting-models.md": (
        "download model",
        "huggingface",
        "hugging face",
        "hub",
        "load model",
        "fetch model",
        "gguf",
        "checkpoints",
        "gpt2",
        "add model",
    ),
    "docs/glossary.md": ("definitions", "terms", "what is", "meaning", "vocabulary", "dictionary"),
    "docs/inside.md": ("mlp", "neurons", "residual stream", "token positions"),
    "docs/keys-and-settings.md": (
        "keybindings",
        "bigger font",
        "remap keys",
        "vim",
        "config file",
        "screen reader",
        "accessibility",
        "mlp",
    ),
    "docs/method.md": ("formulas", "paper", "theory", "sae", "sparse autoencoder", "total variation", "math"),
    "docs/models.md": ("supported models", "architectures", "llama", "gpt2", "pythia"),
    "docs/peers.md": ("transformerlens", "other tools", "neuronpedia"),
    "docs/planted.md": ("ground truth", "synthetic model", "hand-written circuit"),
    "docs/report.md": ("report", "html", "share", "colleague", "print", "pdf"),
    "docs/running.md": ("options", "out of memory", "hyperparameters", "gpu", "multi gpu"),
    "docs/sql.md": ("database", "duckdb", "query", "sql", "tables"),
    "docs/steer.md": ("steering", "activation addition", "steering vector", "dose response", "generate"),
    "docs/sweeps.md": (
        "sweep",
        "grid search",
        "batch",
        "hyperparameter search",
        "slurm",
        "cluster",
        "many runs",
    ),
    "docs/verify.md": ("reproduce", "reproducibility"),
}


class DocumentPage(msgspec.Struct, frozen=True, kw_only=True):
    """A page of documentation."""

    name: str
    """README.md or docs/NAME.md."""
    title: str
    """Its first heading."""
    path: Path
    words: tuple[str, ...] = ()


@cache
def documents() -> tuple[DocumentPage, ...]:
    """Return the documents that are installed, README first. A wheel has them in tui/documents, a clone in docs/."""
    for root in (_HERE / "documents", _HERE.parent):
        readme = root / "README.md"
        pages = sorted((root / "docs").glob("*.md"))
        if readme.is_file() and pages:
            return tuple(_document(path, path.relative_to(root).as_posix()) for path in (readme, *pages))
    return ()


def _document(path: Path, name: str) -> DocumentPage:
    with path.open(encoding="utf-8") as file:
        title = next((line[2:].strip() for line in file if line.startswith("# ")), path.stem)
    return DocumentPage(name=name, title=title, path=path, words=(path.stem.replace("-", " "), *_WORDS.get(name, ())))
