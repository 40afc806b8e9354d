"""Runs of the bundled model with MLPs and embedding (--nodes all): what commands print, export and take."""

import csv
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from pathlib import Path

import networkx as nx
import pytest

from engine.nodes import EMBEDDING
from sessions.store.connection import connect
from tui.output.importance_json import read_importance

COMMAND = (sys.executable, "-m", "tui.cli")
QUICK = ("--pairs", "6", "--steps", "5", "--shuffles", "50", "--seeds", "0,1", "-q")


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The environment of an installation with a run of all nodes (all/1) and one of heads only (heads/1)."""
    environment = {**os.environ, "HEADCODE_HOME": str(tmp_path_factory.mktemp("home")), "OMP_NUM_THREADS": "1"}
    cause = ("--cause", "circuit", "--cause-edges")
    assert headcode(environment, "probe", "ioi", "--nodes", "all", "--name", "all", *cause, *QUICK).returncode == 0
    assert (
        headcode(
            environment, "probe", "ioi", "--nodes", "heads", "--name", "heads", "--cause", "combined", *QUICK
        ).returncode
        == 0
    )
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
    assert re.search(r"circuit by rank  .*\bm\d", text)
    assert "best nodes (" in text
    assert "  node  tv" in text
    assert "effects of nodes on the answer (below 0: the node helps)" in text
    assert "attribution on edges: the largest of 554 pairs of nodes" in text
    assert re.search(r"circuit by codes \(\d heads? and \d MLPs?, all others replaced", text)
    assert " of 32 heads and 4 MLPs; " in text
    assert re.search(r"nodes in bootstraps  .*\bm\d \d+ of 10", text)
    assert ".-1" not in text
    found = json.loads(shown(home, "sessions", "show", "all", "--json"))["run"]["direct"]
    assert f"of the answer's {found['answer']:.2f} logits (mean of 6 positives); the rest is biases" in text
    assert found["nodes"] + found["rest"] == pytest.approx(found["answer"], abs=1e-5)


def test_text_of_a_run_of_heads_speaks_of_heads(home: dict[str, str]) -> None:
    text = shown(home, "sessions", "show", "heads")
    assert "toy  4 layers x 8 heads, width 96" in text
    for words in ("best heads (", "  head  tv", "effects of heads on", " of 32 heads; ", "heads in bootstraps"):
        assert words in text
    assert not [words for words in ("mlp", "emb", "MLP", "node") if words in text.partition("\nsession ")[0]]


def test_json_says_which_kind_each_node_is_and_has_null_for_numbers_it_lacks(home: dict[str, str]) -> None:
    found = json.loads(shown(home, "sessions", "show", "all", "--json"))["run"]
    heads = json.loads(shown(home, "sessions", "show", "heads", "--json"))["run"]
    ids = [(node["layer"], node["head"], node["kind"], node["node"]) for node in found["nodes"]]
    assert ids == [
        *((layer, head, "head", f"{layer}.{head}") for layer in range(4) for head in range(8)),
        (None, None, "embedding", "emb"),
        *((layer, None, "mlp", f"m{layer}") for layer in range(4)),
    ]
    assert {node["total_variation"] is None for node in found["nodes"]} == {False}
    assert (found["model"]["nodes"], found["model"]["parallel_mlps"]) == ("all", False)
    assert {node[1] is None for node in found["circuit"]} == {True, False}
    assert all(isinstance(node[0], int) for node in found["circuit"])
    assert found["reference"]["covers"] == "all"
    ends = [tuple(edge[end]) for edge in found["edges"] for end in ("source", "target")]
    assert {(None, None), (0, None)} <= set(ends)
    assert max(ends, key=lambda end: (end[0] or 0, end[1] is None))[0] == 3
    for effects in (cause["effects"] for cause in found["cause"] if cause["method"] == "combined"):
        assert sorted(effect["node"] for effect in effects) == sorted(node["node"] for node in found["nodes"])
    assert {effect["kind"] for check in found["circuit_checks"] for effect in check["minimality"]} == {"head", "mlp"}
    first = found["circuit"][0]
    assert found["card"]["heads"][0]["node"] == (f"m{first[0]}" if first[1] is None else f"{first[0]}.{first[1]}")
    assert [None, None] in [edge["source"] for edge in found["cause_edges"]["edges"]]
    assert "-1" not in re.findall(r"-?\d+(?=[,\]\n])", json.dumps([found["circuit"], found["edges"], found["card"]]))

    # The fields of a run of heads are what they were before there were nodes of other kinds.
    assert list(heads["nodes"][0]) == [name for name in found["nodes"][0] if name not in ("kind", "node")]
    assert set(found["model"]) - set(heads["model"]) == {"nodes", "parallel_mlps"}
    assert set(found["reference"]) - set(heads["reference"]) == {"covers"}
    for value in (heads["card"]["heads"][0], heads["cause"][0]["effects"][0]):
        assert not {"kind", "node"} & set(value)
    assert all(isinstance(part, int) for node in heads["circuit"] for part in node)


def test_commands_take_mlps_and_the_embedding_where_they_take_heads(home: dict[str, str]) -> None:
    text = shown(home, "cause", "all/1", "--heads", "m3,emb,1.1", "-q")
    assert "effects of the nodes of all/1 on the answer (below 0: the node helps)" in text
    assert all(f" {node} -" in text for node in ("m3", "emb", "1.1"))
    found = json.loads(shown(home, "cause", "all/1", "--heads", "m3,0.0", "--after", "m0,1.1", "--json", "-q"))
    backup = found["cause"][-1]
    assert (backup["method"], backup["after"], backup["after_name"]) == ("backup", [[0, None], [1, 1]], "m0 1.1")
    assert sorted(effect["node"] for effect in backup["effects"]) == ["0.0", "m3"]
    own = shown(home, "cause", "all/1", "--after", "circuit", "-q")
    assert re.search(r"backups with the run's circuit \(\d heads? and \d MLPs?\) replaced", own)

    kept = shown(home, "circuits", "keep", "all/1", "mine", "--heads", "m3,1.1")
    assert kept == "kept mine in all: 1 head and 1 MLP  m3 1.1\n"
    assert "1 head and 1 MLP" in shown(home, "circuits", "show", "mine")
    (row,) = json.loads(shown(home, "circuits", "show", "mine", "--json"))["circuits"]
    assert row["heads"] == [[3, None], [1, 1]]

    assert shown(home, "sessions", "note", "all/1", "early", "--head", "m0").startswith("m0 of run 1")
    assert shown(home, "sessions", "note", "all/1", "names", "--head", "emb").startswith("emb of run 1")
    assert "note on m0 of run 1" in shown(home, "sessions", "show", "all")
    notes = json.loads(shown(home, "sessions", "note", "all", "--json"))["notes"]
    assert [(note["layer"], note["head"], note["node"]) for note in notes] == [(0, None, "m0"), (None, None, "emb")]


@pytest.mark.parametrize(
    "words",
    [
        ("cause", "heads/1", "--heads", "m3"),
        ("cause", "heads/1", "--after", "emb"),
        ("circuits", "keep", "heads/1", "no", "--heads", "m3"),
        ("sessions", "note", "heads/1", "text", "--head", "m3"),
    ],
)
def test_a_run_of_heads_says_how_to_get_mlps(home: dict[str, str], words: tuple[str, ...]) -> None:
    ran = headcode(home, *words)
    assert ran.returncode == 2
    assert "is not in this run, which has heads only" in ran.stderr
    assert "Run it with --nodes all" in ran.stderr


def test_errors_name_the_node_that_does_not_exist(home: dict[str, str]) -> None:
    for words in (("cause", "all/1", "--heads", "m4"), ("sessions", "note", "all/1", "text", "--head", "m4")):
        ran = headcode(home, *words)
        assert (ran.returncode, "Node 'm4' does not exist: layers are 0-3" in ran.stderr) == (2, True), ran.stderr
    ran = headcode(home, "circuits", "keep", "all/1", "no", "--heads", "1.1,emb")
    assert (ran.returncode, "emb cannot be listed in a circuit" in ran.stderr) == (2, True), ran.stderr


def test_named_edges_are_measured_exactly(home: dict[str, str]) -> None:
    words = ("cause", "all/1", "--paths", "emb:0.5,0.5:m0,0.5:1.3")
    found = json.loads(shown(home, *words, "--json", "-q"))["exact_edges"]
    by_edge = {(tuple(edge["source"]), tuple(edge["target"])): edge["effect"] for edge in found["edges"]}
    assert by_edge.keys() == {((None, None), (0, 5)), ((0, 5), (0, None)), ((0, 5), (1, 3))}
    assert "exact patching of 3 edges" in shown(home, *words, "-q")
    kept = json.loads(shown(home, "sessions", "show", "all", "--json"))["run"]["exact_edges"]
    assert {edge["effect"] for edge in kept["edges"]} == {edge["effect"] for edge in found["edges"]}
    for more, why in (
        (("--paths", "1.3:0.5"), "1.3 to 0.5 is no edge"),
        (("--paths", "0.5"), "'0.5' is not an edge"),
        (("--paths", " "), "names no edge"),
        (("--paths", "emb:0.5", "--heads", "1.1"), "measures edges alone"),
        (("--paths", "emb:0.5", "--method", "combined"), "needs --method exact"),
    ):
        ran = headcode(home, "cause", "all/1", *more)
        assert (ran.returncode, why in ran.stderr) == (2, True), ran.stderr


@pytest.fixture(scope="module")
def exported(home: dict[str, str], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the run of all nodes in every format."""
    folder = tmp_path_factory.mktemp("exports")
    for name in (
        *("heads.csv", "heads.json", "heads.parquet", "edges.csv", "edges.parquet", "edges.graphml"),
        *("importance.json", "grid.txt", "grid.md", "grid.svg", "drawing.svg"),
    ):
        shown(home, "export", "all/1", str(folder / name), "--measure", "combined")
    return folder


