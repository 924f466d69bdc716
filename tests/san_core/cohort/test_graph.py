"""What capturing a step of the GPU leaves of the process."""

import gc

import pytest

from san_core.cohort.graph import _no_collection


@pytest.mark.parametrize("before", [True, False])
def test_garbage_collection_is_as_it_was(before: bool) -> None:
    """A program may have disabled it."""
    (gc.enable if before else gc.disable)()
    try:
        with _no_collection():
            assert not gc.isenabled()
        assert gc.isenabled() == before
    finally:
        gc.enable()
