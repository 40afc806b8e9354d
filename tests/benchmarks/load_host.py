"""The host, committing at most LOAD_GROUP changes together (in a checkout that knows of that)."""

import os
import sys

from sessions import ledger
from sessions.host import main

if __name__ == "__main__":
    ledger._BATCH = int(os.environ.get("LOAD_GROUP", ledger._BATCH))
    sys.exit(main())
