"""Run the real host with the scripted worker and with settings changed by the environment."""

import os
import sys
from pathlib import Path

from sessions.host import server
from sessions.host.__main__ import main
from sessions.services import run_recording, worker_jobs

if __name__ == "__main__":
    server.STALL_S = float(os.environ.get("TEST_STALL_S", server.STALL_S))
    server._HELLO_S = float(os.environ.get("TEST_HELLO_S", server._HELLO_S))
    worker_jobs.SILENT_S = float(os.environ.get("TEST_SILENT_S", worker_jobs.SILENT_S))
    worker_jobs.GRACE_S = float(os.environ.get("TEST_GRACE_S", "1000"))  # a busy machine answers slowly
    run_recording.RETRY_S = float(os.environ.get("TEST_RETRY_S", run_recording.RETRY_S))
    worker = str(Path(__file__).with_name("scripted_worker.py"))
    sys.exit(main(worker_command=[sys.executable, "-P", worker]))
