"""Recipes by name, and with other values."""

from dataclasses import replace
from pathlib import Path

import pytest

from foveate.errors import ConfigError, OptionError, SourceNotFound, UnknownMode
from foveate.training.recipes import RECIPES, Lora, Parallel, Recipe, get_recipe
from foveate.training.settings import describe, lines, override


def test_what_the_paper_says() -> None:
    one, two = get_recipe("stage_one"), get_recipe("stage_two")
    assert (one.optimiser.rate, one.batches.size, one.batches.sequence, one.epochs) == (5e-5, 1280, 4096, 2)
    assert (two.optimiser.rate, two.batches.size, two.batches.sequence) == (3e-5, 640, 8192)
    assert (one.schedule.kind, two.schedule.kind) == ("cosine", "step")
    assert one.frozen == () and two.frozen == ("sam", "compressor")
    assert one.network and one.network.decoder.first_k_dense_replace == one.network.decoder.num_hidden_layers
    assert list(get_recipe("gundam-master").data.modes) == ["gundam-m"]
    paper = get_recipe("paper")
    assert paper.parallel.processes == 160 and paper.accumulation // paper.streams == 16


@pytest.mark.parametrize("name", RECIPES)
def test_every_setting_can_be_written_and_read_again(name: str) -> None:
    recipe = get_recipe(name)
    assert recipe.name == name and override(recipe, list(lines(recipe))) == recipe


def test_values_by_key() -> None:
    recipe = override(
        get_recipe("finetune"),
        [
            "optimiser.rate=1e-3",
            "batches.size=1e2",
            "schedule.kind=constant",
            "data.modes.tiny=1",
            "data.modes.small=3",
            "data.shards=a,b",
            "data.sources.pdfs=papers",
            "optimiser.betas=[0.9, 0.99]",
            "frozen=sam, decoder.layers.0",
            "lora.rank=4",
            "network=nano",
            "network.decoder.num_hidden_layers=2",
            "device=cpu",
            "recompute=true",
        ],
    )
    assert recipe.optimiser.rate == 1e-3 and recipe.optimiser.betas == (0.9, 0.99)
    assert recipe.batches.size == 100 and type(recipe.batches.size) is int
    assert recipe.data.modes == {"tiny": 1.0, "small": 3.0}
    assert recipe.data.shards == (Path("a"), Path("b")) and recipe.data.sources.pdfs == Path("papers")
    assert recipe.frozen == ("sam", "decoder.layers.0") and recipe.lora == Lora(rank=4)
    assert recipe.network and recipe.network.decoder.num_hidden_layers == 2 and recipe.recompute
    assert override(recipe, ["lora=none"]).lora is None


def test_a_file_and_settings_over_it(tmp_path: Path) -> None:
    file = tmp_path / "run.toml"
    file.write_text("steps = 7\n[optimiser]\nrate = 1\nclip = 0.5\n[data]\nmodes = {gundam-m = 1}\n")
    recipe = override(get_recipe("nano"), ["optimiser.rate=0.25"], file)
    assert recipe.steps == 7 and recipe.data.modes == {"gundam-m": 1.0}
    assert (recipe.optimiser.rate, recipe.optimiser.clip) == (0.25, 0.5)


@pytest.mark.parametrize(
    ("setting", "complaint"),
    [
        ("optimiser.rat=1", "there is no setting optimiser.rat: did you mean optimiser.rate?"),
        ("nonsense.at.all=1", "there is no setting nonsense: choose from network, tokenizer"),
        ("name=mine", "there is no setting name"),
        ("steps", "'steps' is no setting: write key=value"),
        ("steps=ten", "steps is 'ten': expected a whole number"),
        ("steps=1.5", "steps is 1.5: expected a whole number"),
        ("steps=true", "steps is True: expected a whole number"),
        ("optimiser=fast", "optimiser is 'fast': expected a table of settings"),
        ("optimiser.betas=[1]", "optimiser.betas is [1]: expected a list of 2"),
        ("schedule.kind=sine", "schedule.kind is 'sine': expected one of cosine, step, linear, constant"),
        ("data.modes=tiny", "data.modes is 'tiny': expected a table"),
        ("data.modes.tiny=0", "data.modes.tiny is 0.0: choose a number over 0"),
        ("batches.size=0", "batches.size is 0: choose 1 or more"),
        ("batches.micro=3", "batches.size is 16: choose a multiple of 3"),
        ("frozen=eyes", "frozen has 'eyes': choose from sam, compressor, clip, projector, decoder"),
        ("checkpoints.every=0", "checkpoints.every is 0"),
    ],
)
def test_mistakes_name_the_key(setting: str, complaint: str) -> None:
    with pytest.raises(OptionError) as problem:
        override(get_recipe("nano"), [setting])
    assert complaint in str(problem.value)


def test_other_mistakes(tmp_path: Path) -> None:
    with pytest.raises(OptionError, match="choose from stage_one"):
        get_recipe("stage_three")
    with pytest.raises(SourceNotFound):
        override(get_recipe("nano"), file=tmp_path / "none.toml")
    (tmp_path / "broken.toml").write_text("steps == 3")
    with pytest.raises(OptionError, match="is no TOML"):
        override(get_recipe("nano"), file=tmp_path / "broken.toml")
    with pytest.raises(UnknownMode):
        override(get_recipe("nano"), ["data.modes.huge=1"])
    with pytest.raises(ConfigError, match="more active experts"):
        override(get_recipe("nano"), ["network.decoder.num_experts_per_tok=9"])


def test_streams_and_accumulation() -> None:
    recipe = Recipe("a", "b", parallel=Parallel(data=2))
    assert recipe.streams == 2 and recipe.accumulation == 8
    with pytest.raises(OptionError, match="multiple of parallel.data"):
        override(recipe, ["data.streams=3", "batches.size=6"])


def test_a_description_is_plain_values() -> None:
    import json

    recipe = replace(get_recipe("finetune"), lora=Lora())
    told = json.loads(json.dumps(describe(recipe)))
    assert told["lora"]["rank"] == 16 and told["optimiser"]["betas"] == [0.9, 0.95]
