"""What every test stands on: one torch thread, examples that repeat, and one rule for tools that may be missing."""
import os

import hypothesis
import pytest
import torch

from odl_kit import doctor

torch.set_num_threads(1)
hypothesis.settings.register_profile("course", deadline=None, derandomize=True)     # no assertion on time, the same examples every time
hypothesis.settings.load_profile("course")


@pytest.fixture(scope="session")
def need_tool():
    """`need_tool("chromium", "google-chrome", hint="apt install chromium") -> path` of the first of these programs that is installed.

    With none of them the test is skipped, and the reason says what to install; in CI (environment variable CI) it fails, so that nothing
    goes untested unseen.
    """
    def need(*names, hint):
        if path := doctor.find_tool(*names):
            return path
        reason = f"needs {' or '.join(names)}: {hint}"
        pytest.fail(reason) if os.environ.get("CI") else pytest.skip(reason)
    return need
