"""What settings.json keeps of the options, and what may change when a search is resumed."""

from collections.abc import Iterator, Mapping
from typing import Any

from tuning.options.option import OnResume, Recorded
from tuning.options.search_options import SearchOptions, declared_options


def recorded_options(options: SearchOptions, used: Mapping[str, Any]) -> dict[str, Any]:
    """The entries of settings.json that are called as options are.

    Args:
        options: options of a new search.
        used: values that were used for the options recorded as `Recorded.AS_USED`.

    Raises:
        ValueError: if `used` lacks one of them or has another; this is a mistake of the caller, not of the user.
    """
    recorded = {name: each.option.recorded for name, each in declared_options().items()}
    if (wanted := {name for name, how in recorded.items() if how is Recorded.AS_USED}) != used.keys():
        raise ValueError(f"used must hold {sorted(wanted)}, but holds {sorted(used)}")
    return {
        name: used[name] if how is Recorded.AS_USED else getattr(options, name)
        for name, how in recorded.items()
        if how is not Recorded.NOT
    }


def unchangeable_options(options: SearchOptions) -> dict[str, Any]:
    """The options that cannot change when the search is resumed, as they were given: `options` in settings.json."""
    return {
        name: _plain(getattr(options, name))
        for name, each in declared_options().items()
        if each.option.on_resume is OnResume.SAME
    }


def replaced_options(options: SearchOptions) -> dict[str, Any]:
    """The values that replace earlier ones when a search is resumed, without those that bound it."""
    declared = declared_options()
    return {
        name: value
        for name, value in options.given_values.items()
        if declared[name].option.on_resume is OnResume.REPLACED and not declared[name].option.bound
    }


def changed_options(options: SearchOptions, settings: Mapping[str, Any]) -> Iterator[tuple[str, Any, Any]]:
    """The options that are given on resuming although they cannot change.

    One that was given is accepted again as it was given or as what it came to: `--metric accuracy` where the search
    was started without `--metric` and accuracy is the data set's metric.

    Yields:
        Flag, value that the search was started with, value that is given now.
    """
    declared = declared_options()
    for name, value in options.given_values.items():
        given, started = _plain(value), settings["options"].get(name)
        used = settings.get(name) if declared[name].option.recorded is Recorded.AS_USED else started
        if declared[name].option.on_resume is OnResume.SAME and given not in (started, used):
            yield declared[name].flag, used if started is None else started, given


def _plain(value: object) -> object:
    """A value as JSON keeps it."""
    return list(value) if isinstance(value, tuple) else value
