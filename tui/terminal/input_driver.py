r"""Input driver that survives any bytes the terminal sends.

Textual 8.2 crashes at bytes that are not UTF-8 (pasted Latin-1 text, a terminal that sets the eighth bit for alt) and
at escape sequences with unusable numbers (line noise, a pasted binary file, `\x1b[:1u`). It also reports escape
sequences inside a paste as keys: coloured output pasted through tmux, which does not filter it, pressed r, x and q.
"""

import os
import selectors
from codecs import getincrementaldecoder
from collections.abc import Iterable

from textual.drivers.linux_driver import LinuxDriver
from textual.message import Message

from tui.terminal.textual_private import ParseError, XTermParser

_PIECE = 4096
_ESCAPE = "\x1b"
_OPENS, _CLOSES = "\x1b[200~", "\x1b[201~"
"""Sequences that a terminal sends around a paste."""
_SEQUENCE = 40
"""More characters than Textual collects for one escape sequence (32)."""
_UNUSABLE = (ParseError, ValueError, OverflowError)
"""Errors that the parser raises for invalid sequences: int("2:"), chr() of an invalid code point."""


class InputDecoder:
    """Decodes terminal input into events. Invalid sequences are dropped, invalid bytes become �."""

    def __init__(self, debug: bool = False) -> None:
        self._debug = debug
        self._decode = getincrementaldecoder("utf-8")(errors="replace").decode
        self._parser = XTermParser(debug)
        self._pasting = False
        self._last = ""
        """Tail of the last input: a possible start of a paste or, inside one, of its end."""

    def take(self, sent: bytes, *, final: bool = False) -> list[Message]:
        """Return the events of the next bytes, including those decided by a timeout (a lone escape)."""
        events: list[Message] = []
        text = self._decode(sent, final=final)
        while text:
            text = self._paste(text, events) if self._pasting else self._type(text, events)
        self._gather(self._parser.tick(), events)
        return events

    def _type(self, text: str, events: list[Message]) -> str:
        """Decode keys up to the start of a paste and return the rest."""
        known = self._last + text
        at = known.find(_OPENS)
        end = len(text) if at < 0 else at + len(_OPENS) - len(self._last)
        for n, piece in enumerate(text[:end].split(_ESCAPE)):
            whole = _ESCAPE + piece if n else piece
            # One character at a time while it may be a sequence, so that only an invalid one is lost.
            for each in (*whole[:_SEQUENCE], whole[_SEQUENCE:]):
                self._gather(self._parser.feed(each) if each else (), events)
        self._pasting = at >= 0
        self._last = "" if self._pasting else known[1 - len(_OPENS) :]
        return text[end:]

    def _paste(self, text: str, events: list[Message]) -> str:
        """Decode pasted text up to its end and return the rest. Escapes in it become the character ␛, not keys."""
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
            self._parser = XTermParser(self._debug)  # drop the incomplete sequence and start again


class TolerantDriver(LinuxDriver):
    """Textual's driver for Linux and macOS with the tolerant decoder."""

    def run_input_thread(self) -> None:
        """Read input until the program ends; runs in its own thread."""
        keys = InputDecoder(self._debug)
        with selectors.SelectSelector() as selector:
            selector.register(self.fileno, selectors.EVENT_READ)
            while not self.exit_event.is_set():
                waiting = bool(selector.select(0.1))
                sent = os.read(self.fileno, _PIECE) if waiting else b""
                for event in keys.take(sent):
                    self.process_message(event)
                if waiting and not sent:
                    self.exit_event.wait(0.1)  # the terminal is gone: SIGHUP will end the program


def _paste_end_prefix(text: str) -> str:
    """Return the end of the text that may be the start of the paste-end sequence."""
    return next((_CLOSES[:n] for n in range(len(_CLOSES) - 1, 0, -1) if text.endswith(_CLOSES[:n])), "")
