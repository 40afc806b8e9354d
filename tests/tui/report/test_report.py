"""Reports of runs: what they say, that they are accessible, small, and that no text of a stranger becomes markup."""

import itertools
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import msgspec
import pytest
from markdown_it import MarkdownIt

from engine.analysis.run_state import RunSnapshot
from engine.config import DEFAULTS
from engine.examples import Example
from engine.node_parts import NextToken
from engine.nodes import NodeLayout
from engine.protocol import CodeWrites
from engine.results import Card, CircuitStability, EdgeScore, Grade
from engine.steering import DosePoint, SteeredText, SteerPlan, SteerResult, TextCost
from sessions.events import DrawingChanged, NodeGroup, RunQueued, SteeringRecorded
from sessions.protocol import HeadInspection
from tui.report import html as html_module
from tui.report.blocks import Document
from tui.report.document import SECTIONS, report_of
from tui.terminal.sanitize import clean

from ..finished_run import make_node
from ..hostile_run import hostile_run
from .reported import facts_of, folded, material_of, note, written

HOSTILE = (
    "<script>document.title='owned'</script><img src=x onerror=alert(1)> \"' onload=x javascript:x </style></title>-->"
    " `a` ``b`` | **bold** [link](http://evil.example/) ![p](http://evil.example/p.png) {{ 7*7 }} {% raw %} &amp; $x$"
    " http://evil.example/ \x00\x1b[2J\u202eRTL\u2028\n# heading\n- item\n1. one\n> quote\n```\nfence"
)
MOST_BYTES = 600_000
EMPTY = {"meta", "br", "img", "input", "hr", "link", "path", "rect"}


