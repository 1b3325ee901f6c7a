"""Which tests are wide: what takes many cases to say, or a whole gateway of one's own, is left out of the quick run."""

from pathlib import Path

import pytest

_SANDBOX = Path(__file__).parent / "mediascribe/sandbox"


def pytest_collection_modifyitems(items):
    for item in items:
        hypothesis = getattr(getattr(item, "obj", None), "is_hypothesis_test", False)
        if hypothesis or _SANDBOX in item.path.parents:
            item.add_marker(pytest.mark.wide)
