"""`headcode export` and `headcode import`: every format read back by something that is not ours."""

import csv
import io
import json
import os
import re
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import msgspec
import networkx as nx
import pytest

from engine.analysis.run_state import RunSnapshot
from engine.errors import ConfigError
from engine.measures import MEASURES, find_measure, value_of
from engine.nodes import NodeId, mlp
from sessions.store.connection import connect
from tui.commands.export_import import BUNDLE, FORMATS, find_format
from tui.output.graphml import graphml
from tui.output.grid_pictures import GridPicture
from tui.output.importance_json import BadImportance, graph_edges, importance, importance_json, read_importance
from tui.output.tables import edges_table, heads_table

COMMAND = (sys.executable, "-m", "tui.cli")
UNIQUE = find_measure("unique_positive")
NASTY = "evil <b>&\x1b]52;c;aGk=\x07 [/] | `x` *y*"


@pytest.mark.parametrize(
    ("name", "form"),
    [
        ("mine.headcode", "bundle"),
        ("a/heads.csv", "heads-csv"),
        ("my-nodes.json", "heads-json"),
        ("edges.parquet", "edges-parquet"),
        ("importances.json", "importance-json"),
        ("grid.SVG", "grid-svg"),
        ("my-edges.svg", "edges-svg"),
        ("drawing.svg", "edges-svg"),
        ("notes.md", "grid-md"),
        ("x.txt", "grid-txt"),
        ("x.ans", "grid-ansi"),
        ("h.csv", "heads-csv"),
        ("x.json", "heads-json"),
        ("run1.parquet", "heads-parquet"),
        ("heads-and-edges.csv", "heads-csv"),
        ("importances.csv", "heads-csv"),
        ("circuit-edges.csv", "edges-csv"),
        ("x.graphml", "edges-graphml"),
    ],
)
def test_a_name_says_its_format(name: str, form: str) -> None:
    found, explicit = find_format(name, None), find_format(name, "edges-csv")
    assert (BUNDLE if found is None else found.name) == form
    assert explicit is not None
    assert explicit.name == "edges-csv"


@pytest.mark.parametrize("name", ["x", "-", "x.zip"])
def test_a_name_that_says_too_little_is_asked_about(name: str) -> None:
    with pytest.raises(ConfigError) as refused:
        find_format(name, None)
    assert "--format" in refused.value.hint
    with pytest.raises(ConfigError, match="does not exist"):
        find_format(name, "png")


def test_tables_hold_every_measure_of_every_head(picture: RunSnapshot) -> None:
    table = heads_table(picture.nodes[::-1], ((1, 3),))
    rows = list(csv.DictReader(io.StringIO(table.csv())))
    assert [(row["layer"], row["head"]) for row in rows] == [(str(n.layer), str(n.head)) for n in picture.nodes]
    for row, node in zip(rows, picture.nodes, strict=True):
        assert row["in_circuit"] == ("true" if (node.layer, node.head) == (1, 3) else "false")
        for measure in MEASURES:
            value = value_of(node, measure)
            assert row[measure.id] == ("" if value is None else repr(float(value)))
    result = json.loads(table.json({"title": NASTY}))
    assert result["title"] == NASTY
    assert result["heads"][0]["unique_positive"] == picture.nodes[0].unique_positive
    edges = list(csv.reader(io.StringIO(edges_table(picture.edges).csv())))
    assert edges[1:] == [["1", "0", "1", "1", "3", "4.5"]]


def test_graphml_is_read_by_the_programs_that_read_it(picture: RunSnapshot, tmp_path: Path) -> None:
    path = tmp_path / "edges.graphml"
    path.write_text("".join(graphml(picture.nodes, ((1, 3),), picture.edges, NASTY)))
    read = nx.read_graphml(path)
    assert read.is_directed()
    assert set(read) == {str(node.id) for node in picture.nodes}
    assert [name for name, inside in read.nodes(data="in_circuit") if inside] == ["1.3"]
    assert list(read.edges(data=True)) == [("0.1", "1.3", {"score": 4.5, "place": 1})]
    for node in picture.nodes:
        values = {measure.id: value_of(node, measure) for measure in MEASURES}
        recorded = {name: value for name, value in values.items() if value is not None}
        assert recorded == {key: value for key, value in read.nodes[str(node.id)].items() if key in recorded}


def test_numbers_that_are_none_are_empty(picture: RunSnapshot) -> None:
    node = msgspec.structs.replace(picture.nodes[0], p_value=None, stability=float("nan"))
    (row,) = csv.DictReader(io.StringIO(heads_table([node], ()).csv()))
    assert (row["p_value"], row["stability"]) == ("", "")


def drawn(picture: RunSnapshot, **more: Any) -> GridPicture:
    return GridPicture(
        title=NASTY, nodes=picture.nodes, measure=UNIQUE, circuit=[(1, 3), (1, 2)], known=[(1, 3)], **more
    )


