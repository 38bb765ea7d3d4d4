"""The claims of hybrid batch training, and the question of this project, held against figures by one rule.

A part of a claim is a difference between two arms, turned so that more is better. It is supported if the corrected
interval lies above 0; not supported if nothing in that interval is a lead that counts, above the margin; else
inconclusive. A claim of several parts is supported if all are, not supported if one is not, else inconclusive: each
part must hold at the claim's level, so the parts need no correction (Berger, Multiparameter hypothesis testing and
acceptance sampling, Technometrics 1982), and its p-value is the largest. The level is shared out among all claims that
are checked on test sets, and among those on development sets: figures that something was chosen by prove nothing.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

from xlstance.evaluation.augmentation_kinds import Kind
from xlstance.evaluation.comparisons import Comparison, Resampled
from xlstance.evaluation.looks import Role
from xlstance.evaluation.protocols import STANCE, TOPICAL
from xlstance.evaluation.results import DIAGONAL_GAP, MAPS, RANK_DISTANCE, ArmResult, Column

Verdict = Literal["supported", "not supported", "inconclusive"]

_TINY = 1e-12
COLUMNS = (*MAPS, RANK_DISTANCE, DIAGONAL_GAP)
"""The figures that claims are about."""
CLEAN_TRAINING = "no-evaluation-data"
"""The claim about a run's data and not its figures."""


@dataclass(frozen=True, kw_only=True)
class _Statement:
    """A claim about hybrid arms.

    Attributes:
        name: its name in results.
        text: what is claimed of ``{arm}``.
        columns: the figures in which it must be better.
        against: samplers of the arms that it must be better than; empty: all that are not hybrid.
        over: for what is claimed of augmentation, zero-shot in stance retrieval: which arms of the same sampler an
            augmented arm must be better than. ``none``: those without any; ``generic``: those with augmentation that
            is not made for stances, if its own is.
    """

    name: str
    text: str
    columns: tuple[Column, ...]
    against: tuple[str, ...] = ()
    over: Literal["", "none", "generic"] = ""


_STATEMENTS = (
    _Statement(name="best-multilingual", text="{arm} is best in the multilingual setting", columns=MAPS[2:]),
    _Statement(
        name="better-than-both",
        text="{arm} is better than X-X-mono and X-Y in all three settings",
        columns=MAPS,
        against=("x-x-mono", "x-y"),
    ),
    _Statement(
        name="lower-rank-distance",
        text="{arm} has a lower rank distance than X-X-mono",
        columns=(RANK_DISTANCE,),
        against=("x-x-mono",),
    ),
    # Rank distance falls whenever mAP rises, so less bias takes a second figure of another make.
    _Statement(
        name="less-language-bias",
        text="{arm} has less language bias than X-X-mono: its rank distance is lower, its diagonal gap nearer to 0",
        columns=(RANK_DISTANCE, DIAGONAL_GAP),
        against=("x-x-mono",),
    ),
    _Statement(
        name="augmentation-helps",
        text="{arm} is better than hybrid batch training without augmentation in zero-shot multilingual retrieval of "
        "stances",
        columns=MAPS[2:],
        over="none",
    ),
    _Statement(
        name="task-specific-augmentation-helps",
        text="{arm}, whose augmentation is made for stances, is better than hybrid batch training with generic "
        "augmentation in zero-shot multilingual retrieval of stances",
        columns=MAPS[2:],
        over="generic",
    ),
)


@dataclass(frozen=True, kw_only=True)
class Part:
    """One difference that a claim rests on, turned so that more is better.

    Attributes:
        setting: ``mono``, ``cross`` or ``multi``.
        figure: its name in a benchmark's figures.
        other: the arm compared with.
        lead: how much better the arm is.
        low: lower end of the corrected interval.
        high: upper end.
        p: the larger p-value of randomisation and bootstrap, two-sided.
        verdict: on this part.
    """

    setting: str
    figure: str
    other: str
    lead: float
    low: float
    high: float
    p: float
    verdict: Verdict


