"""Checks of what was measured with the model: effects, edges, whole circuits, steering, explanations of codes."""

import math
from collections.abc import Iterator, Sequence

import msgspec

from engine.analysis.effects import effect_share, setting_of
from engine.events import EdgesAttributed, EdgesPatched, EffectsMeasured
from engine.explanations import CodeExplanation, ExplainedPattern
from engine.node_parts import NextToken
from engine.nodes import NodeId
from engine.results import EdgeEffect
from sessions.events import SteeringRecorded
from sessions.verification.artifacts import MEASURED_HEADS, RunArtifacts, StageCheck, check_rows

Row = tuple[str, object]


def node_words(node: NodeId) -> str:
    """Name a node in a sentence: head 9.6, m8, emb."""
    return f"head {node}" if node.is_head else str(node)


def recorded_effects(now: Sequence[EffectsMeasured], then: Sequence[EffectsMeasured]) -> tuple[EffectsMeasured, ...]:
    """Return the effects without the numbers that the version of the recorded run did not compute."""
    stored = {setting_of(cause): cause for cause in then}
    found = []
    for cause in now:
        known = stored.get(setting_of(cause))
        if known is not None:
            lacking = {
                name: None
                for name in ("size", "alone")
                if all(getattr(effect, name) is None for effect in known.effects)
            }
            effects = tuple(msgspec.structs.replace(effect, **lacking) for effect in cause.effects)
            left = None if known.left is None else cause.left
            cause = msgspec.structs.replace(cause, effects=effects, left=left)
        found.append(cause)
    return tuple(found)


# ---- effects of nodes


def _measured_nodes(side: RunArtifacts) -> list[Row]:
    """Return which nodes were measured by which method, and how."""
    return [
        (
            f"{node_words(effect.id)} by {cause.method}",
            (cause.method, effect.id, cause.metric, cause.replacement, cause.position, cause.n_examples),
        )
        for cause in side.causes
        for effect in cause.effects
    ]


def _effects(side: RunArtifacts) -> list[Row]:
    """Return each measurement's base, then each node's numbers as shares of it."""
    found: list[Row] = []
    for cause in side.causes:
        found.append((f"the base of {cause.method}", cause.base))
        if cause.left is not None:
            found.append((f"the answer without the circuit by {cause.method}", cause.left))
        for effect in cause.effects:
            for name in ("effect", "error", "size", "alone"):
                value = getattr(effect, name)
                if value is not None or name in ("effect", "error"):
                    share = None if value is None else math.copysign(effect_share(value, cause), value)
                    found.append((f"{name} of {node_words(effect.id)} by {cause.method}", share))
    return found


# ---- effects of edges


def _edge_words(edge: EdgeEffect) -> str:
    return f"{NodeId(*edge.source)} to {NodeId(*edge.target)}"


def _named_edges(measured: EdgesAttributed | EdgesPatched | None) -> list[Row]:
    """Return which edges were measured, and how."""
    if measured is None:
        return []
    how = (measured.metric, measured.replacement, measured.n_examples)
    return [(_edge_words(edge), (edge.source, edge.target, *how)) for edge in measured.edges]


def _edge_effects(measured: EdgesAttributed | EdgesPatched | None) -> list[Row]:
    """Return the base, then every effect as a share of it (KL, and of a base of 0: in its own unit)."""
    if measured is None:
        return []
    unit = 1.0 if measured.metric == "kl" or abs(measured.base) < 1e-9 else abs(measured.base)
    return [("the base", measured.base), *((_edge_words(edge), edge.effect / unit) for edge in measured.edges)]


def _estimated_pairs(side: RunArtifacts) -> list[Row]:
    measured = side.estimated_edges
    return [] if measured is None else [*_named_edges(measured), ("the number of pairs", measured.n_pairs)]


# ---- circuits as a whole


def _checked_circuits(side: RunArtifacts) -> list[Row]:
    return [
        (f"circuit {check.name}", (check.name, check.heads, check.metric, check.replacement, check.n_examples))
        for check in side.checks
    ]


def _faithfulness(side: RunArtifacts) -> list[Row]:
    found: list[Row] = []
    for check in side.checks:
        own: list[Row] = [(name, getattr(check, name)) for name in ("faithfulness", "completeness", "area")]
        own += [(f"the answer with {name} nodes", getattr(check, field)) for name, field in _ANSWERS]
        own += [(f"the answer without {node_words(one.id)}", one.effect) for one in check.minimality]
        for point in check.curve:
            own.append((f"the curve's {point.size} nodes", point.size))
            own.append((f"faithfulness of {point.size} nodes", point.faithfulness))
            own.append((f"completeness of {point.size} nodes", point.completeness))
        own += [("faithfulness of random circuits", value) for value in check.random_faithfulness]
        own += [("completeness of random circuits", value) for value in check.random_completeness]
        found += [(f"{words}, circuit {check.name}", value) for words, value in own]
    return found


_ANSWERS = (("all", "base"), ("no", "empty"))


