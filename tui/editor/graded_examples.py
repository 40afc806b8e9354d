"""The edited examples together with the grades that the next run's model gives them."""

import itertools
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from engine.authoring.drafts import flaw, parse_draft, text_of
from engine.authoring.readiness import Readiness, check_readiness, templates_in
from engine.authoring.templates import count as count_slots
from engine.authoring.templates import is_open, is_template, may_be_template, read_lists
from engine.config import LoadOptions, load_fields
from engine.errors import HeadcodeError
from engine.examples import Example
from engine.results import Grade, ModelInfo, PromptTokens
from sessions.errors import HostGone
from sessions.protocol import GradeExamples, Grades, MakeTaskExamples
from tui.editor.buffer import Examples, RequestSender
from tui.editor.edits import ExampleEdits
from tui.editor.grade_cache import Content, GradeIndex, content_of
from tui.editor.more_pairs import MorePairs, more_pairs
from tui.state.workbench_state import WorkbenchState

Reading = tuple[str, str, LoadOptions]
"""Position policy, model, and how it is loaded."""
_FIRST_GRADED, _THEN_GRADED = 6, 32
"""Examples per request: a few near the current one first, then larger batches."""
_COUNTED = 5_000
"""Templates are counted exactly up to this many examples."""
_LARGE = 1_000
_WORTH_EVERY_S = 0.5
"""Beyond _LARGE examples a summary takes longer than a frame, and is refreshed at this interval."""


