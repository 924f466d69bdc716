"""The tables of options in docs/ are those that the declarations give."""

from pathlib import Path

import pytest

from san_core.errors import InputError
from tuning.options.search_options import declared_options
from tuning.options.tables import END, START, option_tables, with_tables

PAGE = Path(__file__).parents[3] / "docs" / "searching.md"


def test_the_page_has_the_tables_that_the_declarations_give() -> None:
    page = PAGE.read_text(encoding="utf-8")
    assert page == with_tables(page), "first: python -m tuning.options.tables docs/searching.md"


def test_every_option_is_a_row_with_all_columns() -> None:
    rows = [line for line in option_tables().splitlines() if line.startswith("| `--")]
    assert [row.split("`")[1] for row in rows] == [each.flag for each in declared_options().values()]
    assert all(row.count(" | ") == 4 for row in rows)


def test_only_what_is_between_the_markers_is_replaced() -> None:
    page = with_tables(f"before\n{START}\nold\n{END}\nafter\n")
    assert page == f"before\n{START}\n{option_tables()}\n{END}\nafter\n"
    with pytest.raises(InputError, match="the page must hold the lines"):
        with_tables("before and after")