def test_tables_say_the_kind_of_every_node(exported: Path) -> None:
    rows = list(csv.DictReader((exported / "heads.csv").read_text().splitlines()))
    assert list(rows[0])[:4] == ["layer", "head", "kind", "node"]
    about = [tuple(row[name] for name in ("layer", "head", "kind", "node")) for row in rows]
    assert about[:2] == [("", "", "embedding", "emb"), ("0", "0", "head", "0.0")]
    assert about[9:11] == [("0", "", "mlp", "m0"), ("1", "0", "head", "1.0")]
    assert len(rows) == 37
    assert {row["combined"] for row in rows} & {""} == set()
    as_json = json.loads((exported / "heads.json").read_text())
    assert [(row["layer"], row["head"]) for row in as_json["heads"][8:10]] == [(0, 7), (0, None)]
    edges = list(csv.DictReader((exported / "edges.csv").read_text().splitlines()))
    assert len(edges) == 554
    of_mlp = next(edge for edge in edges if edge["source_kind"] == "mlp")
    assert (of_mlp["source_node"], of_mlp["source_head"]) == (f"m{of_mlp['source_layer']}", "")

    with connect(":memory:", {}) as con:
        question = f"SELECT kind, count(*), count(layer), count(head) FROM '{exported / 'heads.parquet'}' GROUP BY kind"  # noqa: S608
        assert sorted(con.execute(question).fetchall()) == [
            ("embedding", 1, 0, 0),
            ("head", 32, 32, 32),
            ("mlp", 4, 4, 0),
        ]
        of_edges = f"SELECT count(*) FROM '{exported / 'edges.parquet'}' WHERE target_kind = 'mlp'"  # noqa: S608
        assert con.execute(of_edges).fetchall()[0][0] > 0


