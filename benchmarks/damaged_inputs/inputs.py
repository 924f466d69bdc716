"""Random command lines, and damaged files of a search."""

import json
import pickle
import random
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

from results.run_folder import RunFolder
from tuning.options.search_options import declared_options

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


class Inputs:
    """Random inputs of the commands, made in a folder of their own.

    Args:
        folder: the working directory; holds nothing but `base`.
        data: prepared data; a search on them is the undamaged input.
        base: a search that has ended, whose files are damaged.
    """

    def __init__(self, folder: Path, data: Path, base: RunFolder) -> None:
        self._folder, self._data, self._base = folder, data, base
        self._content = {path: path.read_bytes() for path in base.path.rglob("*") if path.is_file()}

    def make(self, kind: str, rng: random.Random) -> tuple[str, list[str], str]:
        """Makes an input of a kind: the command, its arguments, and what was done in words."""
        self._rng = rng
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
