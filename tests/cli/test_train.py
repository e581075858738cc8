"""`foveate train` and `foveate finetune`."""

import json
from pathlib import Path

import pytest

from foveate.cli import main
from foveate.engine.reader import Reader
from foveate.training.recipes import RECIPES, get_recipe
from foveate.training.settings import override
from tests.training import world

Capture = pytest.CaptureFixture[str]


def test_show_prints_settings_that_can_be_set(folder: Path, capsys: Capture) -> None:
    (folder / "run.toml").write_text("steps = 7\n[optimiser]\nrate = 0.5\n")
    assert main(["train", "nano", "--show", "--config", "run.toml", "--set", "optimiser.clip=2"]) == 0
    printed = capsys.readouterr().out.splitlines()
    assert {"steps=7", "optimiser.rate=0.5", "optimiser.clip=2.0"} <= set(printed)
    wanted = override(get_recipe("nano"), ["steps=7", "optimiser.rate=0.5", "optimiser.clip=2"])
    assert override(get_recipe("nano"), printed) == wanted and not (folder / "runs").exists()


def test_train_and_resume(folder: Path, capsys: Capture) -> None:
    recipe = world.recipe(folder)
    settings = ["steps=2", "metrics.every=1", "checkpoints.every=1", "batches.size=1", "data.shards=shards"]
    settings += ["batches.sequence=192", "data.modes={tiny = 1}", "readings.every=0", "device=cpu"]
    settings += [f"start.checkpoint={recipe.start.checkpoint}", "network=none", "tokenizer=start"]
    settings += ["batches.micro=1", "precision=float32"]
    command = ["train", "nano", "--out", "run", *(part for value in settings for part in ("--set", value))]
    assert main(command) == 0
    assert "run/model: the trained network" in capsys.readouterr().err
    assert main(command) == 2
    assert capsys.readouterr().err.startswith("foveate: run holds a run already: add --resume")
    assert main([*command, "--resume", "--set", "steps=3", "--quiet"]) == 0
    assert capsys.readouterr() == ("", "")
    rows = [json.loads(line) for line in (folder / "run" / "metrics.jsonl").read_text().splitlines()]
    assert [row["step"] for row in rows] == [1, 2, 3]


def test_finetune_and_merge(folder: Path, capsys: Capture) -> None:
    world.shards(folder / "mine", 8), world.checkpoint(folder / "base")
    command = ["finetune", "mine", "--model", "base", "--out", "run", "--steps", "1", "--rank", "2"]
    assert main([*command, "--set", "batches.size=2"]) == 0
    merge = ["finetune", "--merge", "run/checkpoints/step-00000001", "--out", "merged"]
    assert main(merge) == 0
    assert "merged: the network with its adapter" in capsys.readouterr().err
    assert Reader.load("merged").read(world.sample(0).image, mode="tiny", max_tokens=1).pages


@pytest.mark.parametrize(
    ("command", "complaint"),
    [
        ("train stage_three", "'stage_three' is no recipe: choose from stage_one"),
        ("train nano --set optimiser.rat=1", "did you mean optimiser.rate?"),
        ("train nano --config none.toml", "none.toml: no such file"),
        ("train nano", "the recipe rendered needs a source: give --text FILE"),
        ("train nano --set data.shards=none", "none: no such folder or shard"),
        ("finetune --out run", "there is nothing to learn from"),
        ("finetune --merge none --out run", "none holds no adapter_config.json"),
        ("finetune mine --merge none --out run", "--merge trains nothing"),
        ("finetune mine --out run --rate -1", "optimiser.rate is -1.0"),
    ],
)
def test_mistakes_end_with_2(folder: Path, capsys: Capture, command: str, complaint: str) -> None:
    assert main(command.split()) == 2
    out, err = capsys.readouterr()
    assert out == "" and err.startswith("foveate: ") and complaint in err and err.count("\n") == 1
    assert list(folder.iterdir()) == []


def test_help_names_every_recipe(capsys: Capture) -> None:
    with pytest.raises(SystemExit):
        main(["train", "--help"])
    text = capsys.readouterr().out
    for name in RECIPES:
        assert f"\n  {name:<14} {get_recipe(name).what}" in text