def test_a_graph_has_mlps_and_the_embedding_as_nodes(exported: Path) -> None:
    graph = nx.read_graphml(exported / "edges.graphml")
    assert {kind for _, kind in graph.nodes(data="kind")} == {"head", "mlp", "embedding"}
    assert (graph.nodes["m2"]["layer"], "head" in graph.nodes["m2"]) == (2, False)
    assert not {"layer", "head"} & set(graph.nodes["emb"])
    assert graph.has_edge("emb", "m0")
    assert graph.number_of_edges() == 554


def test_pictures_have_a_column_of_mlps_and_a_row_of_the_embedding(exported: Path) -> None:
    table = [line for line in (exported / "grid.md").read_text().splitlines() if line.startswith("|")]
    assert table[0] == "| layer | 0 | 1 | 2 | 3 | 4 | 5 | 6 | 7 | mlp |"
    assert {line.count("|") for line in table} == {11}
    assert table[2].startswith("| emb | ")
    assert not table[2].startswith("| emb | |")
    root = ElementTree.parse(exported / "grid.svg").getroot()
    texts = [(float(each.get("x", 0)), each.text) for each in root.iter("{http://www.w3.org/2000/svg}text")]
    at = {text: x for x, text in texts}
    assert at["mlp"] - at["7"] > at["7"] - at["6"]
    assert "emb" in at
    boxes = [each for each in root.iter("{http://www.w3.org/2000/svg}rect") if each.get("rx")]
    assert len(boxes) == 37
    width = float(root.get("width", 0))
    assert all(float(each.get("x", 0)) + float(each.get("width", 0)) <= width for each in boxes)
    assert "\n  emb " in (exported / "grid.txt").read_text()


