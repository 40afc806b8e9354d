"""Families of codes that occur on the same prompts, at several levels of detail, and how they differ between runs."""

import msgspec


class FamilyCode(msgspec.Struct, frozen=True, kw_only=True):
    """A code of a node, and on how many examples it occurs."""

    layer: int
    head: int
    code: int
    examples: int
    positive: int
    """Of these, positives."""


class CodeFamily(msgspec.Struct, frozen=True, kw_only=True):
    """Codes of which every two occur together: on at least this share of the examples that have either."""

    level: float
    codes: tuple[FamilyCode, ...]
    """The parent first: the code that occurs most often; then by frequency."""
    together: float
    """The least co-occurrence of two of them (Jaccard)."""
    nodes: int
    reconstruction: float
    """Share of the variance of the other codes' occurrence that the parent's occurrence explains."""
    covered: float
    """Share of the other codes' occurrences on examples that have the parent."""
    chance: float
    """The reconstruction if the parent's examples are shuffled within the sides: what the side alone explains."""
    children: tuple["CodeFamily", ...] = ()
    """Families of the next finer level inside this one, where they differ from it."""

    @property
    def parent(self) -> FamilyCode:
        return self.codes[0]


class FamilyLevel(msgspec.Struct, frozen=True, kw_only=True):
    """All families of one level, and those of shuffled codes."""

    level: float
    families: int
    codes: int
    """In families."""
    reconstruction: float
    """Mean over families; 0 without one."""
    chance_families: float
    """Mean over shuffles: every node's codes among the examples of a side, independently of other nodes."""
    chance_codes: float
    chance_reconstruction: float
    p_value: float
    """Share of shuffles with as many codes in families, the data itself counted."""


class FamilyTree(msgspec.Struct, frozen=True, kw_only=True):
    """The families of a run's codes under one seed, largest first."""

    seed: int
    examples: int
    codes: int
    """Codes that occur on enough examples to be compared."""
    least: int
    """So many examples."""
    left_out: int
    """Further codes that were left out because there are too many: the rarest."""
    families: tuple[CodeFamily, ...]
    levels: tuple[FamilyLevel, ...]
    shuffles: int


class NodeChange(msgspec.Struct, frozen=True, kw_only=True):
    """How alike a node sorts the same prompts in two runs."""

    layer: int
    head: int
    agreement: float
    """Adjusted Rand index of its codes in A and B; 1: the same sorting, 0: chance.

    The mean over the seeds that both runs have, where autoencoders begin alike; without one, over all pairs of seeds.
    """
    within: float
    """The same between different seeds of one run, mean of both runs; 1 with one seed each."""


class CodeChange(msgspec.Struct, frozen=True, kw_only=True):
    """A code of one run, and the code of the same node in the other run that occurs most alike."""

    code: FamilyCode
    match: FamilyCode | None
    alike: float
    """Share of the prompts that have either on which both occur (Jaccard); 0 without a match."""


class FamilyChange(msgspec.Struct, frozen=True, kw_only=True):
    """A family of one run, and the family of the other that occurs most alike."""

    parent: FamilyCode
    nodes: int
    alike: float
    """Of the shares of each family's codes that occur on a prompt: sum of the smaller over sum of the larger."""
    other_parent: FamilyCode | None


class AnswerChange(msgspec.Struct, frozen=True, kw_only=True):
    """How much a node's codes tell about the expected answer, in two runs."""

    layer: int
    head: int
    a: float
    """Mutual information in bits of its codes and the answers of the positives, mean over seeds.

    Less the mean under shuffled answers.
    """
    b: float


class CodesComparison(msgspec.Struct, frozen=True, kw_only=True):
    """What changed between two runs on the prompts that both have."""

    prompts: int
    nodes: tuple[NodeChange, ...]
    """The least agreement first; of equal ones those that seeds agree on most."""
    same_seed: bool
    """True if the first seed of A is one of B's: `kept`, codes and families are compared under it."""
    answers: tuple[AnswerChange, ...]
    """Nodes for which that changed by more than any node's under 200 shuffles of the answers; the largest first.

    Empty also where fewer than two answers are expected of three positives each.
    """
    codes_a: int
    codes_b: int
    kept: int
    """Codes of A with a match in B that is alike by .5 or more."""
    kept_between: float | None
    """Share of A's codes kept in B under another seed, mean over pairs of seeds; None with one seed each."""
    expected: float | None
    """Share of codes kept between two seeds of one run, mean of both runs; None with one seed."""
    gone: tuple[CodeChange, ...]
    """Codes of A without such a match, the most frequent first."""
    new: tuple[CodeChange, ...]
    families_a: int
    """Families of the first seed at the coarsest level."""
    families_b: int
    families_gone: tuple[FamilyChange, ...]
    """Families of A to which no family of B is alike by .5 or more."""
    families_new: tuple[FamilyChange, ...]
    families_expected: float | None
    """Share of families kept between two seeds of one run, mean of both runs; None with one seed."""
