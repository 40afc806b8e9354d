"""Families of codes, and how codes differ between two runs, as text and as JSON."""

from collections.abc import Iterator, Sequence
from itertools import islice

import msgspec

from engine.code_families import CodeFamily, CodesComparison, FamilyCode, FamilyTree
from engine.nodes import NodeId
from sessions.protocol import Families
from tui.output.console import narrate, print_columns, print_line
from tui.output.explanation_tree import share

SCHEMA = "headcode.families/1"
_MEMBERS = 8
_CHANGED = 8
Row = tuple[str, ...]


def families_json(found: Families) -> dict[str, object]:
    """Return the families as JSON values, schema headcode.families/1."""
    tree: dict[str, object] = msgspec.to_builtins(found.tree)
    return {
        "schema": SCHEMA,
        "run_id": found.run.run_id,
        "session_id": found.run.session_id,
        "run_number": found.run.number,
        "model": found.model.name,
        **tree,
    }


def print_families(found: Families, *, most: int) -> None:
    """Print the levels beside shuffled codes, then the largest families as a tree."""
    tree = found.tree
    if tree.left_out:
        narrate(f"note: {tree.left_out} rarer codes are left out: {tree.codes} are compared at most.")
    print_line(families_title(tree, found.model.name))
    print_columns(level_rows(tree), header=LEVEL_HEADER, right=(0, 1, 2, 3, 4, 5, 6, 7))
    print_line()
    rows = [row[1] for family in tree.families[:most] for row in family_rows(family)]
    print_columns(rows, header=FAMILY_HEADER, right=(1, 2, 3, 4, 5))
    if len(tree.families) > most:
        narrate(f"{len(tree.families) - most} smaller families are not shown: --top {len(tree.families)}, or --json.")


LEVEL_HEADER = ("together", "families", "chance", "codes", "chance", "parent explains", "chance", "p")
FAMILY_HEADER = ("family, its parent first", "codes", "together", "parent explains", "the side alone", "covered", "")


def families_title(tree: FamilyTree, model: str) -> str:
    """Return what the families are of."""
    return (
        f"{model}, seed {tree.seed}: {tree.codes} codes that occur on {tree.least} or more of {tree.examples} "
        "examples; "
        f"chance: mean of {tree.shuffles} shuffles within the sides"
    )


def level_rows(tree: FamilyTree) -> list[Row]:
    """Return one row per level."""
    return [
        (
            share(each.level),
            str(each.families),
            f"{each.chance_families:.1f}",
            str(each.codes),
            f"{each.chance_codes:.1f}",
            share(each.reconstruction),
            share(each.chance_reconstruction),
            share(each.p_value),
        )
        for each in tree.levels
    ]


def family_rows(family: CodeFamily, depth: int = 0) -> Iterator[tuple[CodeFamily, Row]]:
    """Yield a family and those inside it, each with its row."""
    others = " ".join(format_code(each) for each in family.codes[1 : 1 + _MEMBERS])
    more = f" and {len(family.codes) - 1 - _MEMBERS} more" if len(family.codes) > 1 + _MEMBERS else ""
    parent = family.parent
    yield (
        family,
        (
            f"{'  ' * depth}{_on(parent)}",
            str(len(family.codes)),
            share(family.together),
            share(family.reconstruction),
            share(family.chance),
            share(family.covered),
            others + more,
        ),
    )
    for child in family.children:
        yield from family_rows(child, depth + 1)


def format_code(code: FamilyCode) -> str:
    """Return a code of a node: 9.2:30."""
    return f"{NodeId(code.layer, code.head)}:{code.code}"


def code_lines(found: CodesComparison) -> list[str]:
    """Return what changed between the codes of two runs."""
    under = " under the same seed" if found.same_seed else ""
    seeds = ""
    if found.expected is not None and found.kept_between is not None:
        seeds = (
            f", a share of {share(found.kept_between)} under another (two seeds of one run: {share(found.expected)})"
        )
    lines = [
        f"  on {found.prompts} prompts of both: {found.codes_a} codes in A, {found.codes_b} in B; "
        f"{found.kept} of A's are kept{under}{seeds}",
        f"  families: {found.families_a} in A, {len(found.families_gone)} of them gone; "
        f"{found.families_b} in B, {len(found.families_new)} of them new"
        + ("" if found.families_expected is None else f" (between seeds {share(found.families_expected)} are kept)"),
    ]
    changed = [each for each in found.nodes if each.agreement < 1]
    if changed:
        listed = "   ".join(
            f"{NodeId(each.layer, each.head)} {_index(each.agreement)} ({_index(each.within)})"
            for each in islice(changed, _CHANGED)
        )
        lines.append(
            f"  nodes that sort the prompts otherwise (in brackets, what two seeds of one run reach): {listed}"
        )
    for name, less in (("less", True), ("more", False)):
        answers = [each for each in found.answers if (each.b < each.a) == less]
        if answers:
            listed = "   ".join(
                f"{NodeId(each.layer, each.head)} {_index(each.a)} to {_index(each.b)}" for each in answers[:_CHANGED]
            )
            lines.append(
                f"  nodes whose codes tell {name} about the expected answer, in bits: {listed}{_more(answers)}"
            )
    for name, codes in (("gone", found.gone), ("new", found.new)):
        if codes:
            listed = "   ".join(
                _on(each.code)
                + ("" if each.match is None else f" (next {format_code(each.match)}, {share(each.alike)})")
                for each in codes[:_CHANGED]
            )
            lines.append(f"  codes {name}: {listed}{_more(codes)}")
    for name, families in (("gone", found.families_gone), ("new", found.families_new)):
        if families:
            listed = "   ".join(f"{_on(each.parent)}, {each.nodes} nodes" for each in families[:_CHANGED])
            lines.append(f"  families {name}, by their parents: {listed}{_more(families)}")
    return lines


def _on(code: FamilyCode) -> str:
    """Return a code and on how many positives and negatives it occurs: 9.2:30 on 6+ 1-."""
    return f"{format_code(code)} on {code.positive}+ {code.examples - code.positive}-"


def _index(value: float) -> str:
    """Format a number of which 0 is chance, and which may be a little below."""
    return share(max(value, 0.0))


def _more(listed: Sequence[object]) -> str:
    return f"   and {len(listed) - _CHANGED} more" if len(listed) > _CHANGED else ""
