"""Run the requested effect measurement of one run and report its events."""

import time
from collections.abc import Callable, Sequence
from typing import Any

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from engine.analysis.effects import expected_size
from engine.authoring.distinct_pairs import duplicate_rows
from engine.config import EffectsConfig
from engine.errors import Cancelled, ExampleError
from engine.events import (
    SMALLEST,
    CircuitChecked,
    EdgesAttributed,
    EdgesPatched,
    EffectsMeasured,
    EffectsPart,
    Monitor,
    Notice,
    StageProgress,
)
from engine.examples import MOST_PARTS, Example, part_of_each
from engine.models.loading import Model
from engine.nodes import NodeChoice, NodeId
from engine.patching.attribution import SATURATED_POINTS, attribute, points_between
from engine.patching.candidates import affordable, proposals
from engine.patching.circuit_checks import check_circuit, n_measurements
from engine.patching.edge_attribution import attribute_edges, best_edges, n_edges
from engine.patching.edge_patching import Edge, measure_edges
from engine.patching.forward import ForwardPasses
from engine.patching.inputs import PatchingInputs, prepare
from engine.patching.node_patching import mask_of, measure_replaced, one_each
from engine.patching.smallest_circuit import expected_measurements, smallest_circuit
from engine.results import EdgeEffect, NodeEffect, n_edges_reported
from engine.tasks.base import Metric

_PARTIAL_EVERY_S = 1.0
"""Seconds between reports of finished heads while others are still being measured."""
_PART_NUMBERS, _LEAST_PARTS = 8_192, 8
"""Most numbers of all parts together in the log; the more nodes, the fewer parts, down to 8."""
_DIGITS = 5
"""Significant digits of a part's means."""


