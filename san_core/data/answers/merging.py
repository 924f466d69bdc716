"""Gives answers that count as one the same spelling, and tells which ones."""

from collections import Counter, defaultdict
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

from san_core.data.answers.forms import SEPARATOR, as_written, things_form, tidy
from san_core.data.answers.slips import find_slips
from san_core.data.problems import Problems
from san_core.data.questions import Question
from san_core.data.raw_dataset import RawDataset

_SHOWN = 3  # of the answers that were merged
_SPELLINGS_SHOWN = 5


def merge_answers(dataset: RawDataset, problems: Problems, *, keep: bool = False) -> RawDataset:
    """Gives right answers with an equal key (`RawDataset.answer_key`) the spelling that is most frequent in training.

    Of equally frequent spellings it is the one closest to the key, then the first in alphabetical order. What people
    answered stays as written in `Question.answers`, for the VQA accuracy, with one exception: where all gave the very
    same text, which that metric compares exactly, it becomes the new spelling.

    Args:
        dataset: the data set.
        problems: gets notes on what was merged, and on likely slips, which are not changed.
        keep: keep all answers as they are written; the returned data set then has the key `as_written`.
    """
    if keep or dataset.answer_key is as_written:
        return replace(dataset, answer_key=as_written)
    merge = _Merge(dataset)
    train, test = (tuple(map(merge.question, part)) for part in (dataset.train, dataset.test))
    validation = None if dataset.validation is None else tuple(map(merge.question, dataset.validation))
    for line in (*merge.notes(), *find_slips(thing for question in train for thing in merge.things(question.answer))):
        problems.note(line)
    return replace(dataset, train=train, validation=validation, test=test)


class _Merge:
    """The spelling of each right answer of a data set."""

    def __init__(self, dataset: RawDataset) -> None:
        self._key = dataset.answer_key
        self._several = self._key is things_form
        parts = (dataset.learned_from, dataset.test)
        self._written = Counter(q.answer for part in parts for q in part)
        self._spelling: dict[str, str] = {}
        for part in parts:  # the test decides only on answers that are not in training
            for key, spelling in _spellings(part, self.things, self._key).items():
                self._spelling.setdefault(key, spelling)
        self._spelled = {answer: self._spell(answer) for answer in self._written}

    def question(self, question: Question) -> Question:
        """The question with the new spelling of its answer."""
        answer = self._spelled[question.answer]
        if answer == question.answer:
            return question
        one_text = len(set(question.answers)) == 1 and self._key(question.answers[0]) == self._key(answer)
        answers = (answer,) * len(question.answers) if one_text else question.answers
        return replace(question, answer=answer, answers=answers)

    def notes(self) -> list[str]:
        """What was merged: how much in all, then the answers with the most questions."""
        groups: dict[str, Counter[str]] = defaultdict(Counter)
        for written, count in self._written.items():
            groups[self._spelled[written]][written] += count
        merged = sorted(
            ((spelling, group) for spelling, group in groups.items() if len(group) > 1),
            key=lambda item: (-item[1].total(), item[0]),
        )
        if not merged:
            return []
        total = (
            f"{sum(len(group) for _, group in merged):,} spellings of {len(merged):,} "
            f"{'answers are one answer each' if len(merged) > 1 else 'answer are one answer'}; "
            "--keep-answers keeps them apart"
        )
        return [total, *(_describe(spelling, group) for spelling, group in merged[:_SHOWN])]

    def things(self, answer: str) -> Sequence[str]:
        """The things of an answer of several things, otherwise the answer alone."""
        return answer.split(SEPARATOR) if self._several else [answer]

    def _spell(self, answer: str) -> str:
        if not answer:
            return ""
        return SEPARATOR.join(sorted({self._spelling[self._key(thing)] for thing in self.things(answer)}))


def _spellings(
    questions: Sequence[Question], things_of: Callable[[str], Sequence[str]], key_of: Callable[[str], str]
) -> Mapping[str, str]:
    """The most frequent spelling of each key."""
    answers = Counter(question.answer for question in questions if question.answer)
    counts: dict[str, Counter[str]] = defaultdict(Counter)
    for answer, count in answers.items():
        for thing in things_of(answer):
            counts[key_of(thing)][tidy(thing)] += count
    return {
        key: min(group, key=lambda spelling: (-group[spelling], spelling != key, spelling))
        for key, group in counts.items()
    }


def _describe(spelling: str, group: Counter[str]) -> str:
    written = [f"`{text}`" for text, _ in group.most_common(_SPELLINGS_SHOWN)]
    more = f" and {len(group) - len(written)} more" if len(group) > len(written) else ""
    return f"{', '.join(written)}{more} are one answer: {spelling} ({group.total():,} questions)"
