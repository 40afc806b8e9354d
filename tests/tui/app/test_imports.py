"""The screen's process stays light."""

import subprocess
import sys

HEAVY = ("torch", "transformer_lens", "transformers", "duckdb", "numpy", "pandas")


def test_the_screen_imports_nothing_heavy() -> None:
    code = f"import sys, tui.app.app, sessions.client.connection; print([n for n in {HEAVY} if n in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_door_imports_no_textual_before_the_colours_are_chosen() -> None:
    code = "import sys, tui.app.launch; print('textual' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
