"""The verb `editor` on a terminal: examples in the user's editor and back, and a bad file that is kept."""

import io
from pathlib import Path
from typing import Any

import pytest

from engine.examples import Example, content_hash
from sessions.events import ExamplesSet
from tui.plain.loop import run_plain


async def test_examples_go_to_the_editor_and_back(
    recorded: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    two = (
        Example(prompt="One plus one is", polarity="positive", expected=("two",), foils=("six",), pair=1),
        Example(prompt="One plus five is", polarity="negative", expected=("two",), foils=("six",), pair=1),
    )
    host = recorded.host()
    host.add(ExamplesSet(examples=two, content_hash=content_hash(two)))
    editor = tmp_path / "editor"
    editor.write_text(
        "#!/bin/sh\n"
        f"n=$(cat {tmp_path}/n 2>/dev/null || echo 0); echo $((n + 1)) > {tmp_path}/n\n"
        "case $n in 0) echo '+ broken =>' >> \"$1\";; 1) sed -i 's/broken =>/mended/' \"$1\";; 2) exit 3;; esac\n"
    )
    editor.chmod(0o755)
    monkeypatch.setenv("VISUAL", str(editor))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal())
    monkeypatch.setattr("sys.stdout", Terminal())
    lines, out = io.StringIO("editor\n" * 4 + "examples\n"), io.StringIO()
    await run_plain(host.connect, session=None, model="toy", task="ioi", source=lines, out=out)
    text = out.getvalue()
    assert "error: Line 5: There is no expected answer after =>. editor opens the file again." in text
    assert "taken over from the editor; 3 examples. undo reverts it." in text
    assert "the editor ended with code 3" in text
    assert "the file was not changed." in text
    assert "mended" in text.split("the file was not changed.")[1]
