"""Steer a model: the answer before and after, the dose-response curve, new tokens, and what ordinary text loses."""

from collections.abc import Sequence
from pathlib import Path

import msgspec
import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.capture.prompts import answers_of, encode_prompt
from engine.errors import ConfigError, ExampleError, ModelError
from engine.events import Monitor
from engine.examples import Example
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.node_parts import NextToken
from engine.nodes import EMBEDDING, NodeId
from engine.patching.directions import Encoded, contrast_direction, mean_length, random_directions
from engine.patching.dose_response import measure_doses, points_of, text_cost
from engine.patching.forward import ForwardPasses
from engine.patching.generation import generate
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.steering_edits import AddedDirection, FixedOutputs, SteeringEdit
from engine.protocol import ModelSteered, SteerModel
from engine.sae.stored import code_directions
from engine.steering import SteeredText, SteerPlan, SteerResult, TextCost
from engine.worker.measure_places import KeepsNotices, Prepared, check_node, prepare_parts, within_memory
from engine.worker.ordinary_text import ordinary_texts

_DIGITS = 6
_TEXT_RANDOM = 4
"""Random directions whose cost is measured on ordinary text, too: each costs a pass over the text."""


def steer(request: SteerModel, warm_model: WarmModel, monitor: Monitor) -> ModelSteered:
    """Steer the model as planned.

    Raises NoSuchNode, ConfigError, ExampleError, ModelError, EngineError for unreadable SAE weights, Cancelled.
    """

    def measure() -> ModelSteered:
        plan = request.plan
        nodes = [NodeId(*node) for node in plan.nodes]
        model, _ = warm_model.take(request.model, Path(request.models), request)
        for node in nodes:
            check_node(model, node)
        prepared = prepare_parts(request, warm_model, monitor)
        work = _Work(request, prepared, monitor)
        result = work.measure(nodes)
        return ModelSteered(job=request.job, model=model.info, result=result)

    return within_memory(measure, request)