# ---- steering


def steering_words(steered: SteeringRecorded) -> str:
    """Name what was steered: code 171 of head 26.0; nodes 9.6, m8 off."""
    plan = steered.plan
    nodes = ", ".join(node_words(NodeId(*node)) for node in plan.nodes[:3]) + (" ..." if len(plan.nodes) > 3 else "")
    return {"code": f"code {plan.code} of {nodes}", "contrast": f"contrast of {nodes}"}.get(
        plan.kind, f"{nodes} {plan.kind}"
    )


def _steered_texts(side: RunArtifacts) -> list[Row]:
    """Return the texts of each steering: tokens, the order of the next ones, and what was written."""
    found: list[Row] = []
    for steered in side.steered:
        result, words = steered.result, steering_words(steered)
        about = (result.prompt, result.tokens, result.steered, result.metric, result.prompts, result.cached)
        found.append((f"the prompt with {words}", about))
        ranks = [(one.token, one.rank_before, one.rank_after) for one in result.next_tokens]
        found.append((f"the next tokens with {words}", ranks))
        found += [(f"the text at strength {text.strength:g} of {words}", text.tokens) for text in result.texts]
    return found


def _steered_numbers(side: RunArtifacts) -> list[Row]:
    return [
        (f"{name} with {steering_words(steered)}", value)
        for steered in side.steered
        for name, value in _numbers_of(steered)
    ]


def _numbers_of(steered: SteeringRecorded) -> Iterator[Row]:
    result = steered.result
    yield from (("the unit", result.unit), ("the KL divergence", result.kl), ("the base", result.base))
    for one in result.next_tokens:
        yield from _probabilities(one)
    for point in result.points:
        for name, value in (("strength", point.strength), ("effect", point.effect), ("error", point.error)):
            yield f"the {name} at {point.strength:g}", value
        yield from ((f"a random direction at {point.strength:g}", value) for value in point.random)
    if result.cost is not None:
        yield from (("the cost's tokens", result.cost.tokens), ("the text before", result.cost.before))
        yield "the text after", result.cost.after
        yield from (("the text after a random direction", value) for value in result.cost.random)


def _probabilities(one: NextToken) -> Iterator[Row]:
    yield f"the probability before of {one.token!r}", one.before
    yield f"the probability after of {one.token!r}", one.after


# ---- explanations


_WHOLE = ("with_code", "examples", "paired", "held_out", "same_kind", "contexts", "together", "frequent", "best_token")


def code_words(found: CodeExplanation) -> str:
    """Name the code that was explained: code 30 of head 9.2."""
    return f"code {found.code} of {node_words(NodeId(found.layer, found.head))}"


def _explanations(side: RunArtifacts) -> list[Row]:
    """Return what each explanation says, without the strengths of its codes."""
    found: list[Row] = []
    for each in side.explained:
        words = code_words(each)
        found += [(f"pattern {place + 1} of {words}", _words_alone(one)) for place, one in enumerate(each.patterns)]
        found += [(f"{name} of {words}", getattr(each, name)) for name in _WHOLE]
        texts = [(one.example, [token for token, _ in one.tokens]) for one in each.salient]
        found.append((f"the prompts of {words}", texts))
    return found


def _words_alone(pattern: ExplainedPattern) -> ExplainedPattern:
    places = tuple(msgspec.structs.replace(place, saliency=0.0) for place in pattern.places)
    return msgspec.structs.replace(pattern, places=places, latent=0.0)


def _saliencies(side: RunArtifacts) -> list[Row]:
    found: list[Row] = []
    for each in side.explained:
        words = code_words(each)
        for pattern in each.patterns:
            found.append((f"the latent of {words}", pattern.latent))
            found += [(f"a pattern's saliency of {words}", place.saliency) for place in pattern.places]
        found += [(f"a prompt's saliency of {words}", value) for one in each.salient for _, value in one.tokens]
    return found


CHECKS: tuple[StageCheck, ...] = (
    check_rows("cause", MEASURED_HEADS, _measured_nodes),
    check_rows("cause", "effects", _effects, "absolute"),
    check_rows("cause", "estimated edges", _estimated_pairs),
    check_rows("cause", "estimates of edges", lambda side: _edge_effects(side.estimated_edges), "absolute"),
    check_rows("cause", "measured edges", lambda side: _named_edges(side.measured_edges)),
    check_rows("cause", "effects of edges", lambda side: _edge_effects(side.measured_edges), "absolute"),
    check_rows("cause", "checked circuits", _checked_circuits),
    check_rows("cause", "circuit checks", _faithfulness, "absolute"),
    check_rows("steer", "steered texts", _steered_texts),
    check_rows("steer", "steering", _steered_numbers, "relative"),
    check_rows("explain", "explanations", _explanations),
    check_rows("explain", "saliencies", _saliencies, "relative"),
)
"""Of what is measured in a run or after it; checks of the run itself are in sessions.verification.checks."""
