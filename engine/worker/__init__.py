"""The worker process: protocol loop, the pipeline (order of the stages), jobs and side requests.

Started as `python -m engine.worker`. May import: everything in engine except asset_tools.
"""

__all__ = ["effects_job", "head_inspection", "pipeline", "side_requests"]