def test_pictures_carry_no_commands_of_strangers(picture: RunSnapshot) -> None:
    for form in ("txt", "md", "svg"):
        assert "\x1b" not in drawn(picture).draw(form)  # type: ignore[arg-type]
    ansi = drawn(picture).ansi()
    assert "\x1b]" not in ansi
    assert "\x1b[" in ansi
    svg = drawn(picture).svg()
    assert "<b>" not in svg
    assert "http" not in svg.replace("http://www.w3.org/2000/svg", "")
    assert "\\`x\\` \\*y\\*" in drawn(picture).markdown()


def test_an_svg_shows_every_head_and_frames_the_circuit(picture: RunSnapshot) -> None:
    root = ElementTree.fromstring(drawn(picture).svg())  # our own
    space = "{http://www.w3.org/2000/svg}"
    cells = [rect for rect in root.iter(f"{space}rect") if rect.get("rx")]
    assert len(cells) == 8
    assert [cell.get("stroke") is not None for cell in cells] == [False] * 6 + [True, True]
    assert len(list(root.iter(f"{space}circle"))) == 1
    texts = [text.text for text in root.iter(f"{space}text")]
    assert "7.0" in texts
    width = float(root.get("width") or 0)
    assert all(7 * len(text or "") < width for text in texts)


def test_markdown_is_a_table(picture: RunSnapshot) -> None:
    lines = drawn(picture).markdown().splitlines()
    assert lines[3:5] == ["| layer | 0 | 1 | 2 | 3 |", "| ---: | ---: | ---: | ---: | ---: |"]
    assert lines[6] == "| 1 | 4.0 | 5.0 | **6.0** | **7.0°** |"


# ---- importance JSON, against the format as EAP-IG's graph documents it


def loader(path: Path) -> tuple[dict[str, Any], dict[str, Any]]:
    """What Graph.from_json does with such a file, written down from its documentation: every name must be known."""
    result = json.loads(path.read_text())
    assert all(key in result for key in ("cfg", "nodes", "edges"))
    n_layers, n_heads = result["cfg"]["n_layers"], result["cfg"]["n_heads"]
    assert isinstance(result["cfg"]["parallel_attn_mlp"], bool)
    assert result["cfg"]["d_model"] == 96
    names = {"input", "logits"}
    residual, edges = ["input"], set()
    for layer in range(n_layers):
        heads = [f"a{layer}.h{head}" for head in range(n_heads)]
        names.update(heads, [f"m{layer}"])
        edges.update(f"{one}->{head}<{letter}>" for one in residual for head in heads for letter in "qkv")
        residual += heads
        edges.update(f"{one}->m{layer}" for one in residual)
        residual.append(f"m{layer}")
    edges.update(f"{one}->logits" for one in residual)
    assert set(result["nodes"]) == names
    assert set(result["edges"]) == edges
    for node in result["nodes"].values():
        assert isinstance(node["in_graph"], bool)
        assert isinstance(node.get("score", 0.0), float)
    for edge in result["edges"].values():
        assert isinstance(edge["in_graph"], bool)
        assert isinstance(edge["score"], float)
    return result["nodes"], result["edges"]


@pytest.fixture
def written(picture: RunSnapshot, tmp_path: Path) -> Path:
    assert picture.model is not None
    path = tmp_path / "importances.json"
    pieces = importance_json(picture.model, picture.nodes, UNIQUE, [(1, 3), (0, 1)], picture.edges)
    path.write_text("".join(pieces))
    return path


def test_importances_are_what_the_loader_expects(written: Path) -> None:
    nodes, edges = loader(written)
    assert nodes["a1.h3"] == {"in_graph": True, "score": 7.0}
    assert nodes["a0.h0"] == {"in_graph": False, "score": 0.0}
    assert nodes["m0"] == nodes["input"] == {"in_graph": True}
    assert {edges[f"a0.h1->a1.h3<{letter}>"]["score"] for letter in "qkv"} == {4.5}
    assert edges["a0.h1->a1.h3<q>"]["in_graph"] is True
    assert edges["a0.h0->a1.h3<q>"]["in_graph"] is False
    assert edges["m0->logits"] == {"score": 0.0, "in_graph": True}
    assert len(list(graph_edges(2, 4))) == len(edges)


@pytest.mark.parametrize("measure", MEASURES, ids=lambda measure: measure.id)
def test_importance_grows_with_what_speaks_for_a_head(measure: Any, picture: RunSnapshot) -> None:
    from engine.analysis.ranking import strength

    found = [(strength(node, measure), importance(node, measure)) for node in picture.nodes]
    assert all(score >= 0 for _, score in found)
    ordered = [score for _, score in sorted(found)]
    assert ordered == sorted(ordered)