class _Work:
    """One steering: the model, its passes, and what is asked."""

    def __init__(self, request: SteerModel, prepared: Prepared, monitor: Monitor) -> None:
        self._request, self._plan, self._prepared = request, request.plan, prepared
        self._passes: ForwardPasses = prepared.passes
        self._model: Model = prepared.model
        self._notices = KeepsNotices(monitor)
        self._passes.monitor = self._notices

    def measure(self, nodes: Sequence[NodeId]) -> SteerResult:
        plan, before = self._plan, self._passes.work
        prompt, (ids, own) = self._shown()
        directions, unit = None, 0.0
        if plan.kind in ("code", "contrast"):
            directions, unit = self._directions(nodes[0])
        doses, part = self._request.doses, bool(self._request.doses)
        if part:
            result = SteerResult(unit=round(unit, _DIGITS), prompt=prompt)
        else:
            result = self._answer(nodes, directions, unit, prompt, ids, own)
        strengths = plan.strengths if doses is None else doses
        if directions is not None and strengths:
            result = self._curve(result, nodes[0], directions * unit, strengths)
        if plan.generate and not part:
            result = self._texts(result, nodes, directions, unit, ids, own)
        if plan.cost and not part:
            result = msgspec.structs.replace(result, cost=self._cost(nodes, directions, unit))
        tokens = int((self._prepared.inputs.last + 1).sum())
        return msgspec.structs.replace(
            result,
            passes=round((self._passes.work - before) / (tokens * self._passes.n_layers), 3),
            seconds=self._prepared.how().seconds,
            notices=tuple(dict.fromkeys([*self._prepared.notices, *self._notices.notices])),
        )

    def _shown(self) -> tuple[str, Encoded]:
        """Return the prompt whose answer is shown, and its tokens. Raises ExampleError if there is none."""
        examples = self._plan.prompts or self._request.examples
        if self._plan.example >= len(examples):
            raise ExampleError(
                f"There is no example {self._plan.example + 1}.", hint=f"Examples are 1 to {len(examples)}."
            )
        chosen = examples[self._plan.example]
        return chosen.prompt, encode_prompt(self._model, self._plan.example, chosen)

    def _directions(self, node: NodeId) -> tuple[Float[Tensor, "direction d_model"], float]:
        """Return the direction and the random ones, all of length 1, and the length of strength 1."""
        plan, inputs = self._plan, self._prepared.inputs
        if plan.kind == "code":
            rows = code_directions(Path(self._request.sae), self._request.seed_index, others=not node.is_head)
            if not 0 <= plan.code < len(rows):
                raise ConfigError(
                    f"{node} has no code {plan.code}: its dictionary has codes 0 to {len(rows) - 1}.",
                    hint="The close look lists the codes that the run saw.",
                )
            if rows.shape[1] != self._model.info.d_model:
                raise ModelError(
                    f"The SAE of this run is {rows.shape[1]} wide and {self._model.info.name} "
                    f"{self._model.info.d_model}.",
                    hint="It belongs to another model: run the probe again.",
                )
            own, unit = rows[plan.code].to(self._model.device), mean_length(self._passes, inputs, node)
        else:
            toward, away = (self._side(side, positive) for side, positive in ((plan.toward, True), (plan.away, False)))
            own = contrast_direction(self._passes, node, toward, away, source=plan.source, read=plan.read)
            unit = float(own.norm())
        random = random_directions(self._passes, node, plan.random, plan.seed or 0, plan.control)
        return torch.cat([torch.nn.functional.normalize(own, dim=0)[None], random]), unit

    def _side(self, texts: Sequence[str], positive: bool) -> list[Encoded]:
        prompts = texts or [each.prompt for each in self._request.examples if each.positive == positive]
        if not prompts:
            raise ExampleError(
                f"There are no {'positives' if positive else 'negatives'} to take a mean over.",
                hint="Give a file of prompts: --toward, --away.",
            )
        return [
            encode_prompt(self._model, place, Example(prompt=each, polarity="positive"))
            for place, each in enumerate(prompts)
        ]

    def _steering(self, nodes: Sequence[NodeId], vectors: Float[Tensor, "row d_model"] | None) -> SteeringEdit:
        """Return what steers, for rows with these vectors; without vectors, nodes are turned off."""
        if vectors is not None:
            return AddedDirection(self._model, nodes[0], vectors)
        off = list(nodes)
        if self._plan.kind == "only":
            layout = self._model.layout(self._request.nodes)
            off = [node for node in layout.ids if node not in nodes and node != EMBEDDING]
        return FixedOutputs(self._passes, self._prepared.inputs, off)

    def _answer(
        self,
        nodes: Sequence[NodeId],
        directions: Tensor | None,
        unit: float,
        prompt: str,
        ids: Sequence[int],
        own: Sequence[bool],
    ) -> SteerResult:
        """Return the next token as it is and steered."""
        model, places = self._model, steered_places(self._plan, own)
        tokens = torch.tensor([list(ids)], device=model.device)
        last = torch.tensor([len(ids) - 1], device=model.device)
        vectors = None if directions is None else directions[:1] * unit * self._plan.strength
        steering = self._steering(nodes, vectors)
        with torch.no_grad():
            plain = self._passes.run(tokens, last)[0]
            changed = self._passes.run(tokens, last, more_hooks=steering.hooks(_where(places, 1, ids, model.device)))[0]
        before, after = (each.double().log_softmax(dim=-1) for each in (plain, changed))
        most = min(self._plan.most, len(before))
        chosen = dict.fromkeys([*before.topk(most).indices.tolist(), *after.topk(most).indices.tolist()])
        return SteerResult(
            unit=round(unit, _DIGITS),
            prompt=prompt,
            tokens=model.prompt_words(ids, own),
            steered=tuple(places),
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
            kl=max(round(float((before.exp() * (before - after)).sum()), _DIGITS), 0.0),
        )

    def _curve(
        self,
        result: SteerResult,
        node: NodeId,
        vectors: Float[Tensor, "direction d_model"],
        strengths: Sequence[float],
    ) -> SteerResult:
        """Measure the answer at these strengths, on the prompts of the plan or the run's positives."""
        inputs = self._prepared.inputs if not self._plan.prompts else self._own_inputs()
        examples = self._plan.prompts or self._request.examples
        places = []
        for index in inputs.examples:
            _, own = encode_prompt(self._model, index, examples[index])
            places.append(steered_places(self._plan, own, index))
        where = torch.zeros_like(inputs.where)
        for row, some in enumerate(places):
            where[row, some] = True
        metrics = measure_doses(self._passes, inputs, node, vectors, strengths, where)
        return msgspec.structs.replace(
            result,
            metric=inputs.answer_metric.metric,
            base=round(inputs.base, _DIGITS),
            prompts=len(inputs),
            points=points_of(metrics, inputs.base_by_row, strengths),
        )

    def _own_inputs(self) -> PatchingInputs:
        """Return the prompts of the plan; those without an expected token expect what the model says."""
        prompts = [_answered(self._model, self._passes, place, each) for place, each in enumerate(self._plan.prompts)]
        config = msgspec.structs.replace(self._request.config, metric="auto", examples=len(prompts), replacement="zero")
        return prepare(
            self._model, self._passes, prompts, config, position="mean", task=None, monitor=self._notices, unequal=True
        )

    def _texts(
        self,
        result: SteerResult,
        nodes: Sequence[NodeId],
        directions: Tensor | None,
        unit: float,
        ids: Sequence[int],
        own: Sequence[bool],
    ) -> SteerResult:
        """Generate, at every strength of the plan side by side."""
        plan, device = self._plan, self._model.device
        strengths = [0.0, 1.0]
        vectors = None
        if directions is not None:
            strengths = sorted({0.0, plan.strength, *plan.strengths})
            vectors = torch.tensor(strengths, device=device)[:, None] * unit * directions[:1]
        steered = torch.tensor([bool(each) for each in strengths], device=device)
        found = generate(
            self._passes,
            ids,
            plan.generate,
            len(strengths),
            self._steering(nodes, vectors),
            _where(steered_places(plan, own), len(strengths), ids, device) & steered[:, None],
            steered & (plan.where in ("all", "generated")),
            _ends(self._model),
        )
        texts = tuple(
            SteeredText(strength=strength, tokens=tuple(map(self._model.token_words, row)))
            for strength, row in zip(strengths, found.rows, strict=True)
        )
        return msgspec.structs.replace(result, texts=texts, cached=found.cached)

    def _cost(self, nodes: Sequence[NodeId], directions: Tensor | None, unit: float) -> TextCost | None:
        texts = ordinary_texts(self._passes, self._plan.text, self._notices)
        ways = [self._steering(nodes, None)] if directions is None else []
        if directions is not None:
            for each in directions[: 1 + _TEXT_RANDOM]:
                ways.append(self._steering(nodes, each[None] * unit * self._plan.strength))
        return text_cost(self._passes, texts, ways)


