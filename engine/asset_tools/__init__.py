"""Maintainers' scripts that made the bundled models and the references.

Not imported at run time and not in the wheel. May import: everything in engine except worker.
"""

__all__ = ["measure_references", "measure_toy_circuits", "toy_corpus", "toy_model", "train_adder", "train_toy"]