def test_what_was_written_is_read_again(written: Path) -> None:
    found = read_importance(written)
    assert found.circuit(None) == ((NodeId(0, 1), NodeId(1, 3)), "the heads that are in its graph")
    assert found.circuit(2)[0] == (NodeId(1, 3), NodeId(1, 2))


def test_files_of_others_are_read_too(tmp_path: Path) -> None:
    path = tmp_path / "theirs.json"
    cfg = '{"n_layers": 2, "n_heads": 2, "parallel_attn_mlp": true, "d_model": 4, "more": [1]}'
    # NaN for what was not scored, as Python writes it.
    path.write_text(
        f'{{"cfg": {cfg}, "nodes": {{"input": {{"in_graph": true, "score": NaN}}, "a0.h1": {{"in_graph": false, '
        '"score": -3.0}, "a1.h0": {"in_graph": false, "score": NaN}}, "edges": {}}'
    )
    assert read_importance(path).circuit(None) == ((NodeId(0, 1),), "the 1 best heads by node score")
    # Older files: a node is a bare yes or no, and only edges have scores.
    path.write_text(f'{{"cfg": {cfg}, "nodes": {{"a0.h1": true, "a1.h1": false, "m0": true}}, "edges": {{}}}}')
    assert read_importance(path).circuit(None)[0] == (NodeId(0, 1),)
    edges = '{"a0.h0->a1.h0<q>": {"score": -2, "in_graph": false}, "a0.h1->logits": {"score": 1.5, "in_graph": false}}'
    path.write_text(f'{{"cfg": {cfg}, "nodes": {{"a0.h0": {{"in_graph": false}}}}, "edges": {edges}}}')
    best, how = read_importance(path).circuit(1)
    assert (best, how) == ((NodeId(0, 0),), "the 1 best heads by the scores of their edges")
    # MLPs count where they have scores of their own; without any, they are in every graph.
    theirs = '"m1": {"in_graph": true, "score": 4}, "a0.h1": {"in_graph": true, "score": 1}, "m0": {"in_graph": false}'
    path.write_text(f'{{"cfg": {cfg}, "nodes": {{{theirs}}}, "edges": {{}}}}')
    assert read_importance(path).circuit(None) == ((mlp(1), NodeId(0, 1))[::-1], "the nodes that are in its graph")
    path.write_text(f'{{"cfg": {cfg}, "nodes": {{}}, "edges": {edges.replace("a0.h0->", "m0->")}}}')
    assert read_importance(path).circuit(1)[0] == (mlp(0),)


def test_parallel_mlps_do_not_read_the_heads_beside_them() -> None:
    serial, parallel = ({(str(a), str(b)) for a, b, _ in graph_edges(2, 2, parallel=each)} for each in (False, True))
    assert serial - parallel == {("0.0", "m0"), ("0.1", "m0"), ("1.0", "m1"), ("1.1", "m1")}
    assert not parallel - serial


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "{}",
        "[" * 100_000,
        '{"cfg": {}, "nodes": {}}',
        '{"cfg": {"n_layers": 1e9, "n_heads": 2}, "nodes": {}}',
        '{"cfg": {"n_layers": 1000000000, "n_heads": 2}, "nodes": {}}',
        '{"cfg": {"n_layers": true, "n_heads": 2}, "nodes": {}}',
        '{"cfg": {"n_layers": 2, "n_heads": 2}, "nodes": {"a5.h0": true}}',
        '{"cfg": {"n_layers": 2, "n_heads": 2}, "nodes": []}',
        '{"cfg": {"n_layers": ' + "9" * 5_000 + "}}",
    ],
)
def test_files_that_are_none_are_refused(text: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.json"
    path.write_text(text)
    with pytest.raises(BadImportance):
        read_importance(path)


# ---- over a real host


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[..., Any]]:
    """Runs commands in a fresh installation that holds one run; ends its host afterwards."""
    folder = tmp_path_factory.mktemp("home")
    environment = {**os.environ, "HEADCODE_HOME": str(folder / "h"), "OMP_NUM_THREADS": "1"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [*COMMAND, *words], env=environment, cwd=folder, capture_output=True, text=True, timeout=600, check=False
        )

    run.folder = folder  # type: ignore[attr-defined]
    ran = run("probe", "ioi", "--steps", "20", "--shuffles", "20", "--seeds", "1", "--name", "one", "--quiet")
    assert ran.returncode == 0, ran.stderr
    yield run
    run("host", "stop")


