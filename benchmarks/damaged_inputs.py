"""`python -m benchmarks.damaged_inputs`: gives the commands random and damaged inputs, and counts what goes wrong.

Whatever a user types, and whatever has become of a file, a command ends with exit code 0, or with 2 and one line that
says what is wrong (1 where that is documented), and leaves nothing half-written.
"""

import argparse
import contextlib
import io
import json
import pickle
import random
import shutil
import sys
import tempfile
import time
import traceback
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from unittest.mock import patch

from results import __main__ as results_command
from results.report import html
from results.run_folder import RunFolder
from san_core.command_line import path as path_argument
from san_core.command_line import run_command
from san_core.config import TrainingConfig
from san_core.data.prepared import PreparedData
from san_core.training import EpochResult, Training
from tuning import retrain, search
from tuning.execution.checkpoints import Checkpoints
from tuning.options.command_line import parse_options
from tuning.options.search_options import declared_options
from tuning.planning.new_search import new_plan
from tuning.study.live_trial import Epoch
from tuning.study.open_study import open_search

NASTY = (
    *("", " ", "0", "-1", "1", "3", "1e999", "nan", "-inf", "1.5", "9" * 30, "0x10", "+2", "+0.5", "90s", "2h", "-3m"),
    *("auto", "none", "None", "null", "true", "[]", "{}", "../..", "/", ".", "a/b", "~", "a\nb", "\x00", "\ud800", "ä"),
    *("san", "wide", "tpe", "gp", "grid", "halving", "median", "accuracy", "wups@0.9", "vqa", "data"),
    *(
        "x=1",
        "hops=0",
        "hops=2",
        "dropout=2",
        "dropout=nan",
        "=",
        "hops=",
        "batch_size=1e9",
        "schedule=cosine",
        "seed=1",
    ),
    *(
        "file:///x",
        "s3://",
        "http://[",
        "https://",
        "--",
        "-",
        "--run",
        "%s",
        "{0}",
        "x" * 5000,
        "base",
        "base/",
        "space.py",
    ),
    *("first.json", "settings.json", "127.0.0.1:1", "SAN(1,CNN)", "SAN(2,LSTM)", "mlflow", "wandb"),
)
"""Values of options, and of what is in a file."""

VALUES: tuple[Any, ...] = (
    None,
    True,
    False,
    0,
    -1,
    1,
    2**70,
    0.5,
    -0.5,
    1e308,
    float("nan"),
    float("inf"),
    "",
    "x",
    [],
    {},
    [[]],
    [None],
)
"""Values in the place of others in JSON."""

SPACE = """from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution
from search_spaces import SearchSpace
SPACE = SearchSpace(
    parameters={
        "learning_rate": FloatDistribution(1e-5, 1e-2, log=True),
        "hops": IntDistribution(1, 3),
        "attention": CategoricalDistribution(["paper", "bounded"]),
    },
    baseline={"learning_rate": 4e-4, "hops": 2, "attention": "paper"},
)
"""

ACCEPTED = {"new": {0, 1, 2}, "resume": {0, 1, 2}, "results": {0, 2}, "retrain": {0, 1, 2}}
"""Exit codes of each command; 1 means that no trial is complete, or that a score was not reached again."""


@dataclass
class Found:
    """What went wrong.

    Attributes:
        cases: number of inputs of each kind.
        codes: number of each exit code.
        faults: the first input, in words, of each fault.
        counts: number of times of each fault.
    """

    cases: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    faults: dict[str, str] = field(default_factory=dict)
    counts: Counter[str] = field(default_factory=Counter)


