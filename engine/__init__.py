"""The engine: captures heads, trains codes and scores them. It reports to a Monitor and stores nothing."""

__all__ = [
    "config",
    "errors",
    "events",
    "examples",
    "measures",
    "node_parts",
    "protocol",
    "results",
    "sample_size",
    "steering",
]
