"""Runs of the bundled model with MLPs and embedding (--nodes all): what commands print, export and take."""

import os
import subprocess
import sys
from collections.abc import Iterator

import pytest

COMMAND = (sys.executable, "-m", "tui.cli")
QUICK = ("--pairs", "6", "--steps", "5", "--shuffles", "50", "--seeds", "0,1", "-q")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an installation with a run of all nodes (all/1) and one of heads only (heads/1)."""
    environment = {**os.environ, "HEADCODE_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    cause = ("--cause", "circuit", "--cause-edges")
    assert headcode(environment, "probe", "ioi", "--nodes", "all", "--name", "all", *cause, *QUICK).returncode == 0
    assert headcode(environment, "probe", "ioi", "--name", "heads", "--cause", "combined", *QUICK).returncode == 0
    yield environment
    subprocess.run([*COMMAND, "host", "stop"], env=environment, check=True, capture_output=True, timeout=600)


def headcode(home: dict[str, str], *words: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([*COMMAND, *words], env=home, capture_output=True, text=True, timeout=600, check=False)


def shown(home: dict[str, str], *words: str) -> str:
    ran = headcode(home, *words)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_text_names_mlps_and_the_embedding_and_counts_them_apart(home: dict[str, str]) -> None:
    text = shown(home, "sessions", "show", "all")
    assert "toy  4 layers x 8 heads and MLPs, width 96" in text
    assert "layer     0     1     2     3     4     5     6     7     mlp\n  emb " in text
    assert "circuit by rank  m" in text
    assert "best nodes (" in text
    assert "  node  tv" in text
    assert "effects of nodes on the answer (below 0: the node helps)" in text
    assert "attribution on edges: the largest of 554 pairs of nodes" in text
    assert "circuit by codes (3 heads and 1 MLP, all others replaced" in text
    assert " of 32 heads and 4 MLPs; " in text
    assert "nodes in bootstraps  m" in text
    assert ".-1" not in text


def test_text_of_a_run_of_heads_speaks_of_heads(home: dict[str, str]) -> None:
    text = shown(home, "sessions", "show", "heads")
    assert "toy  4 layers x 8 heads, width 96" in text
    for words in ("best heads (", "  head  tv", "effects of heads on", " of 32 heads; ", "heads in bootstraps"):
        assert words in text
    assert not [words for words in ("mlp", "emb", "MLP", "node") if words in text.partition("\nsession ")[0]]
