"""What a run's figures prove: tests between its arms, and the verdicts on the claims, as plain data for its results."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import asdict
from typing import Any

import pyarrow as pa

from xlstance.evaluation.augmentation_kinds import Kind
from xlstance.evaluation.claims import COLUMNS, check_claims, clean_training
from xlstance.evaluation.looks import Role
from xlstance.evaluation.results import ArmResult, columns_of
from xlstance.evaluation.settings import EvaluationSettings
from xlstance.evaluation.significance import Run, resample, significance


def gather_evidence(
    tables: Mapping[str, Mapping[Run, pa.Table]],
    arms: Sequence[ArmResult],
    roles: Mapping[str, Role],
    settings: EvaluationSettings,
    *,
    leakage: Mapping[str, Any],
    unaudited: Sequence[str] = (),
    stance_trained: Collection[str] | None = None,
    augmentations: Mapping[str, Kind] | None = None,
) -> dict[str, Any]:
    """Tests all arms of a run against each other and checks the claims.

    Args:
        tables: as of ``compare_arms``.
        arms: as of ``compare_arms``.
        roles: as of ``compare_arms``.
        settings: as of ``compare_arms``.
        leakage: the content of ``leakage.json``; empty if nothing was audited.
        unaudited: what went into training past the audit.
        stance_trained: as of ``compare_arms``.
        augmentations: as of ``compare_arms``.

    Returns:
        What ``compare_arms`` returns; where something was trained, with the claim that no evaluation set was in it.

    Raises:
        DataError: if the arms were not scored on the same queries with the same seeds.
    """
    evidence = compare_arms(tables, arms, roles, settings, stance_trained, augmentations)
    if any(arm.sampler for arm in arms):
        evidence["claims"].append(asdict(clean_training(leakage, unaudited)))
    return evidence


def compare_arms(
    tables: Mapping[str, Mapping[Run, pa.Table]],
    arms: Sequence[ArmResult],
    roles: Mapping[str, Role],
    settings: EvaluationSettings,
    stance_trained: Collection[str] | None = None,
    augmentations: Mapping[str, Kind] | None = None,
) -> dict[str, Any]:
    """Tests all arms against each other and checks the claims about them.

    Args:
        tables: the figures of every query (``per_query.query_table``), by benchmark, arm and seed.
        arms: the arms with their figures, as for ``make_results``.
        roles: whether a benchmark is a test set, from ``looks.role_of``.
        settings: how it is tested.
        stance_trained: as of ``check_claims``.
        augmentations: as of ``check_claims``.

    Returns:
        ``significance`` by benchmark, None where there is nothing to draw again, and ``claims``, as ``Claim`` has them.

    Raises:
        DataError: if the arms were not scored on the same queries with the same seeds.
    """
    measured = {"arms": [asdict(arm) for arm in arms]}
    drawn = {}
    for benchmark, of_runs in tables.items():
        # What does not follow from the arm, such as a ranking blind to sides, needs no test.
        shown = [column for column in columns_of(measured, benchmark) if not column.figure.endswith("_blind")]
        drawn[benchmark] = resample(of_runs, list(dict.fromkeys([*shown, *COLUMNS])), settings)
    known = {benchmark: draws for benchmark, draws in drawn.items() if draws is not None}
    claims = check_claims(known, arms, roles, stance_trained, augmentations)
    return {
        "significance": {name: None if draws is None else significance(draws) for name, draws in drawn.items()},
        "claims": [asdict(claim) for claim in claims],
    }