class Page(HTMLParser):
    """The elements of a page, its text, and what it links to."""

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.elements: list[tuple[str, dict[str, str | None]]] = []
        self.words: list[str] = []
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.elements.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.words.append(data)

    def all(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def text(self) -> str:
        return "".join(self.words)


ELEMENTS = {
    *(
        "html",
        "head",
        "meta",
        "title",
        "style",
        "body",
        "header",
        "h1",
        "h2",
        "h3",
        "h4",
        "h5",
        "p",
        "nav",
        "ol",
        "ul",
        "li",
    ),
    *(
        "a",
        "main",
        "section",
        "strong",
        "code",
        "figure",
        "figcaption",
        "div",
        "table",
        "thead",
        "tbody",
        "tr",
        "th",
        "td",
    ),
    *("small", "span", "sub", "pre", "svg", "rect", "text", "path"),
}
ATTRIBUTES = re.compile(
    r"lang|charset|http-equiv|content|name|class|id|href|scope|role|tabindex|aria-\w+|xmlns|width|height|viewbox|"
    r"font-(family|size|weight)|fill|x|y|rx|text-anchor|d|stroke(-\w+)?"
)


def look() -> HeadInspection:
    tokens = ("When", " Mary", " <b>", " gave")
    weights = tuple(tuple(1 / (row + 1) for _ in range(row + 1)) for row in range(4))
    writes = (CodeWrites(code=1, raises=((" Mary", 1.0), ("<i>", 0.5)), lowers=(), along=(0.0,) * 4),)
    model = folded_model()
    return HeadInspection(
        model=model, tokens=tokens, skipped=0, strength=(1.0,) * 4, attention=weights, code=1, writes=writes
    )


def folded_model() -> Any:
    from ..finished_run import make_events

    return folded(make_events()).model


def check(page: Page) -> None:
    """Only elements and attributes of ours, nothing that runs or loads, headings in order, tables with headers."""
    assert {tag for tag, _ in page.elements} <= ELEMENTS
    names = {name for _, attributes in page.elements for name in attributes}
    assert all(ATTRIBUTES.fullmatch(name) for name in names), names
    ids = [value for _, attributes in page.elements if (value := attributes.get("id")) is not None]
    assert len(ids) == len(set(ids))
    assert {each.get("href") for each in page.all("a")} <= {f"#{each}" for each in ids}
    labels = {value for _, each in page.elements if (value := each.get("aria-labelledby")) is not None}
    assert labels <= set(ids)
    levels = [int(tag[1]) for tag, _ in page.elements if re.fullmatch(r"h\d", tag)]
    assert levels[0] == 1
    assert all(after - before <= 1 for before, after in itertools.pairwise(levels))
    assert len(page.all("table")) == sum(each.get("aria-labelledby") is not None for each in page.all("table")) > 3
    assert all(each.get("scope") in ("col", "row") for each in page.all("th"))
    drawings = [each for each in page.all("div") if each.get("role") == "img"]
    assert len(drawings) == len(page.all("svg"))
    assert all(each["aria-label"] for each in drawings)


def test_a_report_tells_a_run_from_question_to_notes(nodes_host: Any) -> None:
    picture = folded(each.event for each in nodes_host.entries if each.run_id == nodes_host.with_mlps)
    facts = facts_of(picture, run_id=nodes_host.with_mlps, notes=(note("1.2 writes the name", head=(1, 2)),))
    page_text, text = written(material_of(facts, store=nodes_host.store))
    page = Page(page_text)
    check(page)
    titles = ["In short", "Words used here", "Examples", "All nodes", "The circuit drawn", "The strongest nodes"]
    titles += ["Effects on the answer", "How far to believe it", "Settings", "How to repeat it", "Notes"]
    assert re.findall(r"<h2>([^<]+)</h2>", page_text) == ["Contents", *titles]
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == titles
    inline = [child for each in MarkdownIt("commonmark").enable("table").parse(text) for child in each.children or ()]
    assert not [each.content for each in inline if each.type == "text" and "**" in each.content]
    assert sum(each.type == "strong_open" for each in inline) > 12
    assert picture.card is not None
    assert picture.model is not None
    for words in (picture.card.verdict, picture.examples[0].prompt, picture.model.identity, picture.content_hash,
                  "headcode probe ioi", "1.2 writes the name"):  # fmt: skip
        assert words in page.text
        assert words in text.replace("\\", "")
    grids = [each for each in page.all("table") if each.get("class") == "dense"]
    assert len(grids) == 1
    shaded = [each for each in page.all("td") if re.search(r"\bs\d\b", each.get("class") or "")]
    assert len(shaded) == len(picture.nodes)
    assert "only positives" not in page.text
    assert "Nobody was asked." in page.text, "what needs the model is said"
    assert len(page_text.encode()) < MOST_BYTES / 4


def test_attention_and_tokens_are_written_as_numbers_too(picture: RunSnapshot) -> None:
    page_text, text = written(material_of(facts_of(picture), look=look()))
    page = Page(page_text)
    check(page)
    assert ">&#32;" not in page_text
    assert re.search(r'<span class="t2"> Mary<sub>.25</sub></span>', page_text)
    assert "` Mary` (.25)" in text
    assert "Nobody was asked." not in page.text


def test_no_text_of_a_stranger_is_markup(recorded: Any) -> None:
    picture = folded(hostile_run(recorded, HOSTILE))
    drawing = DrawingChanged(groups=(NodeGroup(name=HOSTILE[:40], nodes=((1, 2), (2, 3))),))
    facts = facts_of(
        picture,
        name=HOSTILE,
        drawing=drawing,
        notes=(note(HOSTILE), note(HOSTILE, run=False)),
        queued=RunQueued(config=DEFAULTS, model=HOSTILE, task=HOSTILE, known=HOSTILE),
        as_created=False,
    )
    facts = msgspec.structs.replace(facts, run=msgspec.structs.replace(facts.run, model=HOSTILE))
    tokens = (HOSTILE, HOSTILE)
    seen = msgspec.structs.replace(look(), tokens=tokens, attention=((1.0,), (0.5, 0.5)))
    page_text, text = written(material_of(facts, look=seen))
    page = Page(page_text)
    check(page)
    assert clean(HOSTILE, lines=True) in page.text
    assert "{{ 7*7 }}" in page.text
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202e\u2028]", page_text + text)
    (policy,) = [each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy"]
    assert policy is not None
    assert policy.startswith("default-src 'none'")
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    kinds = {token.type for block in blocks for token in (block, *(block.children or ()))}
    assert not kinds & {"html_block", "html_inline", "link_open", "image", "ordered_list_open"}
    assert "table_open" in kinds
    titles = [after.content for before, after in itertools.pairwise(blocks) if before.type == "heading_open"]
    assert "Notes" in titles
    assert [title for title in titles if title.startswith("heading")] == []


@pytest.mark.parametrize(
    "hostile",
    ["", " ", "|", "`", "``` ```", "\\", "a\\|b", "1.", "1. x", "-", "- x", "---", "===", "+", "\n", "*", "<", "\t"],
)
def test_small_texts_survive_markdown(hostile: str) -> None:
    from tui.report.blocks import Cell, Column, Paragraph, Section, Table

    table = Table(
        "caption", (Column("a"), Column("b")), ((Cell("x"), Cell(hostile, code=True)), (Cell(hostile), Cell("y")))
    )
    section = Section(id="x", title=f"t{hostile}", blocks=(Paragraph(f"p{hostile}"), table, Paragraph("end")))
    from tui.report.markdown import markdown

    text = markdown(Document(title="t", about="a", sections=(section,)))
    blocks = MarkdownIt("commonmark").enable("table").parse(text)
    cells = [each for each in blocks if each.type in ("td_open", "th_open")]
    assert len(cells) == 6, text
    codes = [child.content for block in blocks for child in block.children or () if child.type == "code_inline"]
    assert codes == ([clean(hostile)] if hostile else []), text
    assert blocks[-2].content == "end"


def test_the_largest_run_stays_small() -> None:
    """80 layers of 64 heads with MLPs, 500 long examples, long notes and errors."""
    layout = NodeLayout(n_layers=80, n_heads=64, choice="all")
    prompt = "word & <b> " * 2_000
    examples = tuple(
        Example(
            prompt=f"{index} {prompt}",
            polarity=("positive", "negative")[index % 2],
            expected=(prompt,) * 9,
            pair=index // 2,
        )
        for index in range(500)
    )
    from ..finished_run import make_events

    picture = folded(make_events())
    assert picture.model is not None
    assert picture.finished is not None
    model = msgspec.structs.replace(picture.model, n_layers=80, n_heads=64, nodes="all")
    nodes = tuple(msgspec.structs.replace(make_node(1, 1), layer=each.layer, head=each.head) for each in layout.ids)
    edges = tuple(EdgeScore(source=(0, i % 64), target=(40 + i % 40, i % 64), score=200.0 - i) for i in range(200))
    grades = tuple(Grade(index=i, verdict="weak", reason=prompt, n_tokens=3, says=prompt) for i in range(500))
    card = Card(
        verdict="weak", reasons=(prompt[:500],) * 9, advice=(), above_chance=layout.ids[:5000], expected_false=1.0,
        heads=(), stability=CircuitStability(seeds=None, bootstraps=0.5, n_bootstraps=10, heads=()), truth=None,
        codes_auc=None, baselines=(), movers=None, dormant=layout.ids[:5000],
    )  # fmt: skip
    picture = msgspec.structs.replace(
        picture, model=model, nodes=nodes, examples=examples, grades=grades, edges=edges, card=card
    )
    notes = tuple(note(prompt) for _ in range(60))
    page_text, text = written(
        material_of(facts_of(picture, notes=notes, drawing=DrawingChanged(most=200)), look=look())
    )
    sizes = {part[:12]: len(part) for part in page_text.split("<section id=")}
    assert len(page_text.encode()) < MOST_BYTES, sizes
    assert len(text.encode()) < MOST_BYTES
    check(Page(page_text))


def test_a_session_has_its_runs_one_after_another(picture: RunSnapshot) -> None:
    one = facts_of(picture)
    two = msgspec.structs.replace(one, run=msgspec.structs.replace(one.run, number=2, run_id="r0002"))
    materials = [material_of(each, prefix=f"run-{each.run.number}-") for each in (one, two)]
    report = report_of(materials)
    assert [each.id for each in report.sections] == ["words", "run-1", "run-2"]
    assert len(report.sections[1].sections) >= len(SECTIONS) - 2
    page = Page(html_module.html(report))
    check(page)
    assert "#run-2-examples" in {each.get("href") for each in page.all("a")}


def test_a_run_that_stopped_early_says_so(picture: RunSnapshot) -> None:
    cut = msgspec.structs.replace(picture, finished=None, card=None, edges=(), nodes_final=False, grades=(), known=None)
    page_text, _ = written(material_of(facts_of(cut)))
    page = Page(page_text)
    check(page)
    assert "all numbers are provisional" in page.text
    assert "The circuit drawn" not in page.text


def test_text_on_every_shade_can_be_read() -> None:
    """WCAG AA: a contrast of 4.5."""
    style = (Path(html_module.__file__).parent / "page.css").read_text(encoding="utf-8")
    shades = re.findall(r"\.s\d\{background:(#\w+);color:(#\w+)\}", style)
    assert len(shades) == 10
    for ground, ink in shades:
        light, dark = sorted((luminance(ground), luminance(ink)), reverse=True)
        assert (light + 0.05) / (dark + 0.05) >= 4.5, (ground, ink)


def luminance(colour: str) -> float:
    text = colour.removeprefix("#")
    text = "".join(2 * each for each in text) if len(text) == 3 else text
    parts = [int(text[place : place + 2], 16) / 255 for place in (0, 2, 4)]
    red, green, blue = (each / 12.92 if each <= 0.03928 else ((each + 0.055) / 1.055) ** 2.4 for each in parts)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_steering_is_told_with_its_random_directions(picture: RunSnapshot) -> None:
    points = tuple(
        DosePoint(strength=each, effect=-each, error=0.1, random=(0.25 * each, -0.25 * each)) for each in (-2.0, 2.0)
    )
    token = NextToken(token=HOSTILE[:20], before=0.5, after=0.25, rank_before=1, rank_after=2)
    result = SteerResult(
        unit=1.5,
        prompt=HOSTILE,
        next_tokens=(token,),
        kl=0.125,
        metric="logit_difference",
        base=3.0,
        prompts=8,
        points=points,
        texts=(SteeredText(strength=0.0, tokens=(" as", " ever")), SteeredText(strength=2.0, tokens=(HOSTILE,))),
        cost=TextCost(tokens=9, before=-2.0, after=-2.5),
    )
    plan = SteerPlan(kind="code", nodes=((1, 2),), code=7, strength=2.0)
    steered = SteeringRecorded(plan=plan, result=result)
    plain, _ = written(material_of(facts_of(picture)))
    assert "Steering" not in Page(plain).text
    page_text, text = written(material_of(facts_of(picture, steerings=(steered,))))
    page = Page(page_text)
    check(page)
    for words in (
        "Code 7 of 1.2 times 2 at every token",
        "(p .33) beside 2 random directions of the stream",
        "as ever",
    ):
        assert words in page.text
        assert words in text
    assert "perplexity times 1.65" in page.text
    assert clean(HOSTILE, lines=True) in page.text
