"""`foveate proxy`: its options reach the proxy, and what cannot be is told before it listens."""

from pathlib import Path
from typing import Any

import pytest

pytest.importorskip("httpx")
uvicorn = pytest.importorskip("uvicorn")
pytest.importorskip("uharfbuzz")
from foveate.cli import main  # noqa: E402
from foveate.pages.render import Style, fonts, styles  # noqa: E402
from foveate.serving import proxy  # noqa: E402
from foveate.serving.proxy_settings import ProxySettings  # noqa: E402


@pytest.fixture
def started(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The settings of the proxy, and how it was to listen."""
    if not fonts.families():
        pytest.skip("needs fonts")
    found: list[Any] = []
    monkeypatch.setattr(proxy, "create_proxy", lambda settings: found.append(settings))
    monkeypatch.setattr(uvicorn, "run", lambda app, **how: found.append(how))
    monkeypatch.delenv("FOVEATE_UPSTREAM", raising=False)
    monkeypatch.delenv("FOVEATE_UPSTREAM_KEY", raising=False)
    return found


def test_options_reach_the_proxy(
    started: list[Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("MY_KEY", "secret")
    styles.save(Style(size=9), tmp_path / "s.toml")
    arguments = [
        "--upstream",
        "http://there/v1/",
        "--key-env",
        "MY_KEY",
        "--budget",
        "9000",
        "--quiet",
        "--dry-run",
    ]
    more = [
        "--style",
        str(tmp_path / "s.toml"),
        "--provider",
        "anthropic",
        "--host",
        "0.0.0.0",
        "--port",
        "7",
    ]
    assert main(["proxy", *arguments, *more]) == 0
    settings, how = started
    assert isinstance(settings, ProxySettings)
    assert (settings.upstream, settings.key, settings.budget) == ("http://there/v1", "secret", 9000)
    assert settings.style == Style(size=9) and settings.dry_run and settings.provider == "anthropic"
    assert (how["host"], how["port"]) == ("0.0.0.0", 7)
    assert "upstream's key" in capsys.readouterr().err  # open to others, on our key


def test_upstream_of_the_environment(started: list[Any], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("FOVEATE_UPSTREAM", "http://there/v1")
    assert main(["proxy", "--quiet"]) == 0
    assert started[0].upstream == "http://there/v1" and started[0].key is None


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        ([], "--upstream"),
        (["--upstream", "there"], "https://"),
        (["--upstream", "http://x", "--key-env", "NOT_SET_HERE"], "NOT_SET_HERE"),
        (["--upstream", "http://x", "--provider", "x"], "anthropic"),
        (["--upstream", "http://x", "--style", "x"], "readable"),
        (["--upstream", "http://x", "--tokenizer", "none.json"], "tokenizer"),
    ],
)
def test_what_cannot_be_is_told(
    arguments: list[str], told: str, started: list[Any], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["proxy", *arguments]) == 2
    assert told in capsys.readouterr().err and not started
