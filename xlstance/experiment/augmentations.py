"""The run's augmentations: ready recipes, what they leave to the run's settings, and what they are applied to."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from xlstance.augmentation.stage import EVERY, Augmentation
from xlstance.augmentation.stance import Stance
from xlstance.augmentation.switching.code_switching import CodeSwitching
from xlstance.augmentation.way import Surroundings, Way
from xlstance.corpora.miniature import MiniatureSettings, lexicon, stance_wordings
from xlstance.errors import SettingsError
from xlstance.experiment.settings import ExperimentSettings
from xlstance.stance_templates import format_templates
from xlstance.storage import Folder
from xlstance.training_data import TrainingData

RECIPES = Path(__file__).parent / "recipes"
"""The ready recipes: files of settings that add augmentations to the run's own."""

_TEMPLATES = "miniature.yaml"
_MINIATURE = "miniature"  # as a path of lexicons or templates: the built-in world's own


def recipe_path(name: str) -> Path:
    """The file of a ready recipe, or the user's own.

    Raises:
        SettingsError: if there is no such recipe.
    """
    own = Path(name)
    if own.suffix in (".yaml", ".yml") and own.is_file():
        return own
    ready = sorted(path.stem for path in RECIPES.glob("*.yaml"))
    if name not in ready:
        raise SettingsError(f"--recipe {name}: there are {', '.join(ready)}; or give a file of your own")
    return RECIPES / f"{name}.yaml"


def parents_of(augmentation: Augmentation, settings: ExperimentSettings) -> list[str]:
    """The names of what an augmentation is applied to, ``*`` replaced by every source of questions that trains."""
    elsewhere = {*settings.bitext, *settings.development}
    training = [source.name for source in settings.sources if source.name not in elsewhere]
    return [name for entry in augmentation.of for name in (training if entry == EVERY else [entry])]


def prepare(
    augmentation: Augmentation, settings: ExperimentSettings, root: Folder, parents: Sequence[TrainingData]
) -> tuple[Augmentation, Surroundings]:
    """Fills in what an augmentation leaves to the run's settings, and says where it takes place: below which folder.

    In a run whose sources are all the built-in world, what they leave open too is the world's own: its languages, its
    dictionary and its stance templates. Where these are asked for, they are written to files first.
    """
    way, cluster, data = augmentation.way, settings.cluster, settings.data
    built_in = bool(settings.sources) and all(source.format == _MINIATURE for source in settings.sources)
    if built_in and isinstance(way, CodeSwitching) and way.source_language == CodeSwitching.source_language:
        # The default, English, is spoken nowhere in the world; its first language stands in.
        way = replace(way, source_language=settings.miniature.codes[0])
    common = _of_world(way, settings.miniature) if built_in else {}
    way = _filled(way, common | {name: value for name in way.shared if (value := getattr(settings, name))})
    if isinstance(way, CodeSwitching) and way.lexicons == [_MINIATURE]:
        data = _write_lexicons(way, settings.miniature, root / "corpora" / "lexicons")
        way = replace(way, lexicons=["{source}-{lang}.tsv"])
    if isinstance(way, Stance) and way.templates == _MINIATURE:
        data = _write_templates(settings.miniature, root / "corpora" / "templates")
        way = replace(way, templates=_TEMPLATES)
    around = Surroundings(
        parents=tuple(parents),
        folder=root / "augmented",
        data=data,
        seed=settings.seeds[0],
        workers=cluster.stream_workers,
        gpus_per_worker=cluster.stream_gpus if way.uses_model else 0,
    )
    return augmentation.with_way(way), around


def _filled(way: Way, common: Mapping[str, Any]) -> Way:
    """The way with what it leaves empty; the language that it starts from is none to go into."""
    changes = {name: value for name, value in common.items() if not getattr(way, name)}
    if "languages" in changes:
        changes["languages"] = [lang for lang in changes["languages"] if lang != getattr(way, "source_language", "")]
    return replace(way, **changes)  # type: ignore[type-var] # every way is a dataclass


def _of_world(way: Way, world: MiniatureSettings) -> dict[str, Any]:
    """What the built-in world has for a way; a lexicon only where the way makes none of its own."""
    if isinstance(way, CodeSwitching):
        learnt = way.titles or way.induced
        return {"languages": world.codes, "lexicons": [] if learnt else [_MINIATURE]}
    if isinstance(way, Stance) and not way.templates:
        return {"languages": world.codes, "templates": _MINIATURE}
    return {}


def _write_lexicons(switching: CodeSwitching, world: MiniatureSettings, place: Folder) -> str:
    """The built-in world's dictionary as files; returns their folder."""
    for lang in switching.languages:
        words = lexicon(world, switching.source_language, lang)
        lines = [f"{word}\t{translation}\n" for word, translations in words.items() for translation in translations]
        place.write(f"{switching.source_language}-{lang}.tsv", "".join(lines).encode())
    return place.uri


def _write_templates(world: MiniatureSettings, place: Folder) -> str:
    """The built-in world's stance templates as a file; returns its folder."""
    place.write(_TEMPLATES, format_templates(stance_wordings(world)).encode())
    return place.uri
