"""What is being written, and what the model makes of it. No widget in here."""

import itertools
import time
from collections import Counter
from collections.abc import Sequence

import msgspec

from engine.authoring.drafts import flaw, parse_draft, text_of
from engine.authoring.readiness import Readiness, check_readiness, templates_in
from engine.authoring.templates import count as count_slots
from engine.authoring.templates import is_open, is_template, may_be_template, read_lists
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

Reading = tuple[str, str, str, bool]
"""Position policy, model, device, and whether its own code may run."""
_FIRST_GRADED, _THEN_GRADED = 6, 32
"""Examples asked for at once: the ones at hand quickly, then the rest."""
_COUNTED = 5_000
"""Examples of a template up to which they are counted exactly."""
_LARGE = 1_000
_WORTH_EVERY_S = 0.5
"""Of more examples than that, a summary takes longer than a frame should."""


class GradedExamples(ExampleEdits):
    """Examples with their grades, and what they are worth together."""

    def __init__(self, state: WorkbenchState, link: RequestSender, name: str) -> None:
        super().__init__(state, link)
        self.name = name
        """Under which the host knows whose grades are asked for."""
        self.model: ModelInfo | None = None
        """Who graded last; None: the model of the next run has graded nothing yet."""
        self.worth_is_old = False
        """Whether `worth` would say something newer in a while."""
        self._regraded = False
        self._read_by: Reading | None = None
        """By whom and how what is known was read."""
        self._known: dict[Content, tuple[Grade, PromptTokens]] = {}
        self._book: GradeIndex | None = None
        self._parts: tuple[Examples, bool] | None = None
        self._templates: tuple[Examples, dict[int, int]] | None = None
        self._counted: tuple[tuple[str, int], Examples, int] | None = None
        self.typed = ""
        """The line at hand as it stands in the editor; empty while none is edited."""
        self._worth: tuple[Examples, int, float, Readiness] | None = None

    @property
    def position(self) -> str:
        """The policy that the next run would read with."""
        return self.state.options.config.position

    @property
    def n_heads(self) -> int | None:
        """How many heads the model of the next run has; None while it has graded nothing yet."""
        return None if self.model is None else self.model.n_layers * self.model.n_heads

    @property
    def parts(self) -> bool:
        """Whether the next run reads each head at the one place where its pair parts most, not at all tokens alike:
        engine.sae.training.prepare does under the contrast recipe, where prompts are read whole and all are in
        pairs."""
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
        """Who grades, and how: as the next run would read."""
        options = self.state.options
        return (options.config.position, options.model, options.device, options.trust_remote_code)

    def question(self, examples: Sequence[Example], *, desk: str | None = None) -> GradeExamples:
        """What the model of the next run is asked about them. A newer one of the same desk takes its place."""
        position, model, device, trusted = self.reading
        return GradeExamples(
            session=self.state.session_id or "",
            examples=tuple(examples),
            position=position,
            desk=self.name if desk is None else desk,
            model=model,
            device=device,
            trust_remote_code=trusted,
        )

    def order(self, task: str, pairs: int) -> MakeTaskExamples:
        """A request for examples of a ready-made task, in tokens of the model of the next run."""
        _, model, device, trusted = self.reading
        session = self.state.session_id or ""
        return MakeTaskExamples(
            session=session, task=task, pairs=pairs, model=model, device=device, trust_remote_code=trusted
        )

    @property
    def is_stale(self) -> bool:
        """Whether the next run would read otherwise than what was graded so far."""
        return self._read_by is not None and self._read_by != self.reading

    @property
    def grades(self) -> dict[int, Grade]:
        """By place; pairs of unequal length are told here, where both halves are known."""
        examples, skipped = self.examples, {*self.flaws, *self.templates}
        if self._book is None or self._book.examples is not examples or self._book.skipped != skipped:
            self._book = GradeIndex(examples, skipped, self._known)
        return self._book.grades

    @property
    def templates(self) -> dict[int, int]:
        """The places of lines with slots: into how many examples each is filled, with the lines of its pair.

        0 where a slot is still being typed. None of them is graded: the model reads what they are filled with.
        """
        examples = self.examples
        if self._templates is None or self._templates[0] is not examples:
            found = {place: self.slots(text_of(examples[place]), place) for place in sorted(templates_in(examples))}
            self._templates = examples, found
        found = self._templates[1]
        if self.typed and self.at < len(examples) and self.at not in found and is_open(self.typed):
            return {**found, self.at: 0}
        return found

    def template_words(self, n: int) -> str:
        """What a template is said to be."""
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
        """What to think of the set; of a large one that is being graded, what was thought half a second ago."""
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
        """Writes every prompt as its grade proposes, where it does; how many that were."""
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
        """How many examples the line at that place, or at hand, is filled into with the lines of its pair.

        0 where it is no template, and where its lists have too few words.
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
                # Counted again at every key: large numbers are not counted one by one.
                taken = [text for text in others.values() if text not in group]
                n = count_slots(group, lists, taken=taken, exact=_COUNTED)
            self._counted = asked, examples, n
        return self._counted[2]

    async def grade(self, line: Example | None = None) -> bool:
        """Asks for some of the grades that are missing, those at hand first; False when none is."""
        reading = self.reading
        if self._read_by != reading:
            # Another model, or other tokens: nothing that was known holds, nor why it could not be known.
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
        """Adds good pairs made of those there are, behind the last, in one step of undo; what was made.

        Raises ExampleError where nothing can be varied or they would be too many, and what the link raises.
        """

        async def ask(examples: Sequence[Example]) -> Grades:
            reading = self.reading
            answer = await self.link.ask(self.question(examples, desk=f"{self.name}-more"), Grades)
            self.keep(examples, answer, reading)
            return answer

        found = await more_pairs(self.examples, asked, ask)
        if found.new:
            await self.push()  # what was written before is a step of its own
            self.at = len(self.examples) - 1
            self.add(found.new)
        return found

    def keep(self, examples: Sequence[Example], answer: Grades, reading: Reading) -> None:
        """Takes in what the model makes of some examples, unless another was chosen meanwhile."""
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
        """Whether the line that is being written cannot be read, or is a template."""
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
