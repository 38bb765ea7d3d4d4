"""The prepare job, `xlstance prepare`.

ray job submit --working-dir . -- python jobs/prepare.py --config FILE
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the submitted code, whether or not it is installed

from xlstance.cli import main

sys.exit(main(["prepare", *sys.argv[1:]]))
