"""Ids of questions and images, as JSON files, spreadsheets and pandas write them."""

import re
import unicodedata
from numbers import Integral, Real

_WHOLE_NUMBER = re.compile(r"(-?(?:0|[1-9]\d*))\.0+", re.ASCII)


def read_id(value: object) -> int | str | None:
    """Returns an id as it is given: a whole number, also one written as 7.0 (pandas does so), or a text.

    A text such as "7.0" becomes "7", since pandas writes such ids into CSV files.

    Returns:
        None for anything else: missing, empty, true or false, NaN, a fraction, a list.
    """
    if isinstance(value, str):
        whole = _WHOLE_NUMBER.fullmatch(value.strip())
        return (whole[1] if whole else value) if value.strip() else None
    if isinstance(value, bool) or not isinstance(value, Real):
        return None
    if isinstance(value, Integral):
        return int(value)
    number = float(value)
    return int(number) if number.is_integer() else None


def id_key(value: int | str) -> str:
    """The key of an id from `read_id`: two ids with the same key are the same.

    1, 1.0, "1" and " 1" have the same key; "007", "4.jpg" and "a" are names of their own.
    """
    return unicodedata.normalize("NFC", str(value).strip())
