"""`foveate train`: a recipe, run to its end."""

import argparse
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from foveate.training.recipes import Recipe

RECIPES = """
recipes:
  stage_one      DeepEncoder with a compact dense language model
  stage_two      the whole network, all modes mixed; SAM and compressor frozen
  gundam_master  the released network goes on with the mode gundam-m
  paper          stage_two on 160 GPUs: 4 pipeline stages, 40 data-parallel groups
  nano_encoder   nano's DeepEncoder with a dense decoder, on rendered pages
  nano           nano from random weights, or from nano_encoder's, on rendered pages
  nano_modes     nano goes on in tiny, small, base and gundam
  finetune       a trained network goes on with pages of your own; see foveate finetune

A run that was stopped, however it was, goes on with the same command and --resume.
Several processes: torchrun --nproc-per-node N -m foveate train RECIPE --set parallel.data=N
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "train",
        help="train a network",
        description="Trains a network by a recipe. A folder gets checkpoints, each readable by foveate read "
        "--model, metrics as lines of JSON, and at the end the trained network.",
        epilog=RECIPES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", metavar="RECIPE", help="see below")
    parser.add_argument("--out", metavar="DIR", type=Path, help="folder of the run (default: runs/RECIPE)")
    add_settings(parser)
    parser.set_defaults(run=run)


def add_settings(parser: argparse.ArgumentParser) -> None:
    """What trainings have in common."""
    add = parser.add_argument
    add("--resume", action="store_true", help="go on from the newest checkpoint, if there is one")
    value = "another value, such as optimiser.rate=1e-4; may be given more than once"
    add("--set", metavar="KEY=VALUE", dest="settings", action="append", default=[], help=value)
    add("--config", metavar="FILE", type=Path, help="values from a TOML file; --set goes over them")
    add("--show", action="store_true", help="print every setting as KEY=VALUE, and train nothing")
    add("--quiet", action="store_true", help="no progress and no summary, only problems")


def run(options: argparse.Namespace) -> int:
    """Trains. Returns the exit code."""
    from foveate.training.recipes import get_recipe

    recipe = get_recipe(options.recipe)
    return run_recipe(recipe, options, options.out or Path("runs") / recipe.name)


def run_recipe(recipe: "Recipe", options: argparse.Namespace, out: Path) -> int:
    """Trains by a recipe with the settings of the command line. Returns the exit code."""
    from foveate.training.settings import lines, override

    recipe = override(recipe, options.settings, options.config)
    if options.show:
        print("\n".join(lines(recipe)))
        return 0
    from foveate.training.loop import train

    model = train(recipe, out, options.resume, options.quiet)
    if not options.quiet and os.environ.get("RANK", "0") == "0":  # torchrun's number of this process
        print(f"{model}: the trained network (foveate read --model {model})", file=sys.stderr)
    return 0
