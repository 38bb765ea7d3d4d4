"""The train job: `xlstance train` under Ray, or plain `torchrun` on what `xlstance prepare` has made.

ray job submit --working-dir . -- python jobs/train.py --config FILE
torchrun --nproc-per-node 2 jobs/train.py RUNS.json
"""

import os
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[1]))  # the submitted code, whether or not it is installed

if "TORCHELASTIC_RUN_ID" in os.environ:
    from xlstance.training.torchrun import main
else:
    from xlstance import cli

    def main(arguments):
        """Runs the subcommand."""
        return cli.main(["train", *arguments])


sys.exit(main(sys.argv[1:]))
