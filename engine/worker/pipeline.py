"""A probe from prompts to scores: the only file that knows the order of the stages."""

import platform
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from importlib.metadata import version
from pathlib import Path

import msgspec
import torch
from safetensors.torch import save_file
from torch import Tensor

from engine.analysis.card import write_card
from engine.analysis.effects import with_effects
from engine.analysis.ground_truth import as_chosen
from engine.analysis.ranking import circuit_by_rank, circuit_by_softmax, ranked
from engine.authoring.distinct_pairs import duplicate_rows, format_missing, shared_template
from engine.capture.head_outputs import HeadOutputs, direct_effects, node_outputs, read_examples
from engine.capture.token_notices import tokenizer_notices
from engine.catalog.recommended_config import resolve_config
from engine.errors import Cancelled, ConfigError, EngineError, OutOfMemory, TaskError
from engine.events import (
    ArrayReady,
    CardWritten,
    CircuitChecked,
    EdgesScored,
    EffectsMeasured,
    ExamplesMade,
    Graded,
    ModelReady,
    Monitor,
    Notice,
    ProbeFinished,
    ReferenceKnown,
    Scored,
    Stage,
    StageFinished,
    StageStarted,
)
from engine.examples import Example, check_set, content_hash
from engine.grading.rules import grade_examples
from engine.grading.usable_pairs import make_examples
from engine.machine.cpu import processor_name
from engine.machine.memory import format_memory, format_requested, memory
from engine.models.loading import Model
from engine.models.warm_model import WarmModel
from engine.nodes import NodeId
from engine.patching.effects_stage import EffectsStage
from engine.planning.option_checks import option_warnings
from engine.protocol import RunProbe
from engine.references.known_circuits import known_circuit
from engine.results import ExampleCount, Grade, ModelInfo, NodeScores, Reference, Timings, Versions
from engine.sae.node_codes import NodeCodes, NodeSAEs
from engine.scoring.score_table import ScoreTable, pair_rows
from engine.tasks.base import Task
from engine.tasks.registry import find_task, made_by
from engine.tensors.out_of_memory import is_out_of_memory
from engine.tensors.threads import most_threads


