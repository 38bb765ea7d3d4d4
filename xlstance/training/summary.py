"""The summary of a finished run, ``training.json``."""

from typing import Any

from xlstance.files import sha256_of
from xlstance.storage import fingerprint
from xlstance.training.engine import Engine, encoder_of
from xlstance.training.run import TrainingRun
from xlstance.training.state import RunState
from xlstance.training.validation import LOSS


def make_summary(run: TrainingRun, state: RunState, kept_step: int, engine: Engine) -> dict[str, Any]:
    """What training took and gave, once the model is saved.

    Args:
        run: what was trained.
        state: how it ended.
        kept_step: the step whose weights are the model.
        engine: the DeepSpeed engine.

    Returns:
        Among others ``wait_share``, the share of the step time spent waiting for a batch; ``validation_loss`` and
        ``validation``, the figures of the best validation; ``weights``, a fingerprint of the saved weights.
    """
    weights = sorted(path for path in run.folder.rglob("*.safetensors") if run.best.path not in path.parents)
    return {
        "steps": state.step,
        "batch_size": run.settings.batch_size,
        "seconds": round(state.seconds, 1),
        **state.rates(run.settings.batch_size),
        "wait_share": state.wait_share,
        "kept_step": kept_step,
        "best_step": state.best_step,
        "validation_loss": state.best_figures.get(LOSS),
        "validation": state.best_figures,
        "batches": dict(sorted(state.kinds.items())),
        "rows": dict(sorted(state.rows.items())),
        "weights": fingerprint([sha256_of(path) for path in weights]),
        # ZeRO 3 leaves an empty tensor on each rank, and notes the real size beside it.
        "parameters": sum(getattr(p, "ds_numel", p.numel()) for p in encoder_of(engine).parameters()),
    }
