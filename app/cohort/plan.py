"""Which studies a run must process, and why."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field

from app.cohort.options import CohortOptions
from app.cohort.records import Attempt, Digests
from app.cohort.settings import Task
from app.cohort.studies import StudyInput

__all__ = ["Plan", "made_otherwise", "make_plan"]


@dataclass
class Plan:
    """What a run will do.

    Attributes
    ----------
    tasks : list of Task
    settled : dict of str to Attempt
        Studies that have their outcome already.
    reasons : Counter of str
        Why studies are processed that were processed before.
    doubtful : int
        Done studies of which there is now more than one input.
    """

    tasks: list[Task] = field(default_factory=list)
    settled: dict[str, Attempt] = field(default_factory=dict)
    reasons: Counter[str] = field(default_factory=Counter)
    doubtful: int = 0


def make_plan(
    studies: Sequence[StudyInput],
    known: Mapping[str, Attempt],
    published: AbstractSet[str],
    digests: Digests,
    options: CohortOptions,
) -> Plan:
    """Decide for each study whether what is known of it still holds.

    Parameters
    ----------
    studies : sequence of StudyInput
    known : mapping of str to Attempt
        The last attempt at each study.
    published : set of str
        Names of the folders below ``studies``.
    digests : Digests
        Of this run.
    options : CohortOptions
    """
    plan = Plan()
    for study in studies:
        last = known.get(study.study)
        if last is None:
            plan.tasks.append(Task(study))
            continue
        why, same_content_will_do = _why_again(study, last, published, digests, options)
        if why is None:
            plan.settled[study.study] = last
            plan.doubtful += last.outcome == "done" and study.problem is not None and study.identity is not None
            continue
        plan.reasons[why] += 1
        there = last.outcome == "done" and last.folder in published
        plan.tasks.append(Task(study, last.attempt + 1, last if there else None, there and same_content_will_do))
    return plan


def made_otherwise(
    studies: Sequence[StudyInput], known: Mapping[str, Attempt], digests: Digests, options: CohortOptions
) -> Counter[str]:
    """What else made the done studies that are not among these: the table will mix them with those of this run."""
    given = {study.study for study in studies}
    others = (one for one in known.values() if one.outcome == "done" and one.study not in given)
    return Counter(changed for one in others if (changed := " and ".join(_changed(one, digests, options))))


def _changed(last: Attempt, digests: Digests, options: CohortOptions) -> tuple[str, ...]:
    changed = last.digests.changed(digests)
    return tuple(name for name in changed if name != "software") if options.accept_software else changed


def _why_again(
    study: StudyInput, last: Attempt, published: AbstractSet[str], digests: Digests, options: CohortOptions
) -> tuple[str | None, bool]:
    """Why a study is processed again (None: it is not), and whether its results hold if its content is the same."""
    changed = _changed(last, digests, options)
    if last.outcome == "done":
        if changed:
            return f"{' and '.join(changed)} changed", False
        if last.folder not in published:
            return "its results are gone", False
        if study.identity is None:
            return None, False  # the input was removed after it was processed
        if not last.input.same_file(study.identity):
            return "its input changed", True
        return ("--verify", True) if options.verify else (None, False)
    if last.again:
        return "its process was killed", False
    if last.outcome in options.retry:
        return f"--retry {last.outcome}", False
    if changed:
        return f"{' and '.join(changed)} changed", False
    if study.problem is None and (study.identity is None or not last.input.same_file(study.identity)):
        return "its input changed", False
    never_read = last.outcome == "refused" and last.seconds.keys() <= {"total"}
    if study.problem is None and never_read:  # it was missing, or one of two inputs for one visit
        return "its input changed", False
    return None, False
