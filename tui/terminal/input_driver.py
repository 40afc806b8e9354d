"""Reads the terminal so that nothing it sends can end the program.

Textual 8.2 ends with a traceback at a byte that is not UTF-8 (a paste of Latin-1 text, a terminal that sets the eighth
bit for alt) and at an escape sequence with a number it cannot use (noise of a line, a binary file pasted, `\\x1b[:1u`).
An escape sequence inside a paste it gives out as keys: coloured output pasted from a terminal that does not filter it
(tmux) pressed r, x and q.
"""

import os
import selectors
from codecs import getincrementaldecoder
from collections.abc import Iterable

from textual._parser import ParseError
from textual._xterm_parser import XTermParser
from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

_PIECE = 4096
_ESCAPE = "\x1b"
_OPENS, _CLOSES = "\x1b[200~", "\x1b[201~"
"""What a terminal sends around a paste."""
_SEQUENCE = 40
"""Signs after which Textual holds nothing for a sequence any more (32)."""
_UNUSABLE = (ParseError, ValueError, OverflowError)
"""What the parser raises over a sequence that makes no sense: int("2:"), chr() of a number that is no sign."""


class InputDecoder:
    """Turns what a terminal sends into events; what makes no sense is left out, or becomes the sign for it (�)."""

    def __init__(self, debug: bool = False) -> None:
        self._debug = debug
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._parser = XTermParser(debug)
        self._pasting = False
        self._last = ""
        """The end of what was taken: what may begin a paste, or, inside one, what may begin its end."""

    def take(self, sent: bytes, *, final: bool = False) -> list[Message]:
        """The events of the next bytes, also those a wait has decided (a lone escape)."""
        events: list[Message] = []
        text = self._decode(sent, final=final)
        while text:
            text = self._paste(text, events) if self._pasting else self._type(text, events)
        self._gather(self._parser.tick(), events)
        return events

    def _type(self, text: str, events: list[Message]) -> str:
        """Takes keys, up to where a paste begins; the rest."""
        known = self._last + text
        at = known.find(_OPENS)
        end = len(text) if at < 0 else at + len(_OPENS) - len(self._last)
        for n, piece in enumerate(text[:end].split(_ESCAPE)):
            whole = _ESCAPE + piece if n else piece
            # Sign by sign while it may be a sequence, so that only the bad one is lost; then as fast as may be.
            for each in (*whole[:_SEQUENCE], whole[_SEQUENCE:]):
                self._gather(self._parser.feed(each) if each else (), events)
        self._pasting = at >= 0
        self._last = "" if self._pasting else known[1 - len(_OPENS) :]
        return text[end:]

    def _paste(self, text: str, events: list[Message]) -> str:
        """Takes what is pasted, up to its end; the rest. An escape in it becomes a sign (␛): text, and no key."""
        text = self._last + text
        inside, closed, rest = text.partition(_CLOSES)
        self._last = "" if closed else _paste_end_prefix(inside)
        inside = inside.removesuffix(self._last).replace(_ESCAPE, "␛")
        if inside + closed:
            self._gather(self._parser.feed(inside + closed), events)
        self._pasting = not closed
        return rest

    def _gather(self, found: Iterable[Message], events: list[Message]) -> None:
        try:
            events.extend(found)
        except _UNUSABLE:
            self._parser = XTermParser(self._debug)  # what was begun is given up; the next sign begins anew


class TolerantDriver(LinuxDriver):
    """Textual's driver for Linux and macOS, except for how it reads."""

    def run_input_thread(self) -> None:
        """Until the program ends; a thread of its own."""
        keys = InputDecoder(self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                waiting = bool(selector.select(0.1))
                sent = os.read(self.fileno, _PIECE) if waiting else b""
                for event in keys.take(sent):
                    self.process_message(event)
                if waiting and not sent:
                    self.exit_event.wait(0.1)  # the terminal is gone: what ends the program is on its way


def _paste_end_prefix(text: str) -> str:
    """The end of a text that may be the beginning of a paste's close."""
    return next((_CLOSES[:n] for n in range(len(_CLOSES) - 1, 0, -1) if text.endswith(_CLOSES[:n])), "")
