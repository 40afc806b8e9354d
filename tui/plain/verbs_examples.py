"""Verbs that change the examples; every change is recorded at once and can be undone."""

import sys
import uuid

from engine.authoring.drafts import parse_draft, preview_slots
from engine.authoring.negatives import PromptEdit, as_negative, best_edits, propose
from engine.errors import ExampleError
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
        self.graded = GradedExamples(self.state, self.link, uuid.uuid4().hex)
        self._proposed: tuple[int, tuple[tuple[PromptEdit, Grade], ...]] = (0, ())

    async def do_examples(self, rest: str) -> None:
        if not self.state.session.examples.version and self.state.examples:
            # The task's examples, not changed yet.
            shown, grades = self.state.examples, {grade.index: grade for grade in self.state.grades}
        else:
            await self._graded()
            shown, grades = self.graded.examples, self.graded.grades
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
        tokens = self.graded.tokens(example)
        if tokens is not None:
            read = [clean(text) for text, on in zip(tokens.texts, tokens.read, strict=True) if on]
            self.plain.say(f"{len(tokens.texts)} tokens; read at: {' | '.join(read)}")

    async def do_add(self, rest: str) -> None:
        if not rest:
            self.plain.refuse("add: give the example, as in add + The cat sat on the => mat | dog")
            return
        self.graded.at = max(len(self.graded.examples) - 1, 0)
        self._foresee(rest)
        n = self.graded.paste(rest)
        await self._done(f"{n} added", n)

    async def do_edit(self, rest: str) -> None:
        number, _, line = rest.partition(" ")
        place = self._place(number)
        if place is None:
            return
        if not line.strip():
            self.plain.refuse("edit: give the number and the new line.")
            return
        self.graded.replace(place, parse_draft(line.strip(), like=self.graded.examples[place]))
        self.graded.at = place
        await self._done("rewritten", 1)

    async def do_remove(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            self.graded.remove(place)
            await self._done("removed")

    async def do_include(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None and self._is_example(place, self.graded.toggle(place)):
            await self._done("enabled" if self.graded.examples[place].enabled else "disabled")

    async def do_flip(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None and self._is_example(place, self.graded.flip(place)):
            await self._done(f"example {place + 1} is {self.graded.examples[place].polarity} now")

    async def do_pair(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            await self._done(self.graded.pair(place).rstrip("."))

    async def do_duplicate(self, rest: str) -> None:
        place = self._place(rest)
        if place is not None:
            self.graded.copy(place)
            await self._done("duplicated")

    async def do_unfold(self, rest: str) -> None:
        place = self._place(rest)
        if place is None:
            return
        n = self.graded.unfold(place)
        if n:
            await self._done(f"expanded into {n} examples")
        else:
            self.plain.refuse(f"example {place + 1} has no slots such as {{name=Mary,John}}.")

    async def do_trim(self, _: str) -> None:
        n = self.graded.trim()
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
        elif self.graded.move(place, -1 if way.strip() == "up" else 1):
            await self._done("moved")
        else:
            self.plain.refuse(f"example {number} is at the end already.")

    async def do_undo(self, _: str) -> None:
        await self._step(-1, "undone")

    async def do_redo(self, _: str) -> None:
        await self._step(1, "redone")

    async def _step(self, by: int, message: str) -> None:
        if await self.graded.step(by):
            await self._done(message)
        else:
            failure = self.graded.failure
            self.plain.refuse(
                f"{failure.message} {failure.hint}" if failure is not None else "there is nothing to undo or redo."
            )

    async def do_mend(self, _: str) -> None:
        await self._graded()
        found = self.graded.worth()
        self._say_worth()
        if found.mend is not None:
            self.plain.say(f"first: {found.mend + 1}. {self._one(found.mend)}")

    async def do_negatives(self, rest: str) -> None:
        place = self._place(rest)
        if place is None:
            return
        example = self.graded.examples[place]
        if not example.positive or place in self.graded.flaws:
            self.plain.refuse(f"example {place + 1} is not a positive; negatives are made from positives.")
            return
        edits = propose(example)
        if not edits:
            self.plain.refuse("nothing in this prompt can be replaced: no name, number or known word.")
            return
        wanted = (example, *(as_negative(example, edit.prompt, pair=None) for edit in edits))
        grades = (await self.link.ask(self.graded.question(wanted), Grades)).grades
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
        self.graded.accept(
            place, as_negative(self.graded.examples[place], edit.prompt, pair=self.graded.pair_for(place))
        )
        await self._done("added", 1)

    async def do_more(self, rest: str) -> None:
        if rest and (not rest.isdecimal() or not int(rest)):
            self.plain.refuse(f"more: give a number of pairs from 1, not {clean(rest)}; alone: as many as are missing.")
            return
        found = await self.graded.more(int(rest) if rest else None)
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
        made = await self.link.ask(self.graded.order(task.name, count), TaskExamplesMade)
        await self._done(f"{self.graded.add(made.examples)} added")

    async def do_read(self, rest: str) -> None:
        from tui.headless.read_examples import read_text

        text = read_text(rest, plain=True)
        self._foresee(text)
        n = self.graded.paste(text)
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
        write_examples(path, self.graded.examples)
        self.plain.say(f"{len(self.graded.examples)} examples written to {clean(str(path))}.")

    async def do_editor(self, _: str) -> None:
        """Edit all lines in the user's editor, which needs a terminal."""
        from tui.headless.edited_file import file_of
        from tui.headless.text_editor import edit_file, editor_command

        if not sys.stdin.isatty() or not sys.stdout.isatty():
            self.plain.refuse("editor: it needs a terminal; store FILE and read FILE go by a file.")
            return
        file, command = file_of(self.state.session_id or ""), editor_command()
        code = edit_file(command, path := file.begin(self.graded.examples))
        if code:
            self.plain.refuse(f"the editor ended with code {code}; editor opens {clean(str(path))} again.")
            return
        try:
            found = file.take()
        except ExampleError as error:
            self.plain.refuse(f"{clean(error.message)} editor opens the file again.")
            return
        if not found:
            self.plain.say(
                "the file was not changed." if found is None else "the file has no examples; nothing changed."
            )
            return
        self.graded.change(lambda _: found)
        await self._done("taken over from the editor")

    # ---- inside

    def _foresee(self, text: str) -> None:
        """Print what slots will expand to before they are filled."""
        found = preview_slots(text, after=self.graded.examples)
        if found is not None:
            self.plain.say(f"{found.words}.")

    def _place(self, text: str) -> int | None:
        """Return the index of the example with that number, or refuse and return None."""
        count = len(self.graded.examples)
        if text.strip().isdecimal() and 0 < int(text) <= count:
            return int(text) - 1
        self.plain.refuse(
            f"there is no example {text or 'without a number'}: "
            + (f"they are 1 to {count}." if count else "none yet.")
        )
        return None

    def _is_example(self, place: int, done: bool) -> bool:
        if not done:
            self.plain.refuse(f"line {place + 1} cannot be read yet: {self.graded.flaws.get(place, '')}")
        return done

    def _one(self, place: int) -> str:
        example = self.graded.examples[place]
        wrong = self.graded.flaws.get(place)
        if wrong:
            return f"not understood: {clean(wrong)}"
        line = wording.example_words(example, self.graded.grades.get(place))
        return f"{line}. {template}" if (template := self._templates().get(place)) else line

    def _templates(self) -> dict[int, str]:
        return {place: self.graded.template_words(n) for place, n in self.graded.templates.items()}

    async def _done(self, message: str, fresh: int = 0) -> None:
        """Record the change and print it, with the grades of the newest lines."""
        await self.graded.push()
        if self.graded.failure is not None:
            self.plain.refuse(f"{self.graded.failure.message} {self.graded.failure.hint}")
            return
        await self._graded()
        self.plain.say(f"{message}; {len(self.graded.examples)} examples. undo reverts it.")
        for place in range(max(self.graded.at - fresh + 1, 0), self.graded.at + 1) if 0 < fresh <= 5 else ():
            self.plain.say(f"{place + 1}. {self._one(place)}")
        self._say_worth()

    def _say_worth(self) -> None:
        found = self.graded.worth()
        self.plain.say(clean(found.words))
        if found.missing:
            self.plain.say(f"{found.missing}: more adds them.")

    async def _graded(self) -> None:
        while await self.graded.grade():
            pass
