"""Whether a search can be resumed with the packages that are installed now."""

from collections.abc import Mapping
from importlib.metadata import version

from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.errors import InputError

_OPTUNA = "optuna"

_CHANGE_SCORES = ("san-tuner", "torch", "ray", _OPTUNA, "numpy")
"""Packages of which another version may change scores, or which configurations are tried."""


def check_versions(run: RunFolder) -> None:
    """Checks that a search goes on with the major version of Optuna that it was started with.

    The journal is Optuna's, and another major version may read it differently. Other differences are printed in a line.

    Raises:
        InputError: if the major versions differ.
    """
    recorded = run.environment.get("packages")
    before = recorded if isinstance(recorded, Mapping) else {}
    changed = {name: (str(before[name]), version(name)) for name in _CHANGE_SCORES if name in before}
    changed = {name: versions for name, versions in changed.items() if len(set(versions)) == 2}
    if _OPTUNA in changed and len({text.partition(".")[0] for text in changed[_OPTUNA]}) == 2:
        was, now = changed[_OPTUNA]
        raise InputError(
            f"{run.shown} was started with optuna {was}, but {now} is installed, and another major version may read "
            f"its journal differently; accepted: optuna {was.partition('.')[0]}.x, or a new search with "
            f"--prior {run.shown}"
        )
    if changed:
        differences = ", ".join(f"{name} {was} (now {now})" for name, (was, now) in changed.items())
        print_message(f"{run.shown} was started with {differences}: the scores of further trials may differ slightly")
