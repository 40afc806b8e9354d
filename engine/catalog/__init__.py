"""Which models exist and what is known of them without loading them; the messages of a download and of a check.

Torch-free. May import: root modules, machine, tasks.
"""

__all__ = [
    "adder_sums",
    "check_report",
    "checkpoint_folders",
    "checkpoints",
    "declared_shape",
    "fetch_messages",
    "local_models",
    "model_shape",
    "packaged_models",
    "planted_models",
    "recommended_config",
    "safetensors_headers",
    "settings_file",
]
