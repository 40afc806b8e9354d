"""Units as jobs of a Slurm cluster: the executor, the job, submitit's side, and options of sbatch.

Host and jobs share a folder and nothing else. May import: what sessions.sweeps may; submitit in `cluster` only.
"""

__all__ = ["cluster", "executor", "job", "options"]
