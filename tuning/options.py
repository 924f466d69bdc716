"""The options of `tuning.search`."""

import argparse
import re
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from san_core.command_line import CommandLine, number
from san_core.data.readers import READERS
from san_core.metrics import METRICS
from san_core.models.presets import PRESETS
from tuning.monitoring.notifications import web_address
from tuning.monitoring.trackers import PACKAGES
from tuning.study.pruners import PRUNERS
from tuning.study.samplers import SAMPLERS

EMBEDDED = "easy-vqa"
"""The data set that comes with its package and is prepared where it is missing."""

TRIALS = 24
"""Trials of a search that nothing else bounds."""

AUTO = "auto"
"""Word for: find out yourself."""

_UNITS = {"s": 1, "m": 60, "min": 60, "h": 3600, "d": 86400}


@dataclass(frozen=True)
class Amount:
    """How much, or how much more, of something that bounds a search.

    Attributes:
        text: as it was given.
        value: as a number: trials, seconds, or hours.
        more: whether it comes on top of what was used up before.
    """

    text: str
    value: float
    more: bool

    def after(self, used: float) -> float:
        """The bound, where `used` of it is used up or was allowed before."""
        return used + self.value if self.more else self.value


def parse_options(
    arguments: Sequence[str] | None = None, parser_type: type[CommandLine] = CommandLine
) -> tuple[argparse.Namespace, dict[str, Any]]:
    """The options, and those of them that were given.

    Args:
        arguments: of a command line, kept with the options; None takes this program's.
        parser_type: what to do about wrong ones.
    """
    arguments = sys.argv[1:] if arguments is None else arguments
    options, parser = search_parser(parser_type).parse_args(arguments), search_parser(parser_type)
    options.arguments = list(arguments)
    for action in parser._actions:
        action.default = argparse.SUPPRESS
    return options, vars(parser.parse_args(arguments))


def search_parser(parser_type: type[CommandLine] = CommandLine) -> CommandLine:
    """The parser of the options."""
    parser = parser_type(
        "tuning.search",
        "Searches the hyperparameters of a Stacked Attention Network: Optuna chooses, Ray Tune places and runs.",
    )
    _add_what(parser)
    _add_how_long(parser)
    _add_where(parser)
    return parser


def _add_what(parser: CommandLine) -> None:
    """Options that say what is searched, and how."""
    add = parser.add_argument_group("what is searched").add_argument
    add(
        "--data",
        default=EMBEDDED,
        help=f"prepared data set ({', '.join(READERS)}) or folder written by san_core.prepare",
    )
    add("--space", default="san", help="search space: a name in search_spaces/, or the path of a Python file")
    add("--metric", help=f"the objective: {', '.join(METRICS)} (default: what the data set's literature leads with)")
    add("--preset", help=f"fix the paper's dimensions: {', '.join(PRESETS)}")
    add("--epochs", type=number(int, at_least=1), help="epochs of a full trial (default: what suits the data set)")
    add(
        "--set",
        action="append",
        default=[],
        metavar="SETTING=VALUE",
        help="fix a training setting, which is then not searched; may be repeated",
    )
    add("--sampler", choices=SAMPLERS, default="auto", help="what chooses configurations")
    add("--pruner", choices=PRUNERS, default="halving", help="what stops bad trials early")
    add("--seed", type=number(int, at_least=0, below=2**32), default=0, help="of the sampler and of every training")
    add(
        "--baseline-first",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="start with the space's baseline, which every result is compared with",
    )
    add("--try", dest="try_first", metavar="FILE", help="JSON list of configurations to try first")
    add(
        "--prior",
        action="append",
        default=[],
        metavar="RUN",
        help="earlier run over the same space and data whose trials the sampler learns from; may be repeated",
    )


def _add_how_long(parser: CommandLine) -> None:
    """Options that bound the search."""
    group = parser.add_argument_group("how long (whichever comes first; +N adds to a search that is resumed)")
    add = group.add_argument
    add(
        "--trials",
        type=_amount(int, at_least=1),
        help=f"trials, the baseline included (default: {TRIALS} if nothing else is given)",
    )
    add("--budget", type=_duration, help="wall time such as 90s, 30m or 2h; running trials end after their epoch")
    add("--gpu-hours", type=_amount(float, at_least=0), help="time of all trials, each with its share of a GPU")
    add("--patience", type=_amount(int, at_least=1), metavar="N", help="stop after N trials without a better result")
    add(
        "--confirm",
        type=number(int, at_least=0),
        default=2,
        metavar="SEEDS",
        help="fresh seeds under which the best and the baseline are run again at the end, beyond any bound",
    )


def _add_where(parser: CommandLine) -> None:
    """Options that say where it runs and what it leaves."""
    group = parser.add_argument_group("where it runs and what it leaves")
    add, either = group.add_argument, group.add_mutually_exclusive_group().add_argument
    either("--run", help="name of the run under runs/, or a path (default: data set and time)")
    either("--resume", metavar="RUN", help="go on with a search that was interrupted, or extend one that ended")
    add("--concurrent", type=number(int, at_least=1), help="most trials at once (default: what fits)")
    add(
        "--gpus-per-trial",
        type=_gpus,
        help="GPUs of a trial, fractions share one; auto packs as many as fit (default: 1 if any)",
    )
    add(
        "--cpus-per-trial",
        type=number(int, at_least=1),
        help="cores and threads of a trial (default: 1; by GPU: a share)",
    )
    add("--address", help="address of a running Ray cluster to join, or auto (default: Ray on this machine)")
    add("--storage", metavar="FOLDER", help="where checkpoints go: a path or URI that all nodes reach")
    add("--max-failures", type=number(int, at_least=0), default=2, help="how often a trial whose worker dies goes on")
    add("--keep", type=number(int, at_least=0), default=3, help="best finished trials whose checkpoint is kept")
    add("--no-dashboard", action="store_true", help="leave the Ray dashboard out")
    add(
        "--dashboard-host",
        metavar="HOST",
        help="address the dashboard listens on; 0.0.0.0 for all of this machine's (default: 127.0.0.1)",
    )
    add(
        "--dashboard-port",
        type=number(int, at_least=1, below=2**16),
        metavar="PORT",
        help="its port (default: the first free one from 8265)",
    )
    add("--track", choices=PACKAGES, help="log trials to this tracker as well, in the run folder (default: to none)")
    add(
        "--notify",
        type=web_address,
        metavar="URL",
        help="post a JSON line there for each new best trial and at the end; asked for anew when resumed",
    )
    add("--json", action="store_true", help="print the result as JSON")


def _amount(kind: type[int] | type[float], at_least: float) -> Callable[[str], Amount]:
    parse = number(kind, at_least=at_least)
    return lambda text: Amount(text, parse(text.removeprefix("+")), text.startswith("+"))


def _duration(text: str) -> Amount:
    found = re.fullmatch(r"\+?(\d+(?:\.\d+)?)(s|m|min|h|d)", text.strip())
    if found is None or not float(found[1]):
        raise argparse.ArgumentTypeError(f"must be a time such as 90s, 30m or 2h, but got {text!r}")
    return Amount(text, float(found[1]) * _UNITS[found[2]], text.startswith("+"))


def _gpus(text: str) -> float | str:
    return text if text == AUTO else number(float, at_least=0)(text)
