"""TransformerLens without pandas and datasets: neither is loaded for it, and both stay usable."""

import subprocess
import sys

SCRIPT = """
import sys
from engine.models.light_imports import import_bridge
import_bridge()
import_bridge()
left_out = [name for name in ("pandas", "datasets") if name in sys.modules]
from transformer_lens.model_bridge import TransformerBridge
import pandas
print(left_out, TransformerBridge.__name__, pandas.DataFrame({"a": [1, 2]})["a"].sum())
"""


def test_the_bridge_loads_without_pandas_and_datasets() -> None:
    ran = subprocess.run([sys.executable, "-P", "-c", SCRIPT], capture_output=True, text=True, check=True)
    assert ran.stdout.split() == ["[]", "TransformerBridge", "3"]