def steered_places(plan: SteerPlan, own: Sequence[bool], index: int = 0) -> list[int]:
    """Return the steered positions of a prompt. Raises ConfigError for a place that it does not have."""
    places = [place for place, is_own in enumerate(own) if is_own]
    if plan.where == "all":
        return places
    if plan.where in ("last", "generated"):
        return [len(own) - 1]
    if not -len(places) <= plan.place < len(places):
        raise ConfigError(
            f"place {plan.place}: prompt {index + 1} has {len(places)} tokens.",
            hint=f"Use {-len(places)} to {len(places) - 1}.",
        )
    return [places[plan.place]]


def _where(places: Sequence[int], rows: int, ids: Sequence[int], device: torch.device) -> Bool[Tensor, "row position"]:
    where = torch.zeros(rows, len(ids), dtype=torch.bool, device=device)
    where[:, list(places)] = True
    return where


def _answered(model: Model, passes: ForwardPasses, place: int, example: Example) -> Example:
    """Return the prompt as a positive; without an expected token, with the model's own next one."""
    example = msgspec.structs.replace(example, polarity="positive", pair=None)
    if example.expected and answers_of(model, example).expected:
        return example
    ids, _ = encode_prompt(model, place, example)
    tokens = torch.tensor([ids], device=model.device)
    with torch.no_grad():
        best = int(passes.run(tokens, torch.tensor([len(ids) - 1], device=model.device))[0].argmax())
    typed = model.tokens.typed(example.prompt, best)
    return example if typed is None else msgspec.structs.replace(example, expected=(typed,), foils=())


def _ends(model: Model) -> frozenset[int]:
    """Return the tokens that end a text."""
    config = getattr(model.bridge.original_model, "generation_config", None)
    found = [getattr(config, "eos_token_id", None), model.tokenizer.eos_token_id]
    flat = [token for each in found for token in (each if isinstance(each, list | tuple) else [each])]
    return frozenset(token for token in flat if isinstance(token, int))
