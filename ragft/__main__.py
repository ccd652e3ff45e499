"""`python -m ragft` is the command `ragft`."""

import sys

from ragft.cli import main

sys.exit(main())
