"""What an engine would say of the inside of nodes: made up, and the same every time."""

from collections.abc import Sequence
from typing import Any

from engine.code_families import CodeFamily, FamilyCode, FamilyLevel, FamilyTree
from engine.examples import Example
from engine.explanations import (
    CodeExplanation,
    ExplainedPattern,
    PatternPlace,
    PatternWord,
    Predicted,
    SalientPrompt,
    TokenRule,
)
from engine.node_parts import (
    GridKind,
    MeasuredHow,
    NextToken,
    PromptGrid,
    PromptPlaces,
    RunNeuron,
    TaskLoss,
    ThroughEffect,
)
from engine.nodes import parse_node
from engine.steering import DosePoint, SteeredText, SteerResult, TextCost
from sessions.events import SteeringRecorded
from sessions.protocol import (
    Ablation,
    Explained,
    Families,
    GetAblation,
    GetExplanation,
    GetFamilies,
    GetGrid,
    GetMlp,
    GetPlaces,
    GetSpecificity,
    GetSteering,
    GetThrough,
    MlpInspection,
    Places,
    SpecificityOfRun,
    Steering,
    StreamGrid,
    Through,
)
from sessions.rows import RunRow

from .recorded import model_info


def part_of(request: Any, run: RunRow, examples: Sequence[Example]) -> Any:
    """The answer to a request that looks inside a node."""
    match request:
        case GetPlaces():
            return places_of(request, run, examples)
        case GetMlp():
            return neurons_of(request, run, examples)
        case GetGrid():
            return grid_of(request, run, examples)
        case GetThrough():
            return through_of(request, run)
        case GetAblation():
            return ablation_of(request, run, examples)
        case GetSpecificity():
            return specificity_of(request, run)
        case GetSteering():
            return steering_of(request, run, examples)
        case GetExplanation():
            return explanation_of(request, run)
        case GetFamilies():
            return families_of(request, run)
    raise AssertionError(request)


def explanation_of(request: GetExplanation, run: RunRow) -> Explained:
    """A name that comes again, in place of another one; what it predicts is right in three cases of four."""
    node = parse_node(request.node)
    assert node is not None
    words = (
        PatternWord(
            token=" John",
            places=2,
            tried=20,
            kept=12,
            random_tried=8,
            random_kept=2,
            keeps=("Paul", "Tom"),
            loses=("the",),
        ),
        PatternWord(
            token=" Mary",
            places=1,
            tried=20,
            kept=19,
            random_tried=8,
            random_kept=8,
            keeps=("Ann",),
            loses=(),
            atlas_tried=8,
            atlas_kept=7,
        ),
    )
    pattern = ExplainedPattern(
        words=words,
        places=(PatternPlace(own=0, other=0, saliency=0.5), PatternPlace(own=0, other=1, saliency=1.0)),
        example=0,
        covers=4,
        wrong=1,
        latent=2.0,
        used=True,
    )
    right = Predicted(prompts=20, with_code=4, said=4, right=3)
    rule = TokenRule(token=" to", predicted=Predicted(prompts=20, with_code=4, said=20, right=4))
    explanation = CodeExplanation(
        layer=node.layer,
        head=node.head,
        code=request.code,
        seed=request.seed or 0,
        paired=True,
        examples=10,
        with_code=4,
        patterns=(pattern,),
        salient=(SalientPrompt(example=0, tokens=((" When", 0.0), (" John", 0.5), (" John|Mary", 1.0))),),
        held_out="task",
        same_kind=right,
        contexts=Predicted(prompts=0, with_code=0, said=0, right=0),
        together=right,
        frequent=rule,
        best_token=rule,
        passes=321,
        seconds=1.5,
        atlas_corpus="english",
        atlas_words=40,
    )
    return Explained(run=run, model=model_info(6, 8), explanation=explanation, recorded=False)


