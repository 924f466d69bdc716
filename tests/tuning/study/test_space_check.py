"""A user's own search space, in a Python file."""

from pathlib import Path

import pytest
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from san_core.errors import InputError
from search_spaces import load
from search_spaces.space import names
from tuning.study.space_check import load_space

HEAD = """
from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

from search_spaces import SearchSpace

"""


def _write(folder: Path, content: str, name: str = "mine.py") -> str:
    path = folder / name
    path.write_text(content)
    return str(path)


def _space(folder: Path, parameters: str, baseline: str) -> str:
    return _write(folder, f"{HEAD}SPACE = SearchSpace({{{parameters}}}, {{{baseline}}})\n")


def _refusal(path: str) -> str:
    with pytest.raises(InputError) as refused:
        load_space(path)
    assert "\n" not in str(refused.value)
    return str(refused.value)


def test_a_good_file_works(tmp_path: Path) -> None:
    parameters = "'dropout': FloatDistribution(0, 0.5), 'hops': IntDistribution(1, 2), 'precision': CategoricalDist"
    space = load_space(
        _space(tmp_path, f"{parameters}ribution(['auto'])", "'dropout': 0.5, 'hops': 1, 'precision': 'auto'")
    )
    assert space.parameters == {
        "dropout": FloatDistribution(0, 0.5),
        "hops": IntDistribution(1, 2),
        "precision": CategoricalDistribution(["auto"]),
    }
    assert space.baseline == {"dropout": 0.5, "hops": 1, "precision": "auto"}


def test_a_file_may_build_on_a_built_in_space(tmp_path: Path) -> None:
    path = _write(tmp_path, "from search_spaces import load\nSPACE = load('wide').only(['hops', 'dropout'])\n")
    assert set(load_space(path).parameters) == {"hops", "dropout"}


@pytest.mark.parametrize("name", names())
def test_every_built_in_space_can_be_trained(name: str) -> None:
    assert load_space(name) == load(name)


def test_an_unknown_name_is_refused_with_the_known_ones() -> None:
    assert _refusal("sann") == (
        f"unknown search space 'sann'; accepted: {', '.join(names())}, or the path of a Python file"
    )


@pytest.mark.parametrize("name", ["nothing.py", "folder.py", "nothing/mine.py"])
def test_a_missing_file_is_refused(name: str, tmp_path: Path) -> None:
    (tmp_path / "folder.py").mkdir()
    assert _refusal(str(tmp_path / name)) == f"search space {tmp_path / name} does not exist"


@pytest.mark.parametrize(
    ("content", "line", "error"),
    [
        pytest.param("x = 1\ny = 2 2\n", 2, "SyntaxError"),
        pytest.param("x = 1\n\n\nif x:\npass\n", 5, "IndentationError"),
        ("x = 1\n1 / 0\n", 2, "ZeroDivisionError"),
        ("def f():\n    raise KeyError('gone')\n\nf()\n", 2, "KeyError"),
        ("import nothing_of_that_name\n", 1, "ModuleNotFoundError"),
        pytest.param(f"{HEAD}x = FloatDistribution(2, 1)\n", 6, "ValueError"),
        pytest.param(f"{HEAD}SPACE = SearchSpace({{'dropout': (0, 1)}}, {{'dropout': 1}})\n", 6, "Error"),
        pytest.param("x = '\xe9'", 1, "SyntaxError"),
    ],
    ids=["syntax", "indentation", "raises", "raises deeper", "import", "in optuna", "in ours", "not UTF-8"],
)
def test_a_file_that_cannot_be_run_is_refused_with_its_line(
    content: str, line: int, error: str, tmp_path: Path
) -> None:
    path = tmp_path / "mine.py"
    path.write_bytes(content.encode("latin-1"))
    message = _refusal(str(path))
    assert message.startswith(f"{path} cannot be run: ")
    assert error in message
    assert message.endswith(f"({path}, line {line})")


@pytest.mark.parametrize(
    ("content", "found"),
    [
        ("", "None"),
        ("space = 1\n", "None"),
        ("SPACE = {'dropout': 1}\n", "{'dropout': 1}"),
        ("SPACE = 'san'\n", "'san'"),
    ],
    ids=["empty", "another name", "a dict", "a word"],
)
def test_a_file_without_a_space_is_refused(content: str, found: str, tmp_path: Path) -> None:
    path = _write(tmp_path, content)
    assert _refusal(path) == f"{path} must set SPACE to a search_spaces.SearchSpace, but it is {found}"


def test_a_baseline_outside_the_space_is_refused_with_the_files_name(tmp_path: Path) -> None:
    path = _space(tmp_path, "'dropout': FloatDistribution(0, 0.5)", "'dropout': 0.6")
    assert _refusal(path).startswith(f"{path}: baseline must lie inside the space, but has dropout=0.6 outside")


@pytest.mark.parametrize("name", ["droput", "epochs", "seed", "order_seed"])
def test_a_parameter_that_is_no_searchable_training_setting_is_refused(name: str, tmp_path: Path) -> None:
    message = _refusal(_space(tmp_path, f"'{name}': IntDistribution(1, 2)", f"'{name}': 1"))
    assert f"cannot be trained: it searches {name}, accepted: learning_rate, momentum, dropout" in message
    accepted = message.split("accepted: ")[1].split(", ")
    assert "hops" in accepted
    assert not {"epochs", "seed", "order_seed"} & set(accepted)


@pytest.mark.parametrize(
    ("parameter", "baseline", "message"),
    [
        ("'dropout': FloatDistribution(0, 1)", "'dropout': 0.5", "dropout must be a number >= 0 and < 1, but got 1.0"),
        ("'dropout': FloatDistribution(-1, 0.5)", "'dropout': 0", "dropout must be a number .*, but got -1.0"),
        ("'hops': IntDistribution(0, 3)", "'hops': 1", "hops must be a whole number >= 1, but got 0"),
        ("'hops': FloatDistribution(1, 3)", "'hops': 1", "hops must be a whole number >= 1, but got 1.0"),
        (
            "'schedule': CategoricalDistribution(['constant', 'linear', 'step'])",
            "'schedule': 'step'",
            "schedule must be one of constant, step, cosine, but got 'linear'",
        ),
    ],
)
def test_a_value_that_training_refuses_is_refused_before_training(
    parameter: str, baseline: str, message: str, tmp_path: Path
) -> None:
    with pytest.raises(InputError, match=rf"^search space '.*mine\.py' cannot be trained: .*{message}"):
        load_space(_space(tmp_path, parameter, baseline))


def test_all_problems_are_in_one_error(tmp_path: Path) -> None:
    parameters = (
        "'dropout': FloatDistribution(-0.5, 1.5), 'colour': IntDistribution(1, 2), 'hops': IntDistribution(1, 3), "
        "'schedule': CategoricalDistribution(['never', 'always'])"
    )
    message = _refusal(_space(tmp_path, parameters, "'dropout': 0, 'colour': 1, 'hops': 1, 'schedule': 'never'"))
    for part in ("got -0.5", "got 1.5", "it searches colour", "got 'never'", "got 'always'"):
        assert part in message
    assert "hops must" not in message


def test_a_combination_that_training_refuses_is_refused_before_training(tmp_path: Path) -> None:
    parameters = "'question_encoder': CategoricalDistribution(['lstm', 'cnn']), 'hidden_size': IntDistribution(2, 64)"
    path = _space(tmp_path, parameters, "'question_encoder': 'lstm', 'hidden_size': 32")
    with pytest.raises(InputError, match="question_encoder cnn needs hidden_size >= 5, but got 2"):
        load_space(path)