class ProbeJob:
    """One run: reports every stage to its monitor and leaves arrays in the spool folder."""

    def __init__(self, request: RunProbe, warm_model: WarmModel, monitor: Monitor) -> None:
        self.request = request
        self.config = resolve_config(request.config, request.model, Path(request.models))
        self.warm_model = warm_model
        self.monitor = monitor
        self.seconds: dict[Stage, float] = {}
        self.reference: Reference | None = None
        self.keys: list[tuple[int, ...]] = []
        """Every example's tokens."""
        self.made = False
        """True if the task made all examples: then its known circuit and its metric apply."""

    def run(self) -> None:
        """Run all stages in order. Raises an EngineError; what was reported before stays valid."""
        begun = time.perf_counter()
        try:
            self._run(begun)
        except (RuntimeError, MemoryError) as error:
            if not is_out_of_memory(error):
                raise
            raise out_of_memory(error, self.request) from error

    def _run(self, begun: float) -> None:
        with self._stage("load", 1, "model"):
            model = self._load()
        layout = model.layout(self.config.nodes)
        size = self.config.circuit_size
        if size is not None and size > layout.n_members:
            raise ConfigError(
                f"--circuit-size {size}: {model.info.name} has {layout.members}.",
                hint="By default it is a tenth of them.",
            )
        for notice in (
            model.contributions.notice(model.info.name),
            model.mlps.notice(model.info.name) if self.config.nodes == "all" else None,
        ):
            if notice is not None:
                self.monitor.report(notice)
        for warning in option_warnings(self.config):
            self.monitor.report(Notice(message=warning, hint="Compare its results with effects (--cause combined)."))
        examples = self._examples(model)
        if self.config.shuffles != 0:
            self._warn_if_few(model, examples)
        with self._stage("capture", len(examples), "prompts"), torch.inference_mode():
            folder = Path(self.request.activations) if self.request.activations else None
            pairs = pair_rows(examples)
            captured = read_examples(model, examples, self.config, self.monitor, folder, pairs, self.config.nodes)
            for notice in tokenizer_notices(model, examples, captured.answers):
                self.monitor.report(notice)
            outputs = node_outputs(model, captured, at_own_position=self.config.position == "mean")
            inputs = NodeCodes(outputs, pairs, layout, self.config)
        grades: tuple[Grade, ...] = ()
        if self.config.grade:
            with self._stage("grade", len(examples), "prompts"):
                grades = self._grade(model, examples, captured)
        with self._stage("train", self.config.sae.steps, "steps"):
            # Baselines belong to this stage: for thousands of prompts they take longer than the training.
            scores = ScoreTable(
                outputs.whole,
                examples,
                self.config,
                layout,
                length=inputs.length,
                direct=direct_effects(captured),
                keys=self.keys,
            )
            saes = inputs.train(
                scores.rows,
                scores.positive,
                scores.pairs,
                self.monitor,
                lambda codes: self.monitor.report(Scored(nodes=scores.provisional(codes), final=False)),
            )
        with self._stage("codes", len(examples), "prompts"):
            codes = inputs.codes(saes)
            self._save_arrays(codes, saes)
        with self._stage("scores", 100, "%"):
            nodes, edges = scores.final(codes, self.monitor)
            self.monitor.report(Scored(nodes=nodes, final=True))
            self.monitor.report(EdgesScored(edges=edges.best(), n_pairs=len(edges.score)))
            # Codes of a diverged SAE are meaningless, whatever their scores.
            circuit = [] if saes.diverged else circuit_by_rank(nodes, scores.circuit_size)
            stability = scores.stability(codes, len(circuit))
        causes, checks = self._measure_effects(model, examples, nodes, circuit)
        count = ExampleCount(
            positive=sum(example.positive for example in examples),
            negative=sum(not example.positive for example in examples),
            broken=sum(grade.verdict == "broken" for grade in grades),
            distinct_positive=scores.distinct[0],
            distinct_negative=scores.distinct[1],
            clusters=max(scores.clusters) + 1 if scores.clusters else None,
        )
        card = write_card(
            with_effects(nodes, causes),
            circuit,
            stability,
            count,
            chance=scores.chance,
            reference=self.reference,
            causes=causes,
            checks=checks,
            diverged=saes.diverged,
            template=shared_template(examples),
        )
        self.monitor.report(CardWritten(card=card))
        self.monitor.report(
            ProbeFinished(
                examples=count,
                circuit=tuple((layer, head) for layer, head in circuit),
                circuit_softmax=()
                if saes.diverged
                else tuple((layer, head) for layer, head in circuit_by_softmax(nodes, self.config.theta)),
                timings=Timings(**self.seconds, total=round(time.perf_counter() - begun, 4)),
                cached=captured.cached,
                direct=None if scores.direct is None else scores.direct.total,
            )
        )

    def _load(self) -> Model:
        request = self.request
        model, warm = self.warm_model.take(request.model, Path(request.models), request)
        self.monitor.report(ModelReady(model=self._info(model), versions=versions(model), warm=warm))
        return model

    def _info(self, model: Model) -> ModelInfo:
        """Return the model with the nodes that this run looks at."""
        layout = model.layout(self.config.nodes)
        return msgspec.structs.replace(model.info, nodes=layout.choice, parallel_mlps=layout.parallel)

    def _examples(self, model: Model) -> tuple[Example, ...]:
        request = self.request
        examples = request.examples
        if not examples:
            if request.task is None:
                raise EngineError("The request has neither examples nor a task.", hint="Name a task.")
            examples = self._make_examples(model, find_task(request.task))
            self.made = True
        examples = check_set(examples)
        self.keys = [tuple(model.encode(example.prompt)[0]) for example in examples]
        self.made = self.made or request.made or made_by(request.task, examples)
        task = request.task if self.made else None
        self.monitor.report(
            ExamplesMade(
                examples=examples,
                content_hash=content_hash(examples),
                task=task,
                repeats=duplicate_rows(examples, self.keys),
                made=self.made,
            )
        )
        self.reference = self._known_circuit(model, task)
        if self.reference is not None:
            self.monitor.report(ReferenceKnown(reference=self.reference))
        return examples

    def _warn_if_few(self, model: Model, examples: Sequence[Example]) -> None:
        """Report a notice before anything is computed if the set is too small for one head to be significant."""
        layout = model.layout(self.config.nodes)
        missing = format_missing(examples, layout.n_nodes, self.keys, nodes=layout.choice)
        if missing:
            copies = "; copies count once" if duplicate_rows(examples, self.keys) else ""
            drawn = self.request.task is not None and not self.request.examples
            self.monitor.report(
                Notice(
                    message=f"Few examples: {missing}{copies}.",
                    hint="Leave --pairs out: as many pairs as needed are drawn."
                    if drawn
                    else "Propose more of the same kind: headcode examples more SESSION, or N on the write screen.",
                )
            )

    def _known_circuit(self, model: Model, task: str | None) -> Reference | None:
        """Return the known circuit for the run: the chosen task's, else that of the task that made the examples.

        Raises TaskError if the chosen task has none for this model.
        """
        wanted, info = self.request.known, self._info(model)
        if wanted is None or wanted == task:
            return known_circuit(info, model.folder, task)
        found = known_circuit(info, model.folder, find_task(wanted).name)
        if found is None:
            raise TaskError(
                f"No circuit is known for {wanted} on {model.info.name}: nothing can be compared with it.",
                hint="Leave --known out, or measure the heads' effects: --cause exact.",
            )
        return as_chosen(found)

    def _make_examples(self, model: Model, task: Task) -> tuple[Example, ...]:
        request = self.request
        drawn = make_examples(
            task, model, pairs=request.pairs, seed=request.task_seed, usable=request.usable, monitor=self.monitor
        )
        if drawn.notice is not None:
            self.monitor.report(drawn.notice)
        return drawn.examples

    def _grade(self, model: Model, examples: Sequence[Example], captured: HeadOutputs) -> tuple[Grade, ...]:
        grades = grade_examples(model, examples, captured)
        self.monitor.report(Graded(grades=grades))
        broken = [grade for grade in grades if grade.verdict == "broken"]
        if broken:
            first = broken[0]
            self.monitor.report(
                Notice(
                    message=f"{len(broken)} of {len(grades)} examples are broken; the first is example "
                    f"{first.index + 1}: {first.reason}.",
                    hint="The run uses them all the same: fix or disable them, negatives decide accuracy.",
                )
            )
        return grades

    def _measure_effects(
        self, model: Model, examples: Sequence[Example], nodes: tuple[NodeScores, ...], circuit: Sequence[NodeId]
    ) -> tuple[list[EffectsMeasured], list[CircuitChecked]]:
        """Measure and report effects if requested; return the measurements and circuit checks."""
        if self.config.cause.method == "none":
            return [], []
        with self._stage("cause", 0, "measurements"):
            found = EffectsStage(
                model,
                examples,
                self.config.cause,
                self.monitor,
                position=self.config.position,
                task=find_task(self.request.task).metric if self.made and self.request.task is not None else None,
                seed=self.config.seeds[0],
                nodes=self.config.nodes,
            )
            found.find(ranking=[node.id for node in ranked(nodes)], circuit=circuit)
        return found.causes, found.checks

    def _save_arrays(self, codes: Tensor, saes: NodeSAEs) -> None:
        spool = Path(self.request.spool)
        spool.mkdir(parents=True, exist_ok=True)
        save_file({"codes": codes.contiguous()}, spool / "codes.safetensors")
        self.monitor.report(ArrayReady(name="codes", file="codes.safetensors", shape=tuple(codes.shape)))
        save_file(saes.weights, spool / "sae.safetensors")
        self.monitor.report(ArrayReady(name="sae", file="sae.safetensors", shape=tuple(saes.heads.encoder.shape)))

    @contextmanager
    def _stage(self, stage: Stage, total: int, unit: str) -> Iterator[None]:
        if self.monitor.cancelled():
            raise Cancelled
        self.monitor.report(StageStarted(stage=stage, total=total, unit=unit))
        begun = time.perf_counter()
        yield
        self.seconds[stage] = round(time.perf_counter() - begun, 4)
        self.monitor.report(StageFinished(stage=stage, seconds=self.seconds[stage]))


