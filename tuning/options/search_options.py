"""The options of `tuning.search`, each declared once.

The parser and its help, `search(**options)` from Python, settings.json, what may change with `--resume`, and the tables
in docs/searching.md are made from these declarations.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Any

from san_core.data.readers import READERS
from san_core.metrics import METRICS
from san_core.models.presets import PRESETS
from tuning.monitoring.notifications import web_address
from tuning.monitoring.trackers import PACKAGES
from tuning.options.option import (
    AUTO,
    OPTION,
    Amount,
    Declared,
    Group,
    OnResume,
    Recorded,
    Value,
    amount,
    choice,
    cohort_width,
    duration,
    folds,
    gpu_share,
    option,
    place,
    steps,
    text,
    whole,
)
from tuning.study.pruners import PRUNERS
from tuning.study.samplers import SAMPLERS

EMBEDDED = "easy-vqa"
"""The data set that comes with its package and is prepared where it is missing."""

TRIALS = 24
"""Trials of a search that nothing else bounds."""

MOST_SEEDS = 1001
"""What the number of fresh seeds is below."""

FROM_PYTHON = "an object given in Python"
"""Value of an option in the place of which Python code gave an object, which has no name."""

_SEARCHED, _LENGTH, _PLACE = Group
_MOVED, _REPLACED, _THIS_TIME = OnResume.MOVED, OnResume.REPLACED, OnResume.THIS_TIME
_AS_GIVEN, _AS_USED = Recorded.AS_GIVEN, Recorded.AS_USED
_BOUND = {"bound": True, "on_resume": _REPLACED, "recorded": _AS_USED}


@dataclass(frozen=True, kw_only=True)
class SearchOptions:
    """What a search is asked for: one field for each option, and which of them were given.

    `Option` says what each keyword of a declaration means. An option without `on_resume` cannot change when a search
    is resumed; one without `recorded` is not kept under its own name in settings.json.

    Attributes:
        arguments: the command line that says the same.
        given: names of the options that were given and not left at their defaults.
        objects: what was given from Python in the place of a name, by option: a `SearchSpace` for `space`, a list of
            configurations for `try_first`. The option itself says `FROM_PYTHON` then.
    """

    data: tuple[str, ...] = option(
        (EMBEDDED,),
        _SEARCHED,
        f"prepared data set ({', '.join(READERS)}), folder written by san_core.prepare, or its URI (s3://...); if "
        "repeated, which of these preparations of the same questions is searched too",
        value=place("name, folder or URI"),
        default_text=EMBEDDED,
        on_resume=_MOVED,
        recorded=_AS_USED,
    )
    space: str = option(
        "san",
        _SEARCHED,
        "search space: a name in search_spaces/, or the path of a Python file",
        value=place("name or file"),
        recorded=_AS_USED,
    )
    metric: str | None = option(
        None,
        _SEARCHED,
        f"the objective: {', '.join(METRICS)}",
        value=text("metric"),
        default_text="what the data set's literature leads with",
        recorded=_AS_USED,
    )
    preset: str | None = option(
        None, _SEARCHED, f"fix the paper's dimensions: {', '.join(PRESETS)}", value=text("network of the paper")
    )
    epochs: int | None = option(
        None, _SEARCHED, "epochs of a full trial", value=whole("epochs", 1), default_text="what suits the data set"
    )
    report_every: int | str = option(
        AUTO,
        _SEARCHED,
        "training steps after which a trial is scored, and may be stopped; auto takes a pass over the training "
        "questions, or about 500 steps where a pass has 1,000 or more",
        value=steps(),
    )
    folds: int | str = option(
        1,
        _SEARCHED,
        "parts that training and validation questions are divided into by image; the best trials are trained and "
        "validated on all, one after the other; auto takes 5 where one validation split is too small to compare by",
        value=folds(),
        default_text="1: the data's own validation split",
        recorded=_AS_USED,
    )
    set: tuple[str, ...] = option(
        (),
        _SEARCHED,
        "fix a training setting, which is then not searched; may be repeated",
        value=text("SETTING=VALUE", "SETTING=VALUE"),
    )
    sampler: str = option("auto", _SEARCHED, "what chooses configurations", value=choice(SAMPLERS), recorded=_AS_GIVEN)
    pruner: str = option("halving", _SEARCHED, "what stops bad trials early", value=choice(PRUNERS), recorded=_AS_GIVEN)
    seed: int = option(
        0,
        _SEARCHED,
        "seed of the sampler and of every training",
        value=whole("number", 0, below=2**32),
        recorded=_AS_GIVEN,
    )
    baseline_first: bool = option(
        True, _SEARCHED, "start with the space's baseline, which every result is compared with", recorded=_AS_GIVEN
    )
    try_first: str | None = option(
        None,
        _SEARCHED,
        "JSON list of configurations to try first",
        value=place("file", "FILE"),
        flag="--try",
        recorded=_AS_USED,
    )
    prior: tuple[str, ...] = option(
        (),
        _SEARCHED,
        "earlier run on the same data; the sampler learns from its trials that lie in this space; may be repeated",
        value=place("run", "RUN"),
        recorded=_AS_USED,
    )
    trials: Amount | None = option(
        None,
        _LENGTH,
        "trials, the baseline included",
        value=amount("trials", int, 1),
        default_text=f"{TRIALS} if nothing else is given",
        **_BOUND,
    )
    budget: Amount | None = option(
        None,
        _LENGTH,
        "wall time such as 90s, 30m or 2h; running trials end after their epoch",
        value=duration(),
        **_BOUND,
    )
    gpu_hours: Amount | None = option(
        None, _LENGTH, "time of all trials, each with its share of a GPU", value=amount("GPU hours", float, 0), **_BOUND
    )
    patience: Amount | None = option(
        None, _LENGTH, "stop after N trials without a better result", value=amount("trials", int, 1, "N"), **_BOUND
    )
    confirm: int = option(
        2,
        _LENGTH,
        "fresh seeds to run the best trials and the baseline under at the end, beyond any bound; they choose the best",
        value=whole("seeds", 0, below=MOST_SEEDS, metavar="SEEDS"),
        on_resume=_REPLACED,
        recorded=_AS_GIVEN,
    )
    run: str | None = option(
        None,
        _PLACE,
        "name of the run under runs/, or a path",
        value=place("name or folder"),
        default_text="data set and time",
        excludes=True,
        on_resume=_THIS_TIME,
    )
    resume: str | None = option(
        None,
        _PLACE,
        "go on with a search that was interrupted, or extend one that ended",
        value=place("run", "RUN"),
        excludes=True,
        on_resume=_THIS_TIME,
    )
    concurrent: int | None = option(
        None,
        _PLACE,
        "most trials, or cohorts, at once",
        value=whole("trials", 1),
        default_text="what fits",
        on_resume=_THIS_TIME,
        recorded=_AS_USED,
    )
    cohort: int | str = option(
        AUTO,
        _PLACE,
        "trials that are trained together as a cohort, by one step; auto measures on a GPU and is 1 without one",
        value=cohort_width(),
        on_resume=_REPLACED,
        recorded=_AS_USED,
    )
    gpus_per_trial: float | str | None = option(
        None,
        _PLACE,
        "GPUs of a trial, or cohort; fractions share one; auto packs as many single trials as fit",
        value=gpu_share(),
        default_text="1 if any",
        recorded=_AS_USED,
    )
    cpus_per_trial: int | None = option(
        None,
        _PLACE,
        "cores and threads of a trial, or cohort",
        value=whole("cores", 1),
        default_text="1; by GPU: a share",
        recorded=_AS_USED,
    )
    address: str | None = option(
        None,
        _PLACE,
        "address of a running Ray cluster to join, or auto",
        value=text("HOST:PORT or `auto`"),
        default_text="Ray on this machine",
        on_resume=_THIS_TIME,
    )
    storage: str | None = option(
        None,
        _PLACE,
        "where checkpoints go: a path or URI that all nodes reach",
        value=place("folder or URI", "FOLDER"),
        default_text="in the run folder",
        recorded=_AS_GIVEN,
    )
    max_failures: int = option(
        2,
        _PLACE,
        "how often a trial whose worker dies goes on",
        value=whole("times", 0),
        on_resume=_REPLACED,
        recorded=_AS_GIVEN,
    )
    keep: int = option(
        3,
        _PLACE,
        "best finished trials whose checkpoint is kept",
        value=whole("trials", 0),
        on_resume=_REPLACED,
        recorded=_AS_GIVEN,
    )
    no_dashboard: bool = option(False, _PLACE, "leave the Ray dashboard out", on_resume=_THIS_TIME)
    dashboard_host: str | None = option(
        None,
        _PLACE,
        "address the dashboard listens on; 0.0.0.0 for all of this machine's",
        value=text("address", "HOST"),
        default_text="127.0.0.1",
        on_resume=_THIS_TIME,
    )
    dashboard_port: int | None = option(
        None,
        _PLACE,
        "port of the dashboard",
        value=whole("port", 1, below=2**16, metavar="PORT"),
        default_text="the first free one from 8265",
        on_resume=_THIS_TIME,
    )
    track: str | None = option(
        None,
        _PLACE,
        "log trials to this tracker as well, in the run folder",
        value=choice(PACKAGES),
        default_text="to none",
        on_resume=_REPLACED,
        recorded=_AS_GIVEN,
    )
    notify: str | None = option(
        None,
        _PLACE,
        "post a JSON line there for each new best trial and at the end; not recorded, so give it again with --resume",
        value=Value("URL", web_address, "URL"),
        default_text="SAN_NOTIFY_URL in the environment, which keeps the URL out of the list of processes",
        environment="SAN_NOTIFY_URL",
        on_resume=_THIS_TIME,
    )
    json: bool = option(False, _PLACE, "print the result as JSON", on_resume=_THIS_TIME)
    arguments: tuple[str, ...] = ()
    given: frozenset[str] = frozenset()
    objects: Mapping[str, Any] = field(default_factory=dict)

    @property
    def given_values(self) -> Mapping[str, Any]:
        """The options that were given, by name."""
        return {name: getattr(self, name) for name in declared_options() if name in self.given}


def declared_options() -> dict[str, Declared]:
    """Every option by name, in the order of `--help`."""
    return {
        each.name: Declared(each.name, each.default, each.metadata[OPTION])
        for each in fields(SearchOptions)
        if OPTION in each.metadata
    }


BOUNDS = tuple(name for name, each in declared_options().items() if each.option.bound)
"""Options that bound a search."""
