"""The experiment job, `xlstance experiment`.

ray job submit --working-dir . -- python jobs/experiment.py --config FILE
"""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the submitted code, whether or not it is installed

from xlstance.cli import main

sys.exit(main(["experiment", *sys.argv[1:]]))