class GradedExamples(ExampleEdits):
    """Examples with their grades and the readiness of the set."""

    def __init__(self, state: WorkbenchState, link: RequestSender, name: str) -> None:
        super().__init__(state, link)
        self.name = name
        """The name under which the host files this editor's grading requests."""
        self.model: ModelInfo | None = None
        """The model that graded last; None: the next run's model has graded nothing yet."""
        self.worth_is_old = False
        """Whether `worth` will have a newer result soon."""
        self._regraded = False
        self._read_by: Reading | None = None
        """The reading under which the known grades were made."""
        self._known: dict[Content, tuple[Grade, PromptTokens]] = {}
        self._book: GradeIndex | None = None
        self._parts: tuple[Examples, bool] | None = None
        self._templates: tuple[Examples, dict[int, int]] | None = None
        self._counted: tuple[tuple[str, int], Examples, int] | None = None
        self.typed = ""
        """The current line as typed; empty if no line is being edited."""
        self._worth: tuple[Examples, int, float, Readiness] | None = None

    @property
    def position(self) -> str:
        """The position policy of the next run."""
        return self.state.options.config.position

    @property
    def n_heads(self) -> int | None:
        """Number of heads of the next run's model; None while it has graded nothing yet."""
        return None if self.model is None else self.model.n_layers * self.model.n_heads

    @property
    def parts(self) -> bool:
        """Whether the next run reads each head only at the position where its pair differs most.

        engine.sae.training.prepare does so under the contrast recipe if prompts are read whole and all are in pairs.
        """
        config = self.state.options.config
        if config.position != "mean" or config.sae.recipe != "contrast":
            return False
        examples = self.examples
        if self._parts is None or self._parts[0] is not examples:
            sides = Counter(each.pair for each in examples if each.enabled)
            self._parts = examples, None not in sides and set(sides.values()) == {2}
        return self._parts[1]

    @property
    def reading(self) -> Reading:
        """Model and position policy of the next run, by which examples are graded."""
        options = self.state.options
        return (options.config.position, options.model, LoadOptions(**load_fields(options)))

    def question(self, examples: Sequence[Example], *, channel: str | None = None) -> GradeExamples:
        """Return the grading request for these examples. It replaces an earlier one of the same channel."""
        position, model, loading = self.reading
        return GradeExamples(
            session=self.state.session_id or "",
            examples=tuple(examples),
            position=position,
            desk=self.name if channel is None else channel,
            model=model,
            **load_fields(loading),
        )

    def order(self, task: str, pairs: int) -> MakeTaskExamples:
        """Return a request for examples of a ready-made task, for the tokens of the next run's model."""
        _, model, loading = self.reading
        session = self.state.session_id or ""
        return MakeTaskExamples(session=session, task=task, pairs=pairs, model=model, **load_fields(loading))

    @property
    def is_stale(self) -> bool:
        """Whether the next run would read the prompts in another way than the grades assume."""
        return self._read_by is not None and self._read_by != self.reading

    @property
    def grades(self) -> dict[int, Grade]:
        """Grades by index, with the lengths of pairs compared where both halves are graded."""
        examples, skipped = self.examples, {*self.flaws, *self.templates}
        if self._book is None or self._book.examples is not examples or self._book.skipped != skipped:
            self._book = GradeIndex(examples, skipped, self._known)
        return self._book.grades

    @property
    def templates(self) -> dict[int, int]:
        """Indices of lines with slots, with the number of examples each expands to together with its pair.

        0 while a slot is being typed. Templates are not graded; the model reads the filled lines.
        """
        examples = self.examples
        if self._templates is None or self._templates[0] is not examples:
            found = {place: self.slots(text_of(examples[place]), place) for place in sorted(templates_in(examples))}
            self._templates = examples, found
        found = self._templates[1]
        if not self.typed or self.at >= len(examples) or self.at in found:
            return found
        # What was recorded while the line is typed may end within a slot that is closed by now.
        half_written = is_open(self.typed) or is_open(text_of(examples[self.at]))
        return {**found, self.at: 0} if half_written else found

    def template_words(self, n: int) -> str:
        """Describe a template that expands to n examples."""
        if not n:
            return "a template: the words of its slot are being typed"
        return f"a template, filled into {n:,} {'example' if n == 1 else 'examples'}"

    def tokens(self, example: Example) -> PromptTokens | None:
        known = self._known.get(content_of(example))
        return known[1] if known is not None else None

    def grade_of(self, example: Example) -> Grade | None:
        known = self._known.get(content_of(example))
        return known[0] if known is not None else None

    def worth(self) -> Readiness:
        """Return the readiness of the set; for a large set that is being graded, at most half a second old."""
        examples, grades = self.examples, self.grades
        before = self._worth
        now = time.monotonic()
        if before is not None and before[0] is examples:
            if before[1] == len(grades) and not self._regraded:
                return before[3]
            if len(examples) > _LARGE and now - before[2] < _WORTH_EVERY_S:
                self.worth_is_old = True
                return before[3]
        found = check_readiness(examples, grades, self.flaws, self.templates, self.n_heads)
        self._worth, self.worth_is_old, self._regraded = (examples, len(grades), now, found), False, False
        return found

    def trim(self) -> int:
        """Apply the prompts that grades propose; return how many were changed."""
        better = {self.examples[place]: grade.better_prompt for place, grade in self.grades.items()}
        better = {each: prompt for each, prompt in better.items() if prompt}
        if better:
            self.change(
                lambda examples: tuple(
                    msgspec.structs.replace(each, prompt=better[each]) if each in better else each for each in examples
                )
            )
        return len(better)

    def slots(self, line: str, place: int | None = None) -> int:
        """Return how many examples a line (default: the current one) expands to, together with its pair.

        0 if it is not a template or its lists have too few words.
        """
        examples, place = self.examples, self.at if place is None else place
        if not may_be_template(line):
            return 0
        asked = (line, place)
        if self._counted is None or self._counted[0] != asked or self._counted[1] is not examples:
            pair = parse_draft(line).pair
            others = {at: text_of(each) for at, each in enumerate(examples) if at != place}
            group = [line, *(text for at, text in others.items() if pair is not None and examples[at].pair == pair)]
            lists = read_lists([text for text in others.values() if "{" in text])
            n = 0
            if is_template(line, lists):
                # Counted again at every key, so large numbers are only estimated.
                taken = [text for text in others.values() if text not in group]
                n = count_slots(group, lists, taken=taken, exact=_COUNTED)
            self._counted = asked, examples, n
        return self._counted[2]

    async def grade(self, line: Example | None = None) -> bool:
        """Request some of the missing grades, nearest to the current line first; return False if none is missing."""
        reading = self.reading
        if self._read_by != reading:
            # With another model or other tokens, all grades and failures are outdated.
            if self._read_by is None or self._read_by[1:] != reading[1:]:
                self.model = None
            self._read_by, self._book, self._worth = reading, None, None
            self._known.clear()
            self.failure = None
        wanted = self._missing(line)
        if not wanted or self.state.session_id is None:
            return False
        try:
            answer = await self.link.ask(self.question(wanted), Grades)
        except HeadcodeError as error:
            if error.family != "cancelled" and not isinstance(error, HostGone) and reading == self.reading:
                self.failure = error.as_failure()
            return reading != self.reading
        self.keep(wanted, answer, reading)
        return True

    async def more(self, asked: int | None = None) -> MorePairs:
        """Append good variations of the existing pairs as one undo step; return what was made.

        Raises ExampleError if nothing can be varied or the set would be too large, and errors of the link.
        """

        async def ask(examples: Sequence[Example]) -> Grades:
            reading = self.reading
            answer = await self.link.ask(self.question(examples, channel=f"{self.name}-more"), Grades)
            self.keep(examples, answer, reading)
            return answer

        found = await more_pairs(self.examples, asked, ask)
        if found.new:
            await self.push()  # earlier changes are an undo step of their own
            self.at = len(self.examples) - 1
            self.add(found.new)
        return found

    def keep(self, examples: Sequence[Example], answer: Grades, reading: Reading) -> None:
        """Store grades, unless the reading has changed since they were requested."""
        if reading != self._read_by or reading != self.reading:
            return
        self.model = answer.model
        self._regraded = True
        for example, grade, tokens in zip(examples, answer.grades, answer.tokens, strict=True):
            content = content_of(example)
            self._known[content] = (grade, tokens)
            if self._book is not None:
                self._book.learn(content, grade)

    def _no_prompt(self, line: Example) -> bool:
        """Return whether the line being written is unreadable or a template."""
        return bool(flaw(line)) or is_open(self.typed) or bool(self.slots(text_of(line)))

    def _missing(self, line: Example | None) -> Examples:
        found: dict[Content, Example] = {}
        if line is not None and not self._no_prompt(line) and content_of(line) not in self._known:
            found[content_of(line)] = line
        examples, at, skipped = self.examples, self.at, self.templates
        limit = _FIRST_GRADED if not found else 1
        for place in range(max(at - 3, 0), min(at + 3, len(examples))):
            each = examples[place]
            if len(found) < limit and each.enabled and place not in skipped and content_of(each) not in self._known:
                found.setdefault(content_of(each), each)
        if not found and self.grades is not None and self._book is not None:
            return tuple(itertools.islice(self._book.todo.values(), _THEN_GRADED))
        return tuple(found.values())
