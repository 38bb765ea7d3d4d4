"""The sweep job, `xlstance sweep`.

ray job submit --working-dir . -- python jobs/sweep.py --config FILE --space FILE
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the submitted code, whether or not it is installed

from xlstance.cli import main

sys.exit(main(["sweep", *sys.argv[1:]]))