@dataclass(frozen=True, kw_only=True)
class Claim:
    """A claim and what the run says to it.

    Attributes:
        name: of the claim.
        text: what is claimed.
        verdict: by the rule above.
        why: the reason in words: the part that decides.
        benchmark: where it was checked; empty if it is about no benchmark.
        role: whether that is a test set.
        arm: the arm that it is about.
        confidence: of the intervals, after the correction.
        p: the largest p-value of any part.
        parts: all differences that it rests on.
    """

    name: str
    text: str
    verdict: Verdict
    why: str
    benchmark: str = ""
    role: Role = "test"
    arm: str = ""
    confidence: float | None = None
    p: float | None = None
    parts: Sequence[Part] = field(default_factory=tuple)


def check_claims(
    resampled: Mapping[str, Resampled],
    arms: Sequence[ArmResult],
    roles: Mapping[str, Role],
    stance_trained: Collection[str] | None = None,
    augmentations: Mapping[str, Kind] | None = None,
) -> list[Claim]:
    """Checks every claim on every hybrid arm and benchmark that has the data for it.

    An arm is compared with those of the same augmentations, and with the untouched encoder; what its augmentations are
    worth is asked against the same sampler without them, and what it is worth that they are made for stances against
    the same sampler with others.

    Args:
        resampled: the draws by benchmark, with ``COLUMNS`` among their figures.
        arms: what was trained; their seeds may repeat.
        roles: whether a benchmark is a test set.
        stance_trained: the arms that are not zero-shot in stance retrieval, from ``zero_shot.arms_with_stance_data``;
            None if that is not known: nothing is then said of zero-shot retrieval.
        augmentations: of what kind each arm's augmentation is, from ``augmentation_kinds``; of an arm that is not
            there, or if that is not known, any is taken for generic.
    """
    asked = []
    for benchmark, draws in resampled.items():
        scored = list({arm.name: arm for arm in arms if arm.name in draws.arms}.values())
        zero_shot = [
            arm
            for arm in scored
            if stance_trained is not None and arm.name not in stance_trained and _is_of_stance(arm, benchmark)
        ]
        asked += [
            (benchmark, statement, arm.name, others)
            for arm in scored
            if arm.sampler.get("kind") == "hybrid"
            for statement in _STATEMENTS
            if (
                others := _augmented_otherwise(statement.over, arm, zero_shot, augmentations or {})
                if statement.over
                else _others(statement, arm, scored)
            )
            and set(statement.columns) <= set(draws.columns)
        ]
    together = {role: sum(roles[benchmark] == role for benchmark, *_ in asked) for role in roles.values()}
    return [
        _check(statement, arm, others, benchmark, resampled[benchmark], roles[benchmark], together[roles[benchmark]])
        for benchmark, statement, arm, others in asked
    ]


def _is_of_stance(arm: ArmResult, benchmark: str) -> bool:
    return not {TOPICAL.name, STANCE.name}.isdisjoint(arm.benchmarks.get(benchmark, {}).get("protocols", ()))


def _others(statement: _Statement, arm: ArmResult, arms: Sequence[ArmResult]) -> list[str]:
    """The arms that a statement compares with; none if one of the samplers that it names is not there."""
    matched = [
        (other.sampler.get("kind", "none"), other.name)
        for other in arms
        if set(other.augmentation) == set(arm.augmentation) or not other.sampler
    ]
    if not statement.against:
        return [name for kind, name in matched if kind != "hybrid"]
    if not set(statement.against) <= {kind for kind, _ in matched}:
        return []
    return [name for kind, name in matched if kind in statement.against]


def _augmented_otherwise(
    over: str, arm: ArmResult, zero_shot: Sequence[ArmResult], augmentations: Mapping[str, Kind]
) -> list[str]:
    """The arms with augmentation ``over`` that one with more is compared with; none for an arm that has no more."""
    kinds = {
        other.name: augmentations.get(other.name, "generic" if other.augmentation else "none")
        for other in zero_shot
        if dict(other.sampler) == dict(arm.sampler)
    }
    more = {"none": ("generic", "stances"), "generic": ("stances",)}[over]
    return [name for name, kind in kinds.items() if kind == over] if kinds.get(arm.name) in more else []