def families_of(request: GetFamilies, run: RunRow) -> Families:
    """A family of three codes with a closer one of two inside."""
    codes = tuple(
        FamilyCode(layer=layer, head=head, code=7, examples=5 - place, positive=5 - place)
        for place, (layer, head) in enumerate(((3, 6), (4, 1), (5, -1)))
    )
    inner = CodeFamily(level=0.7, codes=codes[:2], together=0.8, nodes=2, reconstruction=0.75, covered=1.0, chance=0.25)
    outer = CodeFamily(
        level=0.5,
        codes=codes,
        together=0.6,
        nodes=3,
        reconstruction=0.7,
        covered=0.9,
        chance=0.2,
        children=(inner,),
    )
    levels = tuple(
        FamilyLevel(
            level=level,
            families=1,
            codes=3,
            reconstruction=0.7,
            chance_families=0.5,
            chance_codes=1.25,
            chance_reconstruction=0.3,
            p_value=0.05,
        )
        for level in (0.3, 0.5, 0.7, 0.9)
    )
    tree = FamilyTree(
        seed=request.seed or 0,
        examples=10,
        codes=9,
        least=3,
        left_out=0,
        families=(outer,),
        levels=levels,
        shuffles=20,
    )
    return Families(run=run, model=model_info(6, 8), tree=tree)


def grid_of(request: GetGrid, run: RunRow, examples: Sequence[Example]) -> StreamGrid:
    """The stream matters at its last token from layer 2 on, attention and MLPs at the token before."""
    prompts = []
    for index, example in enumerate(examples):
        if example.positive:
            tokens = tuple(f"{word} " for word in example.prompt.split())
            zeros = (0.0,) * (len(tokens) - 2)
            effects: dict[GridKind, tuple[tuple[float, ...], ...]] = {
                "stream": tuple((*zeros, 0.0, -1.5 if layer > 1 else 0.0) for layer in request.layers),
                "attention": tuple((*zeros, -0.5 - layer, 0.0) for layer in request.layers),
                "mlp": tuple((*zeros, 0.25, 0.0) for _ in request.layers),
            }
            prompts.append(PromptGrid(example=index, base=3.0, tokens=tokens, other=(), effects=effects))
    return StreamGrid(run=run, model=model_info(6, 8), how=measured_how(), prompts=tuple(prompts))


def through_of(request: GetThrough, run: RunRow) -> Through:
    """Two heads and the MLP of every later layer; none in the layer of a head."""
    node = parse_node(request.node)
    assert node is not None
    through = tuple(
        ThroughEffect(layer=layer, head=head, effect=0.1 * (head + 2) - 0.3 * layer, error=0.02)
        for layer in request.layers or range(6)
        for head in (0, 1, -1)
        if layer > node.layer
    )
    return Through(run=run, model=model_info(6, 8), how=measured_how(), base=3.0, prompts=5, through=through)


def ablation_of(request: GetAblation, run: RunRow, examples: Sequence[Example]) -> Ablation:
    """Two tokens that change places."""
    tokens = (
        NextToken(token=" Mary", before=0.75, after=0.125, rank_before=1, rank_after=2),
        NextToken(token=" John", before=0.125, after=0.75, rank_before=2, rank_after=1),
    )
    own = examples[request.example]
    return Ablation(
        run=run,
        model=model_info(6, 8),
        how=measured_how(),
        nodes=request.nodes,
        prompt=own.prompt,
        other="the other prompt" if request.replacement == "pair" else "",
        tokens=tuple(own.prompt.split()),
        next_tokens=tokens,
        kl=1.25,
    )