class Inputs:
    """Random inputs of the commands, made in a folder of their own.

    Args:
        folder: an empty folder, the working directory.
        data: prepared data; a search on them is the undamaged input.
        rng: random numbers.
    """

    def __init__(self, folder: Path, data: Path, rng: random.Random) -> None:
        self._folder, self._data, self._rng = folder, data, rng
        self._base = _small_search(data)
        self._content = {path: path.read_bytes() for path in self._base.path.rglob("*") if path.is_file()}

    def make(self, kind: str) -> tuple[str, list[str], str]:
        """Makes an input of a kind: the command, its arguments, and what was done in words."""
        made: tuple[str, list[str], str] = getattr(self, f"_{kind}")()
        return made

    def restore(self) -> None:
        """Puts the folder back as it was."""
        for path in [*self._folder.glob("*"), *self._folder.glob("runs/*")]:
            if path not in (self._base.path, self._base.path.parent):
                shutil.rmtree(path) if path.is_dir() else path.unlink()
        for path in [path for path in self._base.path.rglob("*") if path.is_file()]:
            if path not in self._content:
                path.unlink()
        for path, content in self._content.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    def _command_lines(self) -> tuple[str, list[str], str]:
        arguments = []
        for declared in self._rng.sample(list(declared_options().values()), self._rng.randint(1, 4)):
            if isinstance(declared.default, bool):
                arguments.append(declared.flag)
            else:
                arguments += [declared.flag, self._rng.choice(NASTY)]
        if "--address" in arguments:
            arguments[arguments.index("--address") + 1] = "127.0.0.1:1"  # others would look for a cluster for a while
        start = [] if "--data" in arguments else ["--data", str(self._data)]
        return "new", [*start, *arguments], " ".join(map(repr, arguments))

    def _spaces(self) -> tuple[str, list[str], str]:
        text = self._damaged(SPACE.encode())
        for _ in range(self._rng.randint(0, 2)):
            word = self._rng.choice(["1e-5", "1e-2", "1", "3", '"paper"', "log=True", "4e-4", "2", '"hops"', "SPACE"])
            text = text.replace(word.encode(), self._rng.choice(NASTY).encode(errors="replace"), 1)
        (self._folder / "space.py").write_bytes(text)
        return "new", ["--data", str(self._data), "--space", "space.py"], repr(text)

    def _configurations(self) -> tuple[str, list[str], str]:
        entries = [{"learning_rate": 1e-3, "dropout": 0.5}, {"embedding_size": 500}, {"momentum": 0.5}]
        text = self._damaged_json(json.dumps(entries).encode())
        (self._folder / "first.json").write_bytes(text)
        return "new", ["--data", str(self._data), "--try", "first.json"], repr(text)

    def _settings(self) -> tuple[str, list[str], str]:
        return self._on_run(self._damage_file(self._base.settings_file, self._damaged_json))

    def _journals(self) -> tuple[str, list[str], str]:
        return self._on_run(self._damage_file(self._base.journal, self._damaged_lines))

    def _other_files(self) -> tuple[str, list[str], str]:
        files = [
            path for path in self._content if path.suffix in (".json", ".csv") and path != self._base.settings_file
        ]
        return self._on_run(self._damage_file(self._rng.choice(files), self._damaged_json))

    def _checkpoints(self) -> tuple[str, list[str], str]:
        file = self._rng.choice([path for path in self._content if path.suffix == ".pt"])
        return "resume", ["--resume", "base"], self._damage_file(file, self._damaged)

    def _on_run(self, what: str) -> tuple[str, list[str], str]:
        command = self._rng.choice(["results", "resume", "resume", "retrain"])
        return command, {"results": ["base"], "resume": ["--resume", "base"], "retrain": ["base"]}[command], what

    def _damage_file(self, path: Path, damage: Callable[[bytes], bytes]) -> str:
        content = damage(self._content[path])
        path.write_bytes(content)
        return f"{path.name}: {content[:3000]!r}"

    def _damaged(self, content: bytes) -> bytes:
        """Bytes cut off, left out, doubled, replaced or added somewhere."""
        start = self._rng.randint(0, len(content))
        end = min(len(content), start + self._rng.choice([0, 1, 1, 8, 300]))
        middle = self._rng.choice(
            [b"", b"\0" * (end - start), self._rng.randbytes(end - start), content[start:end] * 2, b"\n", b'"', b"{}"]
        )
        return self._rng.choice(
            [content[:start], b"", pickle.dumps({"a": 1}), content, *[content[:start] + middle + content[end:]] * 9]
        )

    def _damaged_json(self, content: bytes) -> bytes:
        """The same of JSON, or another value in the place of one."""
        if self._rng.random() < 0.2 or not _is_json(content):
            return self._damaged(content)
        tree = json.loads(content)
        for _ in range(self._rng.choice([1, 1, 1, 3])):
            tree = self._changed(tree)
        return json.dumps(tree).encode()

    def _damaged_lines(self, content: bytes) -> bytes:
        """The same of one or more lines of JSON, or lines left out, doubled or exchanged."""
        lines = content.splitlines(keepends=True)
        for _ in range(self._rng.choice([1, 1, 1, 4])):
            place, other = (self._rng.randrange(len(lines)) for _ in range(2))
            act = self._rng.random()
            if act < 0.6:
                lines[place] = (
                    self._damaged_json(lines[place].strip() or b"{}") + b"\n" if _is_json(lines[place]) else b""
                )
            elif act < 0.7:
                lines[place] = b""
            elif act < 0.8:
                lines[place] += lines[place]
            else:
                lines[place], lines[other] = lines[other], lines[place]
        return b"".join(lines) if self._rng.random() < 0.8 else self._damaged(content)

    def _changed(self, tree: Any) -> Any:  # noqa: ANN401 - JSON
        """JSON with one value changed or left out."""
        if not isinstance(tree, dict | list) or not tree or self._rng.random() < 0.1:
            return self._rng.choice([*VALUES, self._rng.choice(NASTY)])
        key = self._rng.choice(list(tree) if isinstance(tree, dict) else list(range(len(tree))))
        tree = tree.copy()
        if self._rng.random() < 0.15:
            del tree[key]
        else:
            tree[key] = self._changed(tree[key])
        return tree


