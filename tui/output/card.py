"""The card of a run as lines of text, for the command line and the screen."""

import re
from collections.abc import Sequence

from engine.analysis.card import STABLE_FROM
from engine.measures import DEFAULT_MEASURE, find_measure
from engine.nodes import NodeId, names, only_heads
from engine.results import Card
from tui.actions.key_labels import KeyLabel
from tui.output.grid import format_short

_DONE_BY = {
    "take fewer heads into the circuit": "cut.fewer",
    "take more heads into it": "cut.more",
    "rank the heads by effect": "measure.next",
    "measure effects": "cause",
    "lower lambda": "options",
    "look at the heads by effect": "measure.next",
    "measure the cause": "cause",
}
"""Advice that a key of the workbench carries out, and its action; the last two occur in cards of earlier versions."""
_DONE_BY |= {words.replace("heads", "nodes"): action for words, action in _DONE_BY.items()}
MOST_NAMED = 8
"""Number of heads that a line of the card names; the table of heads lists all."""
_NAMED = re.compile(r" \((?:[tTm]|(?:v, or )?--cause combined)\)")
"""Options and keys that cards name for following the advice; older cards name keys."""

_OPTION = re.compile(r"\((--[a-z-]+ [\d.]*\d)\)|(--[a-z-]+ [\d.]*\d)")
"""A command-line option, which the screen sets among the options of the next run."""


def card_lines(card: Card, key: KeyLabel | None = None) -> list[str]:
    """Return verdict, reasons, advice, and the numbers behind them. With `key`, advice names keys."""
    listed = (*card.above_chance, *((one.layer, one.head) for one in card.heads), *(card.dormant or ()))
    nodes, no_node = ("heads", "no head") if only_heads(listed) else ("nodes", "no node")
    lines = [f"{card.verdict}: {'; '.join(card.reasons)}" if card.reasons else card.verdict]
    lines += [f"advice  {'; '.join(format_advice(each, key) for each in card.advice)}"] if card.advice else []
    if card.expected_false is not None:
        above = format_list(names(card.above_chance), " ") or no_node
        lines.append(f"significant (q < .05)  {above}; expected false positives: {format_short(card.expected_false)}")
        lines.append(f"null hypothesis  {_chance_of(card)}")
    stability = card.stability
    seeds = "" if stability.seeds is None else f"; over single seeds, which a run averages, {stability.seeds:.2f}"
    lines.append(
        f"stability  of the circuit over {stability.n_bootstraps} bootstraps of the examples "
        f"{stability.bootstraps:.2f} (Jaccard index; {format_short(STABLE_FROM)} is the usual bar){seeds}"
    )
    if card.tied:
        lines.append(
            f"ties at the cut  {card.tied} {nodes} have equal {DEFAULT_MEASURE.title} and are ordered by their contrast"
        )
    draws = [f"{NodeId(one.layer, one.head)} {round(10 * one.bootstraps)} of 10" for one in card.heads]
    lines.append(f"{nodes} in bootstraps  {format_list(draws, ', ')}")
    if card.dormant is not None:
        label = f"dormant {nodes}: no effect alone, active with {card.dormant_after or 'the circuit'} replaced"
        named = format_list(names(card.dormant), " ") or no_node
        lines.append(f"{label}  {named}")
    if card.truth is not None:
        areas = [f"{DEFAULT_MEASURE.title} {format_short(card.codes_auc)}"]
        areas += [f"{_title(each.measure)} {format_short(each.auc)}" for each in card.baselines]
        lines.append(f"AUC against {card.truth}  {', '.join(areas)}")
    shared = [f"{_title(each.measure)} {each.shared:.0%}" for each in card.baselines]
    lines.append(f"overlap with baselines  {', '.join(shared)}")
    return lines


def format_advice(advice: str, key: KeyLabel | None = None) -> str:
    """Format advice: with the key for it on the screen, otherwise with the command-line option."""
    plain = _NAMED.sub("", advice)
    done_by = next((words for words in _DONE_BY if words in plain), None)
    if key is not None and done_by is not None:
        return plain.replace(done_by, f"{done_by} ({key(_DONE_BY[done_by])})")
    if key is not None and (option := _OPTION.search(plain)) is not None:
        named = f"({key('options')}, {option[1]})" if option[0].startswith("(") else f"{option[2]} ({key('options')})"
        return plain[: option.start()] + named + plain[option.end() :]
    measure = next((words for words in _DONE_BY if _DONE_BY[words] == "cause" and words in plain), None)
    return plain if measure is None else plain.replace(measure, f"{measure} (--cause combined)")


def _chance_of(card: Card) -> str:
    if card.chance is None:
        return "as many unique codes under shuffled labels"
    ways = f"{card.chance.labellings:,} way{'s' * (card.chance.labellings != 1)} to label the examples"
    return f"sides separated as consistently ({card.chance.statistic}) by chance, over {ways}"


def _title(measure: str) -> str:
    return find_measure(measure).title.removesuffix(" (no SAE)")


def format_list(items: Sequence[str], between: str) -> str:
    """Join the first items of a list and count the rest."""
    rest = len(items) - MOST_NAMED
    joined = between.join(items[: MOST_NAMED if rest > 1 else None])
    return f"{joined}{between}and {rest} more" if rest > 1 else joined
