"""The host, committing at most LOAD_GROUP changes together (in a checkout that knows of that)."""

import os
import sys

from sessions.host.__main__ import main
from sessions.services import writer

if __name__ == "__main__":
    writer._BATCH = int(os.environ.get("LOAD_GROUP", writer._BATCH))
    sys.exit(main())