def test_the_drawing_has_mlps_and_the_embedding(exported: Path) -> None:
    root = ElementTree.parse(exported / "drawing.svg").getroot()
    texts = {each.text or "" for each in root.iter("{http://www.w3.org/2000/svg}text")}
    assert any(re.fullmatch(r"m\d", text) for text in texts)
    assert any(text.startswith("24 of 554 edges; code pairs") for text in texts)
    assert len(list(root.iter("{http://www.w3.org/2000/svg}path"))) == 24


def test_importances_of_mlps_and_input_are_real_and_read_again(home: dict[str, str], exported: Path) -> None:
    path = exported / "importance.json"
    written = json.loads(path.read_text())
    run = json.loads(shown(home, "sessions", "show", "all", "--json"))["run"]
    combined = {node["node"]: node["combined"] for node in run["nodes"]}
    assert written["nodes"]["m3"]["score"] == pytest.approx(combined["m3"])
    assert written["nodes"]["input"] == {"in_graph": True, "score": pytest.approx(combined["emb"])}
    assert {written["nodes"][f"m{layer}"]["in_graph"] for layer in range(4)} == {True, False}
    assert written["nodes"]["logits"] == {"in_graph": True}
    # Edges of this run were measured: beside effects of nodes they have theirs, signed, as shares of the answer.
    measured = run["cause_edges"]
    effects = {(tuple(edge["source"]), tuple(edge["target"])): edge["effect"] for edge in measured["edges"]}
    source, target = next(edge for edge in effects if edge[0][1] is None and edge[0][0] is not None and edge[1][1])
    name = f"m{source[0]}->a{target[0]}.h{target[1]}<k>"
    assert written["edges"][name]["score"] == pytest.approx(effects[source, target] / measured["base"])
    direct = {node["node"]: node["direct_effect"] for node in run["nodes"]}
    assert written["edges"]["m3->logits"]["score"] == pytest.approx(direct["m3"], abs=1e-6)
    assert written["edges"]["input->logits"]["score"] == pytest.approx(direct["emb"], abs=1e-6)
    by_codes = json.loads(shown(home, "export", "all/1", "-", "--format", "importance-json", "--measure", "overlap"))
    codes = {(tuple(edge["source"]), tuple(edge["target"])): edge["score"] for edge in run["edges"]}
    assert by_codes["edges"][name]["score"] == codes[source, target]
    assert by_codes["edges"]["m3->logits"]["score"] == 0

    file = read_importance(path)
    assert file.scores[EMBEDDING] == pytest.approx(combined["emb"])
    chosen, how = file.circuit(None)
    assert how == "the nodes that are in its graph"
    assert EMBEDDING not in chosen
    assert any(node.kind == "mlp" for node in chosen)
    best, _ = file.circuit(6)
    assert [str(node) for node in best] == sorted(set(combined) - {"emb"}, key=lambda node: -combined[node])[:6]

    kept = shown(home, "import", str(path), "--as-circuit", "theirs", "--session", "all")
    assert re.match(r"kept theirs in all: \d heads? and \d MLPs?, the nodes that are in its graph  ", kept)
    text = shown(home, "compare", "all/1", str(path), "--measure", "combined")
    assert "Spearman 1.0" in text
    assert "\n  emb " in text
    # Beside a run of heads the file counts by its heads alone.
    beside = shown(home, "compare", "heads/1", str(path))
    assert "only B says something about MLPs and the embedding (emb m0 m1 m2 m3)" in beside
    assert "mlp" not in beside


