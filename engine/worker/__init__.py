"""The worker process: protocol loop, the pipeline (order of the stages), jobs and side requests.

Started as `python -m engine.worker`; `python -m engine.worker.check_model` checks a model. May import: everything in
engine except asset_tools.
"""

__all__ = [
    "check_model",
    "effects_job",
    "head_inspection",
    "measure_places",
    "measure_specificity",
    "model_checks",
    "neuron_inspection",
    "ordinary_text",
    "pipeline",
    "plain_transformers",
    "score_examples",
    "side_requests",
    "steer",
    "written_tokens",
]
