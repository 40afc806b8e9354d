"""The real host with the scripted worker."""

import sys
from pathlib import Path

from sessions.host import main

if __name__ == "__main__":
    worker = str(Path(__file__).with_name("scripted_worker.py"))
    sys.exit(main(worker_command=[sys.executable, "-P", worker]))
