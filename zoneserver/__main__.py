"""`python -m zoneserver` runs the command `zoneserver`."""

import sys

from zoneserver.cli.main import main

sys.exit(main())
