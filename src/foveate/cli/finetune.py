"""`foveate finetune`: a trained network learns from pages of your own."""

import argparse
import sys
from pathlib import Path

from foveate.cli import options as shared
from foveate.cli import train
from foveate.errors import OptionError

EXAMPLES = """
examples:
  foveate data make documents --pdfs invoices --out invoices.shards
  foveate finetune invoices.shards --lora --out runs/invoices
  foveate read new.pdf --model runs/invoices/model
  foveate finetune --merge runs/invoices/checkpoints/step-00000100 --out merged
"""


def add_parser(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    """Adds the command to the others."""
    parser = commands.add_parser(
        "finetune",
        help="train a network further on pages of your own",
        description="Trains a network further on shards of foveate data: all of it but SAM and compressor, "
        "or adapters alone (LoRA), which are written as PEFT writes them. With --merge it trains nothing and "
        "puts an adapter into its network's weights.",
        epilog=EXAMPLES,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    add = parser.add_argument
    add("shards", metavar="DIR", nargs="*", type=Path, help="folders of shards; see foveate data")
    add("--out", metavar="DIR", type=Path, required=True, help="folder of the run, or of the merged network")
    model = "nano, a folder, or a name on the Hugging Face hub (default: nano, or what an adapter names)"
    add("--model", metavar="NAME", help=model)
    add("--lora", action="store_true", help="train adapters; the network's own weights stay")
    add("--rank", metavar="N", type=shared.whole_number(1), help="of the adapters (default: 16)")
    rate = "highest learning rate (default: 1e-5, or 2e-4 of adapters)"
    add("--rate", metavar="R", type=float, help=rate)
    add("--epochs", metavar="N", type=float, help="over the shards (default: 1)")
    add("--steps", metavar="N", type=shared.whole_number(1), help="in the place of epochs")
    add("--merge", metavar="DIR", type=Path, help="a folder with an adapter, such as a checkpoint")
    train.add_settings(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> int:
    """Trains or merges. Returns the exit code."""
    if options.merge is not None:
        return _merge(options)
    from foveate.training.finetune import finetuning

    if not options.shards:
        raise OptionError("there is nothing to learn from: name a folder of shards (foveate data make)")
    recipe = finetuning(
        options.shards,
        options.model or "nano",
        options.lora,
        options.rank,
        options.rate,
        options.epochs,
        options.steps,
    )
    return train.run_recipe(recipe, options, options.out)


def _merge(options: argparse.Namespace) -> int:
    from foveate.training.lora import merge

    if options.shards:
        raise OptionError("--merge trains nothing: leave the shards out")
    folder = merge(options.merge, options.out, options.model or "")
    if not options.quiet:
        print(f"{folder}: the network with its adapter (foveate read --model {folder})", file=sys.stderr)
    return 0
