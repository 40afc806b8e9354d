"""Turn nodes off on one prompt: the next token before and after."""

from pathlib import Path

import torch

from engine.events import Monitor
from engine.models.warm_model import WarmModel
from engine.node_parts import NextToken
from engine.nodes import NodeId
from engine.patching.node_patching import mask_of, replacing
from engine.patching.partial_forward import PartialPass
from engine.protocol import AblateNodes, NodesAblated
from engine.worker.measure_places import check_node, prepare_parts, within_memory

_DIGITS = 6


def ablate_nodes(request: AblateNodes, warm_model: WarmModel, monitor: Monitor) -> NodesAblated:
    """Predict the next token with the nodes turned off at every position. Raises NoSuchNode, and as `prepare_parts`."""

    def measure() -> NodesAblated:
        nodes = [NodeId(*node) for node in request.nodes]
        model, _ = warm_model.take(request.model, Path(request.models), request)
        for node in nodes:
            check_node(model, node)
        prepared = prepare_parts(request, warm_model, monitor, unequal=True)
        passes, inputs = prepared.passes, prepared.inputs
        whole = PartialPass(
            rows=torch.arange(len(inputs), device=inputs.tokens.device),
            tokens=inputs.tokens,
            last=inputs.last,
            begin=0,
            end=inputs.tokens.shape[1],
            prefix=None,
            short=False,
        )
        edit, changed, hooks = replacing(passes, inputs, mask_of(nodes, passes.layout)[None], whole)
        with torch.no_grad():
            logits = passes.run(inputs.tokens, inputs.last, edit=edit, edited=changed, more_hooks=hooks)
        before, after = (each[0].double().log_softmax(dim=-1) for each in (inputs.clean.logits, logits))
        chosen = list(dict.fromkeys([*_best(before, request.most), *_best(after, request.most)]))
        return NodesAblated(
            job=request.job,
            model=model.info,
            how=prepared.how(),
            tokens=prepared.words()[0],
            next_tokens=tuple(
                NextToken(
                    token=model.token_words(token),
                    before=round(float(before[token].exp()), _DIGITS),
                    after=round(float(after[token].exp()), _DIGITS),
                    rank_before=int((before > before[token]).sum()) + 1,
                    rank_after=int((after > after[token]).sum()) + 1,
                )
                for token in chosen
            ),
            kl=round(float((before.exp() * (before - after)).sum()), _DIGITS),
        )

    return within_memory(measure, request)


def _best(logarithms: torch.Tensor, most: int) -> list[int]:
    return logarithms.topk(min(most, len(logarithms))).indices.tolist()
