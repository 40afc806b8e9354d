"""Metrics of the model's answer: one number per example, from the logits after the prompt."""

from collections.abc import Sequence

import msgspec
import torch
from jaxtyping import Float
from torch import Tensor

from engine.capture.prompts import AnswerIds
from engine.config import PatchingMetric
from engine.errors import ExampleError
from engine.tasks.base import Metric


class ChosenMetric(msgspec.Struct, frozen=True, kw_only=True):
    """The metric for a set of positives, and the reason for it."""

    metric: PatchingMetric
    why: str
    fell_back: bool = False
    """True if `auto` used a weaker metric than the task or the examples asked for."""


def resolve_metric(asked: PatchingMetric, answers: Sequence[AnswerIds], task: Metric | None) -> ChosenMetric:
    """Resolve `auto` to a metric for these positives, or return the requested one where it is defined.

    Several expected tokens are a set: each of them is right, so their probabilities are added, as in the greater-than
    task. Their mean logit would penalise a model that is certain of one right answer. Raises ExampleError where the
    requested metric is not defined.
    """
    expected = sum(bool(each.expected) for each in answers)
    foils = sum(bool(each.expected) and bool(each.foils) for each in answers)
    sets = sum(len(each.expected) > 1 and bool(each.foils) for each in answers)
    if asked == "auto":
        if task is not None and foils == len(answers):
            return ChosenMetric(metric=task, why="as the task is measured")
        if foils and 2 * sets >= foils:
            return ChosenMetric(
                metric="probability_mass", why=f"{_of(sets, len(answers))} expect one of several tokens, against foils"
            )
        if foils:
            return ChosenMetric(
                metric="logit_difference", why=f"{_of(foils, len(answers))} expect a token against foils"
            )
        if expected:
            return ChosenMetric(
                metric="log_probability",
                why=f"{_of(expected, len(answers))} expect a token, and none has a foil of one token",
                fell_back=True,
            )
        return ChosenMetric(metric="kl", why="no positive has an expected answer of one token", fell_back=True)
    if asked == "logit_difference" and not foils:
        raise ExampleError(
            "No positive has both an expected token and a foil: there is no logit difference.",
            hint="Write foils (prompt => expected | foil), or measure by log_probability or kl.",
        )
    if asked in ("log_probability", "probability_mass") and not expected:
        raise ExampleError(
            f"No positive has an expected token of one token: there is no {asked.replace('_', ' ')}.",
            hint="Write what is expected (prompt => expected), or measure by kl, which needs none.",
        )
    return ChosenMetric(metric=asked, why="as requested")


def _of(some: int, n_all: int) -> str:
    return "all positives" if some == n_all else f"{some} of {n_all} positives"


def can_measure(metric: PatchingMetric, answers: AnswerIds) -> bool:
    """Return True if the metric is defined for an example with these answers."""
    if metric == "kl":
        return True
    return bool(answers.expected) and (metric != "logit_difference" or bool(answers.foils))


class AnswerMetric:
    """The metric for a fixed series of examples."""

    def __init__(
        self, metric: PatchingMetric, answers: Sequence[AnswerIds], clean_logits: Float[Tensor, "example token"]
    ) -> None:
        self.metric = metric
        width = clean_logits.shape[-1]
        self._expected = torch.stack([_weights(each.expected, width) for each in answers]).to(clean_logits.device)
        self._foils = torch.stack([_weights(each.foils, width) for each in answers]).to(clean_logits.device)
        self._clean = clean_logits.detach().log_softmax(dim=-1) if metric == "kl" else torch.empty(0)

    @property
    def logit_weights(self) -> Float[Tensor, "example token"] | None:
        """The weights of the logits, if the metric is a weighted sum of them; else None."""
        if self.metric != "logit_difference":
            return None
        return _mean(self._expected) - _mean(self._foils)

    def __call__(
        self, logits: Float[Tensor, "*many example token"], rows: slice | Tensor = slice(None)
    ) -> Float[Tensor, "*many example"]:
        """Return the metric per example.

        logit_difference: mean logit of the expected tokens minus that of the foils. log_probability: of the whole
        expected set. probability_mass: of the expected set minus that of the foils. kl: in nats, of this answer from
        the clean one (0 if nothing changed).
        """
        expected, foils = self._expected[rows], self._foils[rows]
        if self.metric == "logit_difference":
            return (logits * (_mean(expected) - _mean(foils))).sum(dim=-1)
        if self.metric == "log_probability":
            log_p = logits.log_softmax(dim=-1)
            return torch.where(expected > 0, log_p, -torch.inf).logsumexp(dim=-1)
        if self.metric == "probability_mass":
            return (logits.softmax(dim=-1) * (expected - foils)).sum(dim=-1)
        clean = self._clean[rows]
        return (clean.exp() * (clean - logits.log_softmax(dim=-1))).sum(dim=-1)


def _weights(tokens: Sequence[int], width: int) -> Tensor:
    weights = torch.zeros(width)
    weights[list(tokens)] = 1.0
    return weights


def _mean(members: Tensor) -> Tensor:
    return members / members.sum(dim=-1, keepdim=True).clamp(min=1)
