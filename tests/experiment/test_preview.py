from xlstance.augmentation.pairing import Pairing
from xlstance.augmentation.sampling import Sampling
from xlstance.augmentation.stage import Augmentation
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.corpora.miniature import MiniatureSettings
from xlstance.corpora.registry import Source
from xlstance.experiment.preview import preview_parts, run_preview
from xlstance.experiment.settings import ExperimentSettings
from xlstance.storage import Folder


def settings(output):
    return ExperimentSettings(
        output=str(output),
        miniature=MiniatureSettings(languages=3, concepts=60, names=20, issues=10, test_passages=10),
        sources=[Source(name="world", format="miniature")],
        augmentations=[
            Augmentation(pairing=Pairing(name="paired")),
            Augmentation(of=["paired"], sampling=Sampling(name="some", pairs=5)),
            Augmentation(of=["paired"], code_switching=CodeSwitching(name="learnt", titles=True)),
        ],
    )


def test_what_looks_at_all_pairs_is_not_previewed(tmp_path):
    parts = preview_parts(settings(tmp_path), Folder(tmp_path), 2)
    assert parts["world"].pairs.num_rows == 2 * len(set(parts["world"].queries["lang"].to_pylist()))
    assert parts["paired"].pairs.num_rows > 0
    assert parts["some"] is parts["learnt"] is None
    assert not (tmp_path / "augmented").exists()


def test_a_preview_shows_pairs_side_by_side(tmp_path, capsys):
    run_preview(settings(tmp_path), 1)
    shown = capsys.readouterr().out
    assert "qaa > qab" in shown
    assert shown.count("looks at all pairs at once") == 2
