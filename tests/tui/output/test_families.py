"""Test the words for what changed between the codes of two runs."""

from engine.code_families import CodesComparison
from tui.output.families import code_lines


def test_numbers_of_codes_are_not_read_as_shares() -> None:
    found = CodesComparison(
        prompts=22,
        nodes=(),
        same_seed=True,
        answers=(),
        codes_a=18,
        codes_b=17,
        kept=18,
        kept_between=0.5,
        expected=0.4375,
        gone=(),
        new=(),
        families_a=6,
        families_b=6,
        families_gone=(),
        families_new=(),
        families_expected=None,
    )
    assert code_lines(found)[0] == (
        "  on 22 prompts of both: 18 codes in A, 17 in B; 18 of A's are kept under the same seed, "
        "a share of .50 under another (two seeds of one run: .44)"
    )
