"""Keeps each network of a retraining as it is trained, so that the same command goes on after an interruption."""

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from results.run_folder import RunFolder
from san_core.command_line import print_message
from san_core.data.prepared import PreparedData
from san_core.errors import InputError
from san_core.files import is_file, make_folder, write_atomically
from san_core.training import EpochResult
from tuning.retraining.plan import Job, Plan, held_out

Weights = Mapping[str, Tensor]

Trained = tuple[Mapping[str, Any], int, Weights]
"""A trained network: its configuration, the epochs it was trained for, and its weights."""


class KeptNetworks:
    """The networks of a retraining that are trained already, in a folder of the run.

    Attributes:
        key: says which trainings on which data these are, and what is tested; another trial, number of seeds or data
            set has another, and so has an ensemble.
        folder: where they are.
    """

    def __init__(self, run: RunFolder, plan: Plan, data: PreparedData) -> None:
        trainings = [[job.trial, job.config.to_dict(), job.epochs] for job in plan.jobs]
        tests = [*(["ensemble"] if plan.ensemble else []), *([plan.split] if plan.split != held_out(data) else [])]
        text = json.dumps([trainings, data.fingerprint, data.splits, *tests], sort_keys=True)
        self.key = hashlib.sha256(text.encode()).hexdigest()[:16]
        self.folder = run.retraining / self.key
        self._jobs = list(plan.jobs)

    @property
    def count(self) -> int:
        """How many are kept."""
        return sum(is_file(self._file(job)) for job in self._jobs)

    @property
    def complete(self) -> bool:
        """Whether all are kept."""
        return self.count == len(self._jobs)

    def all(self) -> dict[Job, list[EpochResult]]:
        """The epochs of each training whose network is kept."""
        found = {}
        for job in self._jobs:
            if is_file(self._file(job)):
                try:
                    found[job] = [EpochResult(**epoch) for epoch in self._load(job)["curve"]]
                except Exception as error:  # noqa: BLE001 - torch raises many kinds; the training is run again
                    print_message(f"{self._file(job)} is damaged and trained again: {str(error).splitlines()[0]}")
        return found

    def trained(self, jobs: Sequence[Job]) -> list[Trained]:
        """The networks of jobs, which are kept."""
        return [(job.config.to_dict(), job.epochs, self._load(job)["weights"]) for job in jobs]

    def keep(self, job: Job, curve: Sequence[EpochResult], weights: Weights) -> None:
        """Keeps a network.

        Raises:
            InputError: if it cannot be written.
        """
        content = {"curve": [asdict(epoch) for epoch in curve], "weights": dict(weights)}
        try:
            make_folder(self.folder, exist_ok=True)
            write_atomically(self._file(job), lambda partial: torch.save(content, partial))
        except (OSError, RuntimeError) as error:  # torch raises the latter when the disk is full
            reason = getattr(error, "strerror", None) or " ".join(str(error).split())
            raise InputError(f"cannot keep the network in {self.folder}: {reason}") from error

    @contextmanager
    def until_done(self) -> Iterator[None]:
        """Deletes them when the block has run; if it fails, tells how many are kept."""
        try:
            yield
        except BaseException:
            if self.count:
                total = len(self._jobs)
                print_message(f"{self.count} of {total} networks are kept in {self.folder}; the same command goes on")
            raise
        shutil.rmtree(self.folder, ignore_errors=True)
        with suppress(OSError):
            self.folder.parent.rmdir()  # where no others are

    def _load(self, job: Job) -> dict[str, Any]:
        content: dict[str, Any] = torch.load(self._file(job), map_location="cpu", weights_only=True)
        return content

    def _file(self, job: Job) -> Path:
        return self.folder / f"network-{self._jobs.index(job)}.pt"