def versions(model: Model) -> Versions:
    """Return the versions this process runs the model on.

    The device is named with what decides its rounding: the processor model, the instructions torch uses, and the
    threads.
    """
    device = model.device
    if device.type == "cpu":
        kind = f"{processor_name()} {torch.backends.cpu.get_cpu_capability()}".removesuffix(" DEFAULT")
        name = f"{kind}, {most_threads()} threads".replace(", 1 threads", ", 1 thread")
    else:
        name = torch.cuda.get_device_name(device) if device.type == "cuda" else processor_name()
    return Versions(
        headcode=version("headcode"),
        python=platform.python_version(),
        torch=str(torch.__version__),
        transformer_lens=version("transformer-lens"),
        device=f"{device.type} ({name})" + (f", {model.spread}" if model.spread else ""),
        dtype=model.precision,
    )


def out_of_memory(error: BaseException, request: RunProbe) -> OutOfMemory:
    """Return torch's out-of-memory error as one that says what was requested, what is available and what to lower."""
    sae, text = request.config.sae, str(error)
    asked = format_requested(text)
    there = "" if "the device has" in asked else f"; {format_memory(memory())}"
    reason = (text.strip().splitlines() or [type(error).__name__])[0][:300]
    return OutOfMemory(
        f"Memory ran out in the run: {asked or reason}{there}.",
        hint=f"Lower the seeds ({len(request.config.seeds)}), the codes ({sae.n_codes}) or the training examples "
        f"({sae.training_examples}), use fewer prompts, or choose a smaller model than {request.model}.",
    )
