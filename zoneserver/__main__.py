"""`python -m zoneserver` runs the command `zoneserver`."""

import sys

from zoneserver.cli.start import server

sys.exit(server())
