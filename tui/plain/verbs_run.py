"""Verbs that run, show and save; one method each."""

from engine.machine.folders import find_folders
from engine.nodes import format_count
from engine.planning.option_table import OPTIONS
from engine.planning.option_text import format_value as say_option
from engine.planning.option_text import read_value as read_option
from engine.planning.run_options import value_of as option_value
from engine.planning.run_options import with_value
from sessions.protocol import (
    LabelRun,
    ListSessions,
    RunAnswer,
    SearchResults,
    SearchSessions,
    SessionDetailAnswer,
    SessionsAnswer,
    ShowSession,
    SpecificityOfRun,
)
from tui.output.card import card_lines
from tui.output.specificity import specificity_lines
from tui.plain import wording
from tui.plain.verb_table import VERBS, NoSuchVerb, find_verb
from tui.plain.workbench import PlainWorkbench
from tui.state import notes
from tui.state.node_parts import specificity_request
from tui.state.parsing import guess_measure, read_node
from tui.terminal.sanitize import clean
from tui.terminal.times import moment

_HEADS = 10


class RunVerbs:
    """Verbs on runs; each prints its result."""

    def __init__(self, plain: PlainWorkbench) -> None:
        self.plain, self.state, self.link = plain, plain.state, plain.link

    # ---- run

    async def do_status(self, _: str) -> None:
        self.plain.tell(wording.status(self.state))

    async def do_run(self, _: str) -> None:
        before = len(self.state.runs)
        await self.link.queue_run()
        if self.state.failure is None:
            await self.plain.wait_recorded(lambda: len(self.state.runs) > before or self.state.failure is not None)

    async def do_wait(self, _: str) -> None:
        state = self.state
        await self.plain.until(
            lambda: (
                state.link == "failed"
                or (not state.active and not state.waiting and state.measured is None and not state.verifying)
            )
        )
        self.plain.say("idle.")

    async def do_stop(self, _: str) -> None:
        self.plain.check("stop")
        await self.link.stop_run()
        self.plain.say("stopping; stop again ends the engine.")

    async def do_cause(self, _: str) -> None:
        run = self.plain.run_for("cause")
        if run.picture.causes and not self.state.marked:
            self.plain.tell(wording.causes(run))
        else:
            await self.link.request_effects()
            await self.plain.wait_recorded(lambda: run.cause is not None or self.state.failure is not None)

    async def do_backups(self, _: str) -> None:
        run = self.plain.run_for("backups")
        await self.link.request_backups()
        await self.plain.wait_recorded(lambda: run.cause is not None or self.state.failure is not None)

    async def do_verify(self, _: str) -> None:
        self.plain.check("verify")
        await self.link.verify_run()

    async def do_options(self, rest: str) -> None:
        name, text = _named_option(rest)
        if not rest:
            for option in OPTIONS:
                now = say_option(option, option_value(self.state.options, option.path))
                self.plain.say(f"{option.title} ({option.path}): {now}. {option.meaning}")
            self.plain.say("options NAME VALUE changes one; NAME is in brackets.")
            return
        wanted = next((each for each in OPTIONS if name in (each.path, each.title.casefold())), None)
        if wanted is None or not text:
            self.plain.refuse(f"options {rest}: give an option's name and value; options lists them.")
            return
        value = read_option(wanted, text, find_folders().models)
        changed = with_value(self.state.options, wanted.path, value)
        self.link.choose_options(changed)
        await self.link.flush()
        self.plain.say(f"the next run: {wanted.title} {say_option(wanted, option_value(changed, wanted.path))}.")

    # ---- look

    async def do_heads(self, rest: str) -> None:
        view = self.plain.view_for("cut.more")
        if rest and rest != "all" and not rest.isdecimal():
            self.plain.refuse(f"heads {rest}: give a number, or all.")
        else:
            most = None if rest == "all" else int(rest or _HEADS)
            self.plain.tell(wording.heads(view, most))

    async def do_head(self, rest: str) -> None:
        view = self.plain.view_for("cut.more")
        places = self.state.places()
        if rest and places is not None:
            self.state.put_cursor(*read_node(rest, places))
        await self.link.fetch_codes()
        self.plain.tell(wording.head(self.state, view, self.state.head_codes()))

    async def do_measure(self, rest: str) -> None:
        if rest:
            self.state.pick_measure(guess_measure(rest))
        else:
            self.state.cycle_measure(1)
        measure = self.state.measure
        self.plain.say(f"{measure.title}: {measure.meaning}")
        self.link.record_view()

    async def do_cut(self, rest: str) -> None:
        view = self.plain.view_for("cut.more")
        by = {"more": 1, "fewer": -1, "+": 1, "-": -1}.get(rest)
        if by is None:
            if not rest.isdecimal():
                self.plain.refuse(f"cut {rest}: give a number of {view.noun(2)}, more or fewer.")
                return
            by = int(rest) - len(view.circuit)
        if by:
            self.state.move_cut(by)
            self.link.record_view()
        view = self.plain.view_for("cut.more")
        inside = [str(head) for head in view.order if head in view.circuit]
        self.plain.say(f"{format_count(view.circuit)} in the circuit: {', '.join(inside)}.")

    async def do_specificity(self, _: str) -> None:
        run = self.plain.run_for("card")
        found = await self.link.ask(specificity_request(run), SpecificityOfRun)
        self.plain.tell([clean(line) for line in specificity_lines(found)])

    async def do_card(self, _: str) -> None:
        card = self.plain.run_for("card").picture.card
        if card is not None:
            self.plain.tell([clean(line).replace("  ", ": ", 1) for line in card_lines(card)])

    async def do_runs(self, rest: str) -> None:
        if not rest:
            self.plain.tell(wording.runs(self.state))
            return
        run = next((each for each in self.state.runs if rest in (str(each.number), each.name)), None)
        if run is not None:
            self.state.show_run(run.run_id)
            self.plain.tell(wording.status(self.state)[2:])
            return
        first, _, change = rest.partition(" ")
        word, _, text = change.strip().partition(" ")
        run = next((each for each in self.state.runs if first == str(each.number)), None)
        if run is None or word not in ("name", "tag"):
            known = ", ".join(clean(f"{each.number} {each.name}".strip()) for each in self.state.runs)
            self.plain.refuse(f"there is no run {rest}: they are {known}.")
            return
        words = text.split()
        request = LabelRun(run=run.run_id, name=text.strip())
        if word == "tag":
            added = tuple(each.removeprefix("+") for each in words if not each.startswith("-"))
            removed = tuple(each[1:] for each in words if each.startswith("-"))
            request = LabelRun(run=run.run_id, add=added, remove=removed)
        answer = await self.link.ask(request, RunAnswer)
        tags = "".join(f" #{tag}" for tag in answer.run.tags)
        self.plain.say(clean(f"run {run.number}: {answer.run.name or 'no name'}{tags}."))

    # ---- keep

    async def do_keep(self, name: str) -> None:
        self.plain.check("keep")
        if not name:
            self.plain.refuse("keep: give a name.")
            return
        before = self.state.session.circuits.get(name)
        saved = await self.link.save_circuit(name)
        if saved is not None:
            # The next line may name the circuit: wait until the log has it.
            await self.plain.wait_recorded(lambda: self.state.session.circuits.get(name) is not before)
            self.plain.say(f"saved {format_count(saved.heads)} as {clean(name)}.")

    async def do_circuits(self, _: str) -> None:
        self.plain.tell(wording.circuits(self.state))

    async def do_note(self, rest: str) -> None:
        first, _, text = rest.partition(" ")
        places: dict[str, notes.Place] = {"head": "head", "run": "run"}
        wanted = places.get(first, "session")
        rest = text if first in places else rest
        place = notes.resolve_place(self.state, wanted)
        if not rest.strip():
            self.plain.tell(
                [f"note: {clean(note.text, lines=True)}" for note in self.state.session.notes.values()] or ["no notes."]
            )
            return
        await self.link.note_writer(place, None)(rest.strip())
        if self.state.failure is None:
            self.plain.say(f"saved as a note on {notes.format_place(self.state, place)}.")

    async def do_sessions(self, rest: str) -> None:
        if rest:
            rows = [hit.session for hit in (await self.link.ask(SearchSessions(text=rest), SearchResults)).hits]
        else:
            rows = list((await self.link.ask(ListSessions(), SessionsAnswer)).sessions)
        for row in rows:
            here = ", this one" if row.session_id == self.state.session_id else ""
            counts = f"{row.n_positive} positive, {row.n_negative} negative, {row.n_runs} runs"
            self.plain.say(
                f"{clean(row.name)}: model {clean(row.model)}, {counts}, changed {moment(row.updated_us)}{here}"
            )
        if not rows:
            self.plain.say("no session contains these words." if rest else "no sessions.")

    async def do_open(self, rest: str) -> None:
        found = (await self.link.ask(ShowSession(session=rest), SessionDetailAnswer)).detail.session
        if found.session_id != self.state.session_id:
            self.link.open(found.session_id)
            await self.plain.until(lambda: self.state.session_id == found.session_id or self.state.link == "failed")
            await self.plain.catch_up()

    # ---- the program

    async def do_settings(self, rest: str) -> None:
        from tui.settings.settings import change, load
        from tui.settings.table import SETTINGS

        path = find_folders().settings
        name, _, text = rest.partition(" ")
        if not name:
            found = load(path)
            for each in found.found.values():
                setting = each.setting
                self.plain.say(f"{setting.name}: {setting.shown(each.value)}, {each.source}. {setting.meaning}")
            self.plain.tell([f"error: {clean(problem.message)} {clean(problem.hint)}" for problem in found.problems])
            self.plain.say(f"the settings are in {clean(str(path))}.")
            return
        wanted = next((each for each in SETTINGS if name in (each.name, each.key)), None)
        if wanted is None:
            self.plain.refuse(f"there is no setting {name!r}: settings lists them.")
            return
        value = wanted.read(text)
        if value is None:
            self.plain.refuse(f"{wanted.name} = {text!r} is not {wanted.wanted}.")
            return
        change(path, wanted, value)
        self.plain.say(f"saved: {wanted.name} is {wanted.shown(value)}; it takes effect {wanted.when}.")

    async def do_help(self, rest: str) -> None:
        if not rest:
            self.plain.tell([f"{verb.name} {verb.use}".rstrip() + f": {verb.meaning}" for verb in VERBS])
            return
        try:
            verb = find_verb(rest)
        except NoSuchVerb as error:
            self.plain.refuse(str(error))
            return
        self.plain.say(f"{verb.name} {verb.use}".rstrip() + f": {verb.meaning}")


def _named_option(rest: str) -> tuple[str, str]:
    """Split a line into an option's name, which may have several words, and the rest."""
    plain = rest.casefold()
    for option in OPTIONS:
        for name in (option.path, option.title.casefold()):
            if plain == name or plain.startswith(f"{name} "):
                return name, rest[len(name) :].strip()
    return "", ""
