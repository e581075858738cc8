"""Options and paths that several tests share."""

from pathlib import Path

import pytest

SHARED = Path(__file__).parents[1].parent / "shared"


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption(
        "--recording", type=Path, help="a parity recording other than ../shared/parity/parity_dev.npz"
    )


@pytest.fixture
def shared() -> Path:
    """The folder of material beside the checkout; the test is skipped without it."""
    if not SHARED.is_dir():
        pytest.skip("needs ../shared")
    return SHARED
