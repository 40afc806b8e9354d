"""The worker process: protocol loop, the pipeline (stage order), jobs and side requests.

`python -m engine.worker` stays.
May import: everything in engine but asset_tools.
"""