def test_every_format_is_written(home: Any) -> None:
    usual = home.folder / "usual"
    usual.touch()
    mode = usual.stat().st_mode & 0o777
    for form in FORMATS:
        name = f"made-{form}.{'headcode' if form == 'bundle' else form.split('-')[1]}"
        ran = home("export", "one", name, "--format", form)
        assert ran.returncode == 0, (form, ran.stderr)
        path = home.folder / name
        assert ran.stdout == f"{path}\n"
        assert path.stat().st_size > (40 if form == "run-sh" else 100)
        assert path.stat().st_mode & 0o777 == mode
    assert [path.name for path in home.folder.iterdir() if path.name.endswith(".part")] == []
    heads = home.folder / "made-heads-parquet.parquet"
    con = connect(":memory:")
    found = con.execute(f"SELECT node, unique_positive, in_circuit FROM '{heads}' ORDER BY ALL").fetchall()  # noqa: S608
    con.close()
    result = list(csv.DictReader((home.folder / "made-heads-csv.csv").read_text().splitlines()))
    read = [(row["node"], float(row["unique_positive"])) for row in result]
    assert sorted(read) == [row[:2] for row in found]
    assert sorted(row["kind"] for row in result) == ["embedding", *["head"] * 32, *["mlp"] * 4]
    assert {row["node"] for row in result if row["in_circuit"] == "true"} == {row[0] for row in found if row[2]}
    nodes, _ = loader(home.folder / "made-importance-json.json")
    assert sum(node["in_graph"] for name, node in nodes.items() if name[0] in "am") == 4


def test_stdout_takes_text(home: Any) -> None:
    ran = home("export", "one/1", "-", "--format", "heads-csv")
    assert ran.returncode == 0
    assert ran.stdout.startswith("layer,head,kind,node,unique_positive")
    assert ran.stderr == ""
    assert home("export", "one", "-", "--format", "heads-parquet").returncode == 2
    assert home("export", "one", "-", "--format", "bundle").returncode == 2


def test_a_file_that_is_there_is_not_replaced(home: Any) -> None:
    path = home.folder / "mine.svg"
    path.write_text("mine")
    for name in ("mine.svg", "mine-heads.parquet", "mine.headcode"):
        (home.folder / name).write_text("mine")
        ran = home("export", "one", name)
        assert ran.returncode == 2
        assert "exists already" in ran.stderr
        assert (home.folder / name).read_text() == "mine"
        assert home("export", "one", name, "--force").returncode == 0
        assert (home.folder / name).read_bytes() != b"mine"


def test_a_circuit_comes_in_and_can_be_compared(home: Any) -> None:
    assert home("export", "one", "importances.json", "--cut", "6").returncode == 0
    held = home("compare", "one", "importances.json", "--json")
    assert json.loads(held.stdout)["grid"]["spearman"] == 1.0
    assert json.loads(held.stdout)["b"]["kind"] == "file"
    assert home("compare", "importances.json", "importances.json").returncode == 0
    ran = home("import", "importances.json", "--as-circuit", "theirs", "--session", "one")
    assert ran.returncode == 0, ran.stderr
    assert re.search(r"[0-6] heads?( and [1-4] MLPs?)?, the nodes that are in its graph", ran.stdout)
    compared = home("compare", "one", "circuit:theirs", "--json")
    assert compared.returncode == 0, compared.stderr
    ran = home("import", "importances.json", "--as-circuit", "few", "--session", "one", "--top", "2", "--json")
    assert len(json.loads(ran.stdout)["circuits"][0]["heads"]) == 2
    assert "imported from importances.json" in json.loads(ran.stdout)["circuits"][0]["source"]


def test_words_that_do_not_go_together(home: Any) -> None:
    for words in (
        ("import", "x.json"),
        ("import", "x.headcode", "--top", "3"),
        ("import", "x.json", "--as-circuit", "a"),
        ("import", "x.json", "--as-circuit", "a", "--session", "one", "--as-copy"),
        ("import", "nowhere.headcode"),
        ("export", "one", "x.svg", "--sae"),
        ("export", "one", "y.headcode", "--cut", "3"),
        ("export", "nobody", "y.headcode"),
        ("export", "nobody", "y.svg"),
    ):
        ran = home(*words)
        assert ran.returncode == 2, (words, ran.stderr)
        assert "hint:" in ran.stderr, words


def test_a_session_goes_out_and_in_again(home: Any) -> None:
    out = home("export", "one", "travel.headcode", "--json")
    result = json.loads(out.stdout)
    assert (result["schema"], result["runs"]) == ("headcode.export/1", 1)
    again = home("import", "travel.headcode")
    assert again.returncode == 0
    assert "already imported, with the same entries" in again.stdout
    copy = json.loads(home("import", "travel.headcode", "--as-copy", "--name", "a copy", "--json").stdout)
    assert (copy["schema"], copy["arrival"], copy["session"]["name"]) == ("headcode.import/1", "new", "a copy")
    shown = home("sessions", "show", "a copy")
    assert "total variation" in shown.stdout
