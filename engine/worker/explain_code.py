"""Explain a code of a run: the warm model reads other prompts with the run's own autoencoder."""

from pathlib import Path

import torch

from engine.capture.code_reader import CodeReader
from engine.errors import ModelError, OutOfMemory
from engine.events import Monitor
from engine.explaining.explanation import Explainer
from engine.explaining.prompt_sets import prompt_sets
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId
from engine.protocol import CodeExplained, ExplainCode
from engine.tensors.out_of_memory import is_out_of_memory


def explain_code(request: ExplainCode, warm_model: WarmModel, monitor: Monitor) -> CodeExplained:
    """Explain the code. Raises Cancelled, EngineError for unreadable SAE weights, and more of its family."""
    model, _ = warm_model.take(request.model, Path(request.models), request)
    if model.info.identity != request.identity:
        raise ModelError(f"{model.info.name} has other weights now than in the run.", hint="Run the probe again.")
    node = NodeId(request.layer, request.head)
    model.layout(request.config.nodes).check(node)
    try:
        with torch.no_grad():
            explainer = _explainer(request, model, warm_model, monitor)
            seed = request.config.seeds[request.seed_index]
            found = explainer.explain(node, request.code, seed=seed, atlas=request.atlas)
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise OutOfMemory(
            f"Memory ran out while a code was explained: {str(error).strip().splitlines()[0][:300]}",
            hint="Choose a smaller model, or --device cpu.",
        ) from error
    return CodeExplained(job=request.job, model=model.info, explanation=found)


class _Kept:
    """The explainer of the last request: it has read the codes of all nodes, which serve every code of the run."""

    def __init__(self, key: tuple[object, ...], explainer: Explainer) -> None:
        self.key, self.explainer = key, explainer


def _explainer(request: ExplainCode, model: Model, warm_model: WarmModel, monitor: Monitor) -> Explainer:
    key = (request.examples, request.config, request.sae, request.seed_index, request.task)
    kept = warm_model.explainer
    if isinstance(kept, _Kept) and kept.key == key and kept.explainer.reader.model is model:
        kept.explainer.reader.monitor = monitor
        return kept.explainer
    warm_model.explainer = None
    folder = Path(request.activations) if request.activations else None
    reader = CodeReader(model, request.examples, request.config, Path(request.sae), request.seed_index, folder, monitor)
    sets = prompt_sets(model, request.examples, request.task, paired=reader.pairs_needed)
    explainer = Explainer(reader, sets)
    warm_model.explainer = _Kept(key, explainer)
    return explainer
