"""`python -m zoneserver` is the command `zoneserver`."""

import sys

from zoneserver.cli import main

sys.exit(main())