def steering_of(request: GetSteering, run: RunRow, examples: Sequence[Example]) -> Steering:
    """An effect of a tenth of the strength, and random directions up to a hundredth of it on either side."""
    plan, own = request.plan, examples[request.plan.example]
    points = tuple(
        DosePoint(strength=each, effect=each / 10, error=0.01, random=(each / 100, -each / 100))
        for each in plan.strengths
    )
    texts = (SteeredText(strength=0.0, tokens=(" as", " ever")), SteeredText(strength=plan.strength, tokens=(" anew",)))
    cost = TextCost(tokens=9, before=-2.0, after=-2.5, random=(-2.25,))
    result = SteerResult(
        unit=1.5,
        prompt=own.prompt,
        tokens=tuple(own.prompt.split()),
        steered=(0,),
        next_tokens=(NextToken(token=" Mary", before=0.75, after=0.125, rank_before=1, rank_after=2),),
        kl=abs(plan.strength) / 4,
        metric="logit_difference" if points else "",
        base=3.0,
        prompts=8,
        points=points,
        texts=texts if plan.generate else (),
        cost=cost if plan.cost else None,
    )
    return Steering(
        run=run,
        model=model_info(6, 8),
        steered=SteeringRecorded(plan=plan, result=result),
        at_us=1 if request.record else None,
    )


def places_of(request: GetPlaces, run: RunRow, examples: Sequence[Example]) -> Places:
    """Effects that grow towards the end of every positive, and are read on a token of another name."""
    prompts = []
    for index, example in enumerate(examples):
        if example.positive and request.example in (None, index):
            tokens = tuple(f"{word} " for word in example.prompt.split())
            effects = tuple(-0.1 * place if place > len(tokens) // 2 else 0.0 for place in range(len(tokens)))
            prompts.append(
                PromptPlaces(example=index, base=3.0, tokens=tokens, other=("other",) * len(tokens), effects=effects)
            )
    return Places(run=run, model=model_info(6, 8), how=measured_how(), prompts=tuple(prompts))


def neurons_of(request: GetMlp, run: RunRow, examples: Sequence[Example]) -> MlpInspection:
    """Twelve neurons, the first by attribution the last by difference; exact effects where they are asked for."""
    tokens = tuple(f"{word} " for word in examples[request.example].prompt.split())
    chosen = request.neurons or tuple(range(12))
    neurons = tuple(
        RunNeuron(
            neuron=each,
            attribution=0.5 - 0.1 * each,
            size=1.2 - 0.1 * each,
            difference=0.1 + each,
            norm=1.0,
            effect=-0.25 * each if request.neurons else None,
            error=0.01 if request.neurons else None,
            example=0,
            position=1,
            token=f" fires{each}",
            peak=2.0,
            peak_other=-0.5,
            activations=tuple(float(place % 3 - 1) for place in range(len(tokens))),
            raises=((f" up{each}", 2.0),),
            lowers=((f" down{each}", -2.0),),
        )
        for each in chosen
    )
    return MlpInspection(
        run=run,
        model=model_info(6, 8),
        how=measured_how(),
        base=3.0,
        prompts=5,
        n_neurons=64,
        attribution=-1.5,
        tokens=tokens,
        neurons=neurons,
    )


def measured_how() -> MeasuredHow:
    return MeasuredHow(metric="logit_difference", replacement="pair", passes=1.0, prepared=2.0, seconds=0.1)


def specificity_of(request: GetSpecificity, run: RunRow) -> SpecificityOfRun:
    """Greater-than loses more than the run's own task, more than by random nodes."""

    def loss(task: str, removed: float, random: float) -> TaskLoss:
        about = {"metric": "logit_difference", "replacement": "pair", "pairs": request.pairs}
        return TaskLoss(task=task, base=2.0, removed=removed, random=random, **about)  # type: ignore[arg-type]

    return SpecificityOfRun(
        run=run,
        model=model_info(6, 8),
        nodes=((1, 2), (0, -1)),
        own=loss("ioi", 1.2, 1.9),
        others=(loss("greater_than", 0.2, 0.8), loss("induction", 1.9, 1.8)),
        left_out={"facts": "the model can do 3 of 40 pairs; 10 are needed"},
        seconds=1.5,
    )