def test_a_run_without_mlps_exports_what_it_did(home: dict[str, str], tmp_path: Path) -> None:
    for name in ("heads.csv", "importance.json", "edges.graphml", "edges.csv"):
        shown(home, "export", "heads/1", str(tmp_path / name))
    assert (tmp_path / "heads.csv").read_text().startswith("layer,head,unique_positive,")
    assert (tmp_path / "edges.csv").read_text().partition("\n")[0].endswith("target_head,score")
    assert "kind" not in nx.read_graphml(tmp_path / "edges.graphml").nodes["1.1"]
    written = json.loads((tmp_path / "importance.json").read_text())
    assert written["nodes"]["m0"] == written["nodes"]["input"] == {"in_graph": True}
    assert all(node.is_head for node in read_importance(tmp_path / "importance.json").circuit(None)[0])


def test_runs_with_and_without_mlps_are_compared_by_what_both_have(home: dict[str, str]) -> None:
    text = shown(home, "compare", "all/1", "heads/1")
    assert "A  all/1  toy 4 x 8 and MLPs" in text
    assert "only A says something about MLPs and the embedding (emb m0 m1 m2 m3): the grid and the" in text
    assert "mlp" not in text.partition("only A says")[0]
    assert re.search(r"only in A +\d+  m\d", text)
    grid = json.loads(shown(home, "compare", "heads/1", "all/1", "--json"))["grid"]
    assert len(grid["cells"]) == 32
    assert grid["more_in_b"] == [[None, None], *([layer, None] for layer in range(4))]
    assert "more_in_a" not in grid

    # One seed of the run is scored from its codes, which have heads, embedding and MLPs in the order of arrays.
    text = shown(home, "compare", "all/1", "all/1@0", "--measure", "unique_positive")
    assert "     mlp\n  emb " in text
    seeds = [json.loads(shown(home, "compare", "all/1", f"all/1@{seed}", "--json"))["grid"] for seed in (0, 1)]
    for first, second in zip(*(grid["cells"] for grid in seeds), strict=True):
        assert first["a"] == pytest.approx((first["b"] + second["b"]) / 2, abs=1e-5), first["node"]
    assert [cell["node"] for cell in seeds[0]["cells"]][-5:] == ["emb", "m0", "m1", "m2", "m3"]

    shown(home, "circuits", "keep", "all/1", "some", "--heads", "m1,1.1")
    beside = shown(home, "compare", "all/1", "circuit:some")
    assert "circuit some  1 head and 1 MLP" in beside
    assert "     mlp\n  emb " in beside
    assert re.search(r"only in B +\d+  m1", shown(home, "compare", "heads/1", "circuit:some"))
    # The known circuit was measured with MLPs, so a run's are held against it; those of heads alone are not.
    known = shown(home, "compare", "all/1", "task:ioi")
    assert "     mlp\n  emb " in known
    assert re.search(r"\bm3\b", known.partition("circuits")[2])


def test_a_run_with_mlps_is_verified_and_a_changed_one_is_named(home: dict[str, str]) -> None:
    verified = shown(home, "verify", "all/1")
    assert "all/1: the same, bit for bit" in verified
    assert "measured nodes" in verified
    subprocess.run([*COMMAND, "host", "stop"], env=home, check=True, capture_output=True, timeout=600)
    (store,) = Path(home["HEADCODE_HOME"]).rglob("*.duckdb")
    with connect(str(store), {}) as con:
        con.execute("UPDATE node_score SET unique_positive = unique_positive + 1 WHERE layer = 2 AND head = -1")
    ran = headcode(home, "verify", "all/1")
    assert ran.returncode == 1
    assert "(first: unique_positive of m2)" in ran.stdout


def test_what_a_set_lacks_is_said_of_nodes(home: dict[str, str]) -> None:
    few = ("probe", "ioi", "--pairs", "5", "--dry-run")
    assert "lacks 6 pairs for one node of 37 to reach significance" in shown(home, *few)
    assert "lacks 6 pairs for one head of 32 to reach significance" in shown(home, *few, "--nodes", "heads")
    assert "nodes" not in json.loads(shown(home, *few, "--nodes", "heads", "--json"))
    assert json.loads(shown(home, *few, "--json"))["nodes"] == "all"
    notices = json.loads(shown(home, "sessions", "show", "all", "--json"))["run"]["notices"]
    assert any("one node of 37 reach significance" in notice["message"] for notice in notices)