def _check(
    statement: _Statement,
    arm: str,
    others: Sequence[str],
    benchmark: str,
    resampled: Resampled,
    role: Role,
    tests: int,
) -> Claim:
    asked = [(column, arm, other) for column in statement.columns for other in others]
    parts = [
        _part(comparison, column, resampled.settings.margin)
        for (column, _, _), comparison in zip(asked, resampled.compare(asked, tests), strict=True)
    ]
    verdict = _together([part.verdict for part in parts])
    # Figures have scales of their own, so a lead is weighed by the width of its interval.
    deciding = min(
        (part for part in parts if part.verdict == verdict),
        key=lambda part: part.lead / max(part.high - part.low, _TINY),
    )
    confidence = 1 - (1 - resampled.settings.confidence) / tests
    return Claim(
        name=statement.name,
        text=statement.text.format(arm=arm),
        verdict=verdict,
        why=_reason(deciding, confidence, len(parts)),
        benchmark=benchmark,
        role=role,
        arm=arm,
        confidence=confidence,
        p=max(part.p for part in parts),
        parts=parts,
    )


def _part(comparison: Comparison, column: Column, margin: float) -> Part:
    sign = column.sign
    low, high = sorted((sign * comparison.low_corrected, sign * comparison.high_corrected))
    # The margin is one of mAP, which rank distance is not measured in.
    return Part(
        setting=column.setting,
        figure=column.figure,
        other=comparison.other,
        lead=sign * comparison.difference,
        low=low,
        high=high,
        p=comparison.p,
        verdict=judge(low, high, 0 if column.figure == RANK_DISTANCE.figure else margin),
    )


def judge(low: float, high: float, margin: float) -> Verdict:
    """What an interval of a lead says: it is there, it is not or is below the margin, or that is not certain."""
    if low > 0:
        return "supported"
    return "not supported" if high <= margin else "inconclusive"


def _together(verdicts: Sequence[Verdict]) -> Verdict:
    if "not supported" in verdicts:
        return "not supported"
    return "inconclusive" if "inconclusive" in verdicts else "supported"


def _reason(part: Part, confidence: float, parts: int) -> str:
    digits = 1 if part.figure == RANK_DISTANCE.figure else 4
    numbers = f"{part.lead:+,.{digits}f}, {confidence:.1%} interval {part.low:+,.{digits}f} to {part.high:+,.{digits}f}"
    which = f"; the weakest of {parts} differences" if parts > 1 else ""
    return f"{part.setting} {part.figure}: lead over {part.other} {numbers}, p = {part.p:.2g}{which}"


def clean_training(leakage: Mapping[str, Any], unaudited: Sequence[str] = ()) -> Claim:
    """The claim that nothing trained on comes from an evaluation set, by the leakage audit.

    Args:
        leakage: the content of ``leakage.json``; empty if nothing was audited.
        unaudited: what went into training past the audit, such as a lexicon's file.
    """
    rows, leaking = leakage.get("rows", 0), leakage.get("leaking", 0)
    verdict: Verdict = "supported"
    why = f"the audit of {rows:,} training and development pairs found none that holds what a benchmark holds"
    if not rows:
        verdict, why = "inconclusive", "no training data were audited"
    elif leaking and leakage.get("on_leakage") == "allow":
        verdict, why = "not supported", f"{leaking:,} of {rows:,} pairs hold what a benchmark holds, and were allowed"
    elif unaudited:
        verdict, why = "inconclusive", f"not audited: {', '.join(unaudited)}"
    elif leaking:
        why = f"{leaking:,} of {rows:,} pairs held what a benchmark holds, and were left out"
    return Claim(
        name=CLEAN_TRAINING,
        text="No fine-tuning text, vocabulary, lexicon or alignment statistic comes from an evaluation set",
        verdict=verdict,
        why=why,
    )