KINDS = ("command_lines", "spaces", "configurations", "settings", "journals", "other_files", "checkpoints")
"""Kinds of inputs."""


def _is_json(line: bytes) -> bool:
    try:
        json.loads(line)
    except ValueError:
        return False
    return True


def _small_search(data: Path) -> RunFolder:
    """A search of three trials in `runs/base` that has ended, without Ray; scores are made up."""
    sizes = ("hidden_size=8", "attention_size=8", "embedding_size=8", "batch_size=32")
    fixed = [part for size in sizes for part in ("--set", size)]
    options = [
        "--data",
        str(data),
        "--run",
        "base",
        "--trials",
        "3",
        "--epochs",
        "2",
        "--confirm",
        "0",
        "--no-dashboard",
    ]
    plan = new_plan(parse_options([*options, "--concurrent", "1", *fixed]))
    study = open_search(plan.run, plan.space, plan.rules, first_trials=plan.first_trials)
    prepared = PreparedData.open(data)
    while live := study.ask():
        number = live.trial.number
        for epoch in (1, 2):
            if not study.report(number, Epoch(epoch, 0.3 + 0.1 * number + 0.01 * epoch, 1.0 * epoch, worker="here")):
                break
        training = Training(TrainingConfig.from_dict({**plan.setup.fixed, **live.settings}), prepared)
        Checkpoints(str(plan.run.checkpoints.resolve() / "search")).save(
            number, training, EpochResult(2, 1.0, 0.5, 0.1, "")
        )
        study.finish(number)
    study.record_end()
    with contextlib.redirect_stderr(io.StringIO()), contextlib.redirect_stdout(io.StringIO()):
        _run("resume", ["--resume", "base"])
    return RunFolder(plan.run.path.resolve())


