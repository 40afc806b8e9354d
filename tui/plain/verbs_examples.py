"""Verbs that change the examples; every change is recorded at once and can be undone."""

import uuid

from engine.authoring.drafts import parse_draft, preview_slots
from engine.authoring.negatives import PromptEdit, as_negative, best_edits, propose
from engine.machine.paths import path_of
from engine.results import Grade
from sessions.protocol import Grades, TaskExamplesMade
from tui.editor.graded_examples import GradedExamples
from tui.plain import wording
from tui.plain.workbench import PlainWorkbench
from tui.terminal.sanitize import clean


class ExampleVerbs:
    """Verbs on examples, which are named by their numbers in the list."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link
        self.desk = GradedExamples(self.state, self.link, uuid.uuid4().hex)
        self._proposed: tuple[int, tuple[tuple[PromptEdit, Grade], ...]] = (0, ())

    async def do_examples(self, rest: str) -> None:
        if not self.state.session.examples.version and self.state.examples:
            # The task's examples, not changed yet.
            shown, grades = self.state.examples, {grade.index: grade for grade in self.state.grades}
        else:
            await self._graded()
            shown, grades = self.desk.examples, self.desk.grades
        if not rest:
            for line in wording.examples(shown, grades, self._templates()):
                self.plain.say(line)
            return
        if not rest.isdecimal() or not 0 < int(rest) <= len(shown):
            self.plain.refuse(f"there is no example {rest}: they are 1 to {len(shown)}.")
            return
        place = int(rest) - 1
        example = shown[place]
        self.plain.say(wording.examples(shown, grades, self._templates())[place])
        self.plain.say(f"prompt: {clean(example.prompt, lines=True)}")
        if example.foils:
            self.plain.say(f"foils: {', '.join(clean(each).strip() for each in example.foils)}")
        tokens = self.desk.tokens(example)
        if tokens is not None:
            read = [clean(text) for text, on in zip(tokens.texts, tokens.read, strict=True) if on]
            self.plain.say(f"{len(tokens.texts)} tokens; read at: {' | '.join(read)}")

    async def do_add(self, rest: str) -> None:
        if not rest:
            self.plain.refuse("add: give the example, as in add + The cat sat on the => mat | dog")
            return
        self.desk.at = max(len(self.desk.examples) - 1, 0)
        self._foresee(rest)
        n = self.desk.paste(rest)
        await self._done(f"{n} added", n)

    async def do_edit(self, rest: str) -> None:
        number, _, line = rest.partition(" ")
        place = self._place(number)
        if place is None:
            return
        if not line.strip():
            self.plain.refuse("edit: give the number and the new line.")
            return
        self.desk.replace(place, parse_draft(line.strip(), like=self.desk.examples[place]))
        self.desk.at = place
        await self._done("rewritten", 1)

    async def do_remove(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            self.desk.remove(place)
            await self._done("removed")

    async def do_include(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None and self._is_example(place, self.desk.toggle(place)):
            await self._done("enabled" if self.desk.examples[place].enabled else "disabled")

    async def do_flip(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None and self._is_example(place, self.desk.flip(place)):
            await self._done(f"example {place + 1} is {self.desk.examples[place].polarity} now")

    async def do_pair(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            await self._done(self.desk.pair(place).rstrip("."))

    async def do_duplicate(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            self.desk.copy(place)
            await self._done("duplicated")

    async def do_unfold(self, rest: str) -> None:
        place = self._place(rest)
        if place is None:
            return
        n = self.desk.unfold(place)
        if n:
            await self._done(f"expanded into {n} examples")
        else:
            self.plain.refuse(f"example {place + 1} has no slots such as {{name=Mary,John}}.")

    async def do_trim(self, _: str) -> None:
        n = self.desk.trim()
        if n:
            await self._done(f"{n} {'prompt' if n == 1 else 'prompts'} trimmed")
        else:
            self.plain.refuse("no graded prompt needs trimming.")

    async def do_move(self, rest: str) -> None:
        number, _, way = rest.partition(" ")
        place = self._place(number)
        if place is None:
            return
        if way.strip() not in ("up", "down"):
            self.plain.refuse("move: give the number, then up or down.")
        elif self.desk.move(place, -1 if way.strip() == "up" else 1):
            await self._done("moved")
        else:
            self.plain.refuse(f"example {number} is at the end already.")

    async def do_undo(self, _: str) -> None:
        await self._step(-1, "undone")

    async def do_redo(self, _: str) -> None:
        await self._step(1, "redone")

    async def _step(self, by: int, message: str) -> None:
        if await self.desk.step(by):
            await self._done(message)
        else:
            failure = self.desk.failure
            self.plain.refuse(
                f"{failure.message} {failure.hint}" if failure is not None else "there is nothing to undo or redo."
            )

    async def do_mend(self, _: str) -> None:
        await self._graded()
        found = self.desk.worth()
        self._say_worth()
        if found.mend is not None:
            self.plain.say(f"first: {found.mend + 1}. {self._one(found.mend)}")

    async def do_negatives(self, rest: str) -> None:
        place = self._place(rest)
        if place is None:
            return
        example = self.desk.examples[place]
        if not example.positive or place in self.desk.flaws:
            self.plain.refuse(f"example {place + 1} is not a positive; negatives are made from positives.")
            return
        edits = propose(example)
        if not edits:
            self.plain.refuse("nothing in this prompt can be replaced: no name, number or known word.")
            return
        wanted = (example, *(as_negative(example, edit.prompt, pair=None) for edit in edits))
        grades = (await self.link.ask(self.desk.question(wanted), Grades)).grades
        found = best_edits(edits, grades[1:], n_tokens=grades[0].n_tokens)
        self._proposed = (place, found)
        for number, (edit, grade) in enumerate(found, start=1):
            chance = f", probability {grade.probability:.3f}" if grade.probability is not None else ""
            self.plain.say(f"{number}. {clean(edit.kind)}: {clean(edit.prompt)}. {grade.verdict}{chance}")
        self.plain.say(
            f"accept 1 to {len(found)} adds one." if found else "none of the edits keeps the number of tokens."
        )

    async def do_accept(self, rest: str) -> None:
        place, found = self._proposed
        if not rest.isdecimal() or not 0 < int(rest) <= len(found):
            self.plain.refuse(f"there is no proposal {rest}: negatives N proposes some.")
            return
        edit = found[int(rest) - 1][0]
        self._proposed = (0, ())
        self.desk.accept(place, as_negative(self.desk.examples[place], edit.prompt, pair=self.desk.pair_for(place)))
        await self._done("added", 1)

    async def do_more(self, rest: str) -> None:
        if rest and (not rest.isdecimal() or not int(rest)):
            self.plain.refuse(f"more: give a number of pairs from 1, not {clean(rest)}; alone: as many as are missing.")
            return
        found = await self.desk.more(int(rest) if rest else None)
        if found.n:
            await self._done(f"{found.words}{found.rest}", len(found.new))
        else:
            self.plain.refuse(f"{found.words}{found.rest}.")

    async def do_take(self, rest: str) -> None:
        from engine.tasks.registry import TASKS, find_task

        name, _, pairs = rest.partition(" ")
        if not name:
            for task in TASKS.values():
                self.plain.say(f"{task.name}: {task.title}")
            return
        task = find_task(name)
        count = int(pairs) if pairs.strip().isdecimal() else 10
        made = await self.link.ask(self.desk.order(task.name, count), TaskExamplesMade)
        await self._done(f"{self.desk.add(made.examples)} added")

    async def do_read(self, rest: str) -> None:
        from tui.headless.read_examples import read_text

        text = read_text(rest, plain=True)
        self._foresee(text)
        n = self.desk.paste(text)
        await self._done(f"{n} added from {clean(rest)}")

    async def do_store(self, rest: str) -> None:
        if not rest:
            self.plain.refuse("store: give the name of a file.")
            return
        from tui.headless.write_examples import write_examples

        path = path_of(rest)
        if path.exists():
            self.plain.refuse(f"{path} already exists; choose another name or remove it first.")
            return
        write_examples(path, self.desk.examples)
        self.plain.say(f"{len(self.desk.examples)} examples written to {clean(str(path))}.")

    # ---- inside

    def _foresee(self, text: str) -> None:
        """Print what slots will expand to before they are filled."""
        found = preview_slots(text, after=self.desk.examples)
        if found is not None:
            self.plain.say(f"{found.words}.")

    def _place(self, text: str) -> int | None:
        """Return the index of the example with that number, or refuse and return None."""
        count = len(self.desk.examples)
        if text.strip().isdecimal() and 0 < int(text) <= count:
            return int(text) - 1
        self.plain.refuse(
            f"there is no example {text or 'without a number'}: "
            + (f"they are 1 to {count}." if count else "none yet.")
        )
        return None

    def _is_example(self, place: int, done: bool) -> bool:
        if not done:
            self.plain.refuse(f"line {place + 1} cannot be read yet: {self.desk.flaws.get(place, '')}")
        return done

    def _one(self, place: int) -> str:
        example = self.desk.examples[place]
        wrong = self.desk.flaws.get(place)
        if wrong:
            return f"not understood: {clean(wrong)}"
        line = wording.example_words(example, self.desk.grades.get(place))
        return f"{line}. {template}" if (template := self._templates().get(place)) else line

    def _templates(self) -> dict[int, str]:
        return {place: self.desk.template_words(n) for place, n in self.desk.templates.items()}

    async def _done(self, message: str, fresh: int = 0) -> None:
        """Record the change and print it, with the grades of the newest lines."""
        await self.desk.push()
        if self.desk.failure is not None:
            self.plain.refuse(f"{self.desk.failure.message} {self.desk.failure.hint}")
            return
        await self._graded()
        self.plain.say(f"{message}; {len(self.desk.examples)} examples. undo reverts it.")
        for place in range(max(self.desk.at - fresh + 1, 0), self.desk.at + 1) if 0 < fresh <= 5 else ():
            self.plain.say(f"{place + 1}. {self._one(place)}")
        self._say_worth()

    def _say_worth(self) -> None:
        found = self.desk.worth()
        self.plain.say(clean(found.words))
        if found.missing:
            self.plain.say(f"{found.missing}: more adds them.")

    async def _graded(self) -> None:
        while await self.desk.grade():
            pass