class EffectsStage:
    """Measures effects and reports them. What was reported stays if it is cancelled."""

    def __init__(
        self,
        model: Model,
        examples: Sequence[Example],
        config: EffectsConfig,
        monitor: Monitor,
        *,
        position: str,
        task: Metric | None,
        seed: int = 0,
        nodes: NodeChoice = "heads",
    ) -> None:
        self.model = model
        self.config = config
        self.monitor = monitor
        self.position = position
        self.seed = seed
        self._begun, self._aside = time.perf_counter(), 0.0
        """Start time, and seconds since spent on edges."""
        self.passes = ForwardPasses(model, monitor, nodes)
        self.layout = self.passes.layout
        # Duplicates would not make means more certain, but their standard errors would look smaller.
        keys = [tuple(model.encode(example.prompt)[0]) for example in examples]
        copies = set(duplicate_rows(examples, keys))
        examples = [example for row, example in enumerate(examples) if row not in copies]
        self.inputs: PatchingInputs = prepare(
            model, self.passes, examples, config, position=position, task=task, monitor=monitor
        )
        self.nodes = self.layout.ids
        self.causes: list[EffectsMeasured] = []
        """Completed measurements, in order."""
        self.checks: list[CircuitChecked] = []
        self._done = self._total = 0

    def find(self, *, ranking: Sequence[NodeId], circuit: Sequence[NodeId], only: Sequence[NodeId] = ()) -> None:
        """Report the requested effects.

        `ranking`: all heads by the run's codes, best first; `circuit`: its cut; `only`: the heads to patch exactly,
        empty for all. Raises NoSuchNode, Cancelled within a block.
        """
        self._check((*ranking, *circuit, *only))
        match self.config.method:
            case "attribution":
                self._attribution()
            case "exact":
                self._plan(len(only or self.nodes))
                self._exact(only or self.nodes)
                if self.config.edges:
                    self._edges()
            case "combined":
                self._combined(ranking)
            case "circuit":
                self._circuit(ranking, circuit)
            case "none":
                pass

    def find_backups(self, circuit: Sequence[NodeId], *, name: str, only: Sequence[NodeId] = ()) -> None:
        """Report each head's effect with the circuit's heads replaced, beside its effect alone.

        This finds heads that take over when others are gone, which no single replacement finds. `only`: the heads to
        measure, empty for all. Raises NoSuchNode, ExampleError if no head is left to measure, Cancelled within a block.
        """
        inside = set(circuit)
        others = [node for node in only or self.nodes if node not in inside]
        self._check((*circuit, *only))
        if not others:
            raise ExampleError(
                "Every named head is in the circuit: none is left to take over.",
                hint="Name other heads, or a smaller circuit.",
            )
        gone = mask_of(circuit, self.layout)
        alone = self._plan_exact([*others] if only else self.nodes, more=len(others) + 1)
        begun, done = self.passes.work, dict[int, Tensor]()
        left = measure_replaced(self.passes, self.inputs, gone[None])[0]
        self._step()
        beside = one_each(others, self.layout) | gone

        def report_finished(*, final: bool) -> None:
            if done:
                places = sorted(done, key=lambda place: others[place])
                effects = torch.stack([(done[place] - left).cpu() for place in places], dim=1)
                self._report_effects(
                    "backup",
                    [others[place] for place in places],
                    effects,
                    passes=self._cost(begun),
                    final=final,
                    alone=torch.stack([alone[others[place]] for place in places], dim=1),
                    after=tuple((layer, head) for layer, head in circuit),
                    after_name=name,
                    left=round(float(left.mean()), 6),
                )

        self._measure_and_report(beside, done, report_finished)

    def find_edges(self, edges: Sequence[Edge]) -> None:
        """Report the exact effects of these edges, those into one layer at a time.

        Raises NoSuchNode, ValueError for a pair that is no edge, Cancelled within a block.
        """
        self._check([node for edge in edges for node in edge])
        clean, inputs = self.inputs.base_by_row, self.inputs
        self._plan(len(edges))
        for place in sorted({self.layout.place(target) for _, target in edges}):
            here = [edge for edge in edges if self.layout.place(edge[1]) == place]
            begun, started = self.passes.work, time.perf_counter()
            effects = (measure_edges(self.passes, inputs, here) - clean).mean(dim=1).tolist()
            found = [
                EdgeEffect(source=source, target=target, effect=round(effect, 6))
                for (source, target), effect in zip(here, effects, strict=True)
            ]
            self.monitor.report(
                EdgesPatched(
                    metric=inputs.answer_metric.metric,
                    replacement=inputs.replacement,
                    base=round(inputs.base, 6),
                    n_examples=len(inputs),
                    edges=tuple(sorted(found, key=lambda edge: (-abs(edge.effect), edge.source, edge.target))),
                    passes=round(self._cost(begun), 2),
                    seconds=round(time.perf_counter() - started, 4),
                    position=self.position,
                )
            )
            for _ in here:
                self._step()

    def _attribution(self) -> Float[Tensor, "row node"]:
        effects = attribute(self.passes, self.inputs, steps=self.config.gradient_steps).cpu()
        # The cost includes the passes over replacements and positives that made the inputs.
        self._report_effects("attribution", self.nodes, effects, passes=self._cost(0))
        if self.config.edges:
            self._edges()
        return effects

    def _edges(self) -> None:
        begun, inputs = self.passes.work, self.inputs
        steps = self.config.gradient_steps
        points = points_between(steps) if steps else SATURATED_POINTS
        started = time.perf_counter()
        edges = attribute_edges(self.passes, inputs, points=points)
        self._aside += time.perf_counter() - started
        n_pairs = n_edges(self.layout)
        self.monitor.report(
            EdgesAttributed(
                metric=inputs.answer_metric.metric,
                replacement=inputs.replacement,
                base=round(inputs.base, 6),
                n_examples=len(inputs),
                edges=best_edges(edges, self.layout, n_edges_reported(n_pairs)),
                n_pairs=n_pairs,
                passes=round(self._cost(begun), 2),
                seconds=round(self._aside, 4),
            )
        )
        # The budget is for heads: edges are not charged to it.
        self.passes.work = begun

    def _exact(self, heads: Sequence[NodeId]) -> Float[Tensor, "row head"]:
        """Patch these heads one at a time and report finished ones at intervals."""
        begun, known = self.passes.work, dict[int, Tensor]()
        clean = self.inputs.base_by_row

        def report_finished(*, final: bool) -> None:
            places = sorted(known, key=lambda place: heads[place])
            if places:
                effects = torch.stack([(known[place] - clean).cpu() for place in places], dim=1)
                self._report_effects(
                    "exact", [heads[place] for place in places], effects, passes=self._cost(begun), final=final
                )

        self._measure_and_report(one_each(heads, self.layout), known, report_finished)
        return torch.stack([(known[place] - clean).cpu() for place in range(len(heads))], dim=1)

    def _plan_exact(self, heads: Sequence[NodeId], *, more: int) -> dict[NodeId, Float[Tensor, " row"]]:
        """Return the exact effect of each of these heads alone, row by row; `more` measurements follow."""
        self._plan(len(heads) + more)
        return dict(zip(heads, self._exact(heads).unbind(dim=1), strict=True))

    def _measure_and_report(
        self, masks: Bool[Tensor, "many node"], known: dict[int, Tensor], report_finished: Callable[..., None]
    ) -> None:
        """Measure the masks into `known`; call `report_finished` at intervals, at the end, and on cancellation.

        Raises Cancelled within a block.
        """
        last = time.monotonic()

        def found(which: int, metric: Tensor) -> None:
            nonlocal last
            known[which] = metric
            self._step()
            if time.monotonic() - last > _PARTIAL_EVERY_S:
                report_finished(final=False)
                last = time.monotonic()

        try:
            measure_replaced(self.passes, self.inputs, masks, found)
        except Cancelled:
            report_finished(final=False)
            raise
        report_finished(final=True)

    def _combined(self, ranking: Sequence[NodeId], more: int = 0) -> list[NodeId]:
        """Report attribution, exact effects within the budget, and both combined; return the heads by effect."""
        promised = self._attribution()
        by_size = _by_expected_size(self.causes[-1])
        heads = proposals([node for node in by_size if node.is_head], [node for node in ranking if node.is_head])
        share = self.inputs.share(self.passes)
        left = self.config.budget - self._cost(0)
        # MLPs are few, and their effects are the ones that attribution estimates worst: all of them are measured.
        others = [node for node in by_size if not node.is_head]
        chosen = others + affordable(heads, self.model.info.n_layers, share, max(left, 0.0))
        self._plan(len(chosen) + more)
        together = promised.clone()
        if chosen:
            exact = self._exact(chosen)
            for column, head in enumerate(chosen):
                together[:, self.layout.index(head)] = exact[:, column]
        self._report_effects("combined", self.nodes, together, passes=self._cost(0))
        return _by_expected_size(self.causes[-1])

    def _circuit(self, ranking: Sequence[NodeId], circuit: Sequence[NodeId]) -> None:
        measurements, keep = n_measurements(self.layout.n_members, len(circuit)), self.config.smallest
        search = expected_measurements(self.layout.n_members) if keep else 0
        more = (3 if keep else 2) * measurements + search
        by_effect = [node for node in self._combined(ranking, more=more) if node.in_circuits]
        ranking = [node for node in ranking if node.in_circuits]
        if not self._check_circuit("codes", circuit, ranking):
            self.monitor.report(
                Notice(
                    message="The circuits are not checked: the answer stays the same with every node replaced.",
                    hint="Give the negatives other prompts than the positives, or choose another replacement.",
                )
            )
            return
        self._check_circuit("combined", by_effect[: len(circuit)], by_effect)
        if keep:
            done = self._done
            found = smallest_circuit(
                self.passes, self.inputs, by_effect, lambda n: self._step() if n <= search else None, keep=keep
            )
            self._done = done + search
            inside = set(found)
            self._check_circuit(SMALLEST, found, [*found, *(node for node in by_effect if node not in inside)])

    def _check_circuit(self, name: str, circuit: Sequence[NodeId], order: Sequence[NodeId]) -> bool:
        """Report how the circuit compares with the whole model; False if that cannot be said."""
        check = check_circuit(
            self.passes, self.inputs, name, circuit, order, lambda _done: self._step(), seed=self.seed
        )
        if check is None:
            return False
        self.checks.append(check)
        self.monitor.report(check)
        return True

    def _check(self, heads: Sequence[NodeId]) -> None:
        for head in heads:
            self.layout.check(head)

    def _cost(self, begun: int) -> float:
        """Return the cost since `begun`, in forward passes of the inputs."""
        return (self.passes.work - begun) / (self.inputs.tokens.numel() * self.passes.n_layers)

    def _plan(self, total: int) -> None:
        self._done, self._total = 0, total

    def _step(self) -> None:
        self._done += 1
        self.monitor.report(StageProgress(stage="cause", done=min(self._done, self._total), total=self._total))

    def _report_effects(
        self,
        method: str,
        heads: Sequence[NodeId],
        effects: Float[Tensor, "row head"],
        *,
        passes: float,
        final: bool = True,
        alone: Float[Tensor, "row head"] | None = None,
        **about: Any,
    ) -> None:
        """Report mean effects. `alone`: effects with nothing else replaced; `about`: more fields of the event."""
        inputs = self.inputs
        n = len(effects)
        means = effects.mean(dim=0).tolist()
        errors = (effects.std(dim=0) / n**0.5).tolist() if n > 1 else [None] * len(heads)
        sizes = effects.abs().mean(dim=0).tolist()
        before = [None] * len(heads) if alone is None else alone.mean(dim=0).tolist()
        scored = EffectsMeasured(
            method=method,  # type: ignore[arg-type]  # one of ours
            metric=inputs.answer_metric.metric,
            replacement=inputs.replacement,
            base=round(inputs.base, 6),
            n_examples=n,
            position=self.position,
            effects=tuple(
                NodeEffect(
                    layer=head.layer,
                    head=head.head,
                    effect=round(mean, 6),
                    error=None if error is None else round(error, 6),
                    size=round(size, 6),
                    alone=None if here is None else round(here, 6),
                )
                for head, mean, error, size, here in zip(heads, means, errors, sizes, before, strict=True)
            ),
            passes=round(passes, 2),
            final=final,
            seconds=round(time.perf_counter() - self._begun - self._aside, 4),
            why=inputs.why,
            gradient_steps=self.config.gradient_steps if method in ("attribution", "combined") else 0,
            parts=_parts(inputs.base_by_row, effects) if method == "exact" and final else (),
            **about,
        )
        if final:
            self.causes.append(scored)
        self.monitor.report(scored)


def _parts(base: Float[Tensor, " row"], effects: Float[Tensor, "row head"]) -> tuple[EffectsPart, ...]:
    """Return the means over each part of the rows (engine.examples.part_of_each); one row alone has no parts."""
    most = min(MOST_PARTS, max(_LEAST_PARTS, _PART_NUMBERS // effects.shape[1]))
    parts = torch.tensor(part_of_each(len(effects), most))
    if len(parts) < 2:
        return ()

    def rounded(values: Tensor) -> list[float]:
        return [float(f"{value:.{_DIGITS}g}") for value in values.mean(dim=0).reshape(-1).tolist()]

    found = []
    for part in range(int(parts.max()) + 1):
        rows = parts == part
        here = base.cpu()[rows]
        found.append(EffectsPart(n_examples=len(here), base=rounded(here)[0], effects=tuple(rounded(effects[rows]))))
    return tuple(found)


def _by_expected_size(cause: EffectsMeasured) -> list[NodeId]:
    """Return the heads by expected size of their effect on other prompts."""
    best = sorted(cause.effects, key=lambda each: (-expected_size(each), each.layer, each.head))
    return [NodeId(each.layer, each.head) for each in best]