def _run(command: str, arguments: list[str]) -> tuple[int, str]:
    """Runs a command in this process, without Ray; returns its exit code and what it said on stderr."""
    mains: Mapping[str, Callable[[], int | None]] = {
        "new": search.main,
        "resume": search.main,
        "results": results_command.main,
        "retrain": retrain.main,
    }
    said = io.StringIO()
    with (
        patch.object(sys, "argv", [command, *arguments]),
        patch.object(search, "_run", lambda *_: None),
        patch.object(retrain, "run_jobs", lambda *_, **__: sys.exit(0)),
        patch.object(html, "get_plotlyjs", lambda: ""),
        contextlib.redirect_stderr(said),
        contextlib.redirect_stdout(io.StringIO()),
    ):
        try:
            run_command(mains[command])
        except SystemExit as end:
            return int(end.code or 0), said.getvalue()


def _fault(command: str, arguments: list[str], files: Path) -> tuple[str, int]:
    """What is wrong with how a command ended, in words, empty for nothing; and the exit code."""
    before = _tree(files)
    try:
        code, said = _run(command, arguments)
    except BaseException as error:  # noqa: BLE001 - whatever it is, it is a fault
        frames = traceback.extract_tb(error.__traceback__)
        ours = [
            frame for frame in frames if "site-packages" not in frame.filename and "/lib/python" not in frame.filename
        ]
        return f"{type(error).__name__} in {Path(ours[-1].filename).name} {ours[-1].name} line {ours[-1].lineno}", -1
    if code not in ACCEPTED[command]:
        return f"exit code {code}", code
    lines = [
        line for line in said.splitlines() if not line.startswith(("run folder ", "--prior ", "There is no gallery"))
    ]
    if code == 2 and len(lines) != 1:
        return f"{command}: {len(lines)} lines: {said[:200]!r}", code
    left = [path.name for path in files.rglob("*.partial")]
    if left:
        return f"left {left}", code
    if code == 2 and command == "new" and (made := _tree(files) - before):
        return f"{command}: exit code 2, and made {sorted(made)[:3]}", code
    return "", code


def _tree(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if not path.name.endswith(".lock")}


@contextlib.contextmanager
def _folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory() as name, contextlib.chdir(name):
        yield Path(name)


def give_inputs(data: Path, count: int, seed: int, tell: Callable[[str], object] = lambda _: None) -> Found:
    """Gives the commands random inputs, the same for the same seed, and returns what went wrong.

    Args:
        data: prepared data, on which a search starts at once.
        count: number of inputs.
        seed: seed of the random numbers.
        tell: function called with a line for each new fault, and after every 500 inputs.
    """
    found = Found()
    with _folder() as folder:
        inputs = Inputs(folder, data.resolve(), random.Random(seed))
        for number in range(count):
            kind = KINDS[number % len(KINDS)]
            command, arguments, what = inputs.make(kind)
            fault, code = _fault(command, arguments, folder)
            found.cases[kind] += 1
            found.codes[code] += 1
            if fault:
                found.counts[fault] += 1
                if fault not in found.faults:
                    found.faults[fault] = f"{kind}, {command}, input {number}: {what}"
                    tell(f"{fault}: {found.faults[fault][:400]}")
            inputs.restore()
            if number % 500 == 499:
                tell(f"{number + 1} inputs, exit codes {dict(found.codes)}, {len(found.faults)} kinds of faults")
    return found


def main() -> int:
    """Gives the commands random inputs and prints what went wrong."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.damaged_inputs", description=main.__doc__)
    parser.add_argument(
        "--data", type=path_argument, default=Path("data/easy-vqa"), help="prepared data (default: %(default)s)"
    )
    parser.add_argument("--inputs", type=int, default=10_000, help="number of inputs (default: %(default)s)")
    parser.add_argument("--seed", type=int, default=0, help="of the inputs (default: %(default)s)")
    options = parser.parse_args()
    began = time.monotonic()
    found = give_inputs(options.data, options.inputs, options.seed, lambda line: print(line, flush=True))
    print(f"{options.inputs} inputs, seed {options.seed}, {time.monotonic() - began:.0f} s: {dict(found.cases)}")
    print(f"exit codes {dict(found.codes)}; {sum(found.counts.values())} faults of {len(found.faults)} kinds")
    return int(bool(found.faults))


if __name__ == "__main__":
    sys.exit(main())
