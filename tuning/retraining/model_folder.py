"""Writes the model folder of a retrained network or ensemble: scores, learning curves and README beside it."""

import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pandas as pd

from san_core.errors import InputError
from san_core.files import make_folder, name_folder, write_json
from tuning.retraining.learning_curves import curve_table, draw_curves
from tuning.retraining.model_card import Card, write_card
from tuning.retraining.score_tables import as_records, spread
from tuning.retraining.training import Outcome


@contextmanager
def folder_when_whole(out: Path, owner: str) -> Iterator[Path]:
    """A hidden folder to write to; it gets its name when the context ends, and is deleted if the context fails.

    Args:
        out: the path it gets at the end; nothing is there yet.
        owner: name that no two writers use at a time.

    Raises:
        InputError: if the folder cannot be written.
    """
    partial = out.with_name(f".{out.name}.{owner}.partial")
    shutil.rmtree(partial, ignore_errors=True)
    try:
        make_folder(partial)
        yield partial
    except OSError as error:
        shutil.rmtree(partial, ignore_errors=True)
        raise InputError(f"cannot write model folder {out}: {error.strerror or error}") from error
    except BaseException:
        shutil.rmtree(partial, ignore_errors=True)
        raise
    try:
        name_folder(partial, out)
    except OSError as error:
        raise InputError(f"cannot name model folder {out}: {error.strerror}; it is whole in {partial}") from error


def complete_folder(folder: Path, outcomes: Sequence[Outcome], card: Card) -> pd.DataFrame:
    """Writes scores, learning curves and README into a folder that holds the network or ensemble.

    Returns:
        The scores' means and spreads, see `spread`.
    """
    table = spread([(o.name, o.job.trial, o.job.epochs, o.networks) for o in outcomes], [o.scores for o in outcomes])
    write_json(folder / f"scores-{card.split}.json", {"split": card.split, "scores": as_records(table)})
    curves = curve_table(outcomes)
    curves.to_csv(folder / "learning_curves.csv", index=False)
    draw_curves(curves, folder / "learning_curves.png")
    write_card(folder, card, table)
    return table
