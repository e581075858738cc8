"""Judge weights by what they name right on the same pages of held-out books, whatever they were trained on.

    python scripts/nano/judge.py                                        # the committed weights
    python scripts/nano/judge.py --run runs/whole --sides 512 640 1024  # a run's last checkpoint

The batches of a training run differ by their type: their shares go from 0.3 to 0.9 from one to the next. Here
each side and type size has a few batches that stay the same. Texts are told up to the token asked for, so
this is quick; `measure.py` says what comes out when the network goes on from its own words.
"""

import argparse
from pathlib import Path

import torch
from batches import ASSETS, Batch, Pages, make_batch
from measure import BANDS
from safetensors.torch import load_file
from teacher import Teacher
from text import TextSource
from train import CHECKPOINT, load, new_teacher

from foveate.model import weights
from foveate.pages.tokenizer import Tokenizer

HELPS = Path(__file__).parent / "helps.safetensors"
SHOWN = ("text", "text_right", "name_right", "sum_name_right", "patch_right", "spot_right")
FAMILIES = (
    "DejaVuSans", "DejaVuSerif", "LiberationSans", "LiberationSerif", "NotoSans", "NotoSerif", "Carlito",
    "OpenSans", "NimbusRoman", "C059", "NimbusSans", "P052", "Caladea",
)  # fmt: skip


def teacher_of(run: Path | None, model: Path, helps: Path) -> Teacher:
    """The network of a run's last checkpoint, or an exported one, with its helps."""
    teacher = new_teacher(0)
    if run is not None:
        if not (run / CHECKPOINT).exists():
            raise SystemExit(f"{run / CHECKPOINT}: no such file; name the folder of a run that has one")
        teacher.load_state_dict(load(run / CHECKPOINT)["teacher"])
        return teacher
    teacher.load_state_dict({k: v.float() for k, v in load_file(helps).items()}, strict=False)
    teacher.model.load_state_dict(weights.load(model, dtype=torch.float32).state_dict())
    return teacher


def batches_of(
    source: TextSource, tokenizer: Tokenizer, side: int, sizes: tuple[int, int], count: int
) -> list[Batch]:
    """Prose of this type on pages of this side, always the same, to be read without boxes."""
    pages = Pages(
        sides=(side,), type_sizes=sizes, families=FAMILIES, degrade=0.15, made_up=0.05, short=0.0,
        longest=900, tokens=1200, patches=6144, markdown=0.0,
    )  # fmt: skip
    return [make_batch(source, tokenizer, pages, 99, step) for step in range(count)]


@torch.no_grad()
def judged(teacher: Teacher, batches: list[Batch]) -> dict[str, float]:
    """Means over the batches: the loss of the text in nats, and shares of what was right."""
    generator = torch.Generator().manual_seed(1)
    found = [teacher.whole_losses(batch, True, generator) for batch in batches]
    return {name: sum(losses[name].item() for losses in found) / len(found) for name in SHOWN}


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    add = parser.add_argument
    add("--run", type=Path, help="folder of a run: its last checkpoint is judged")
    add("--model", type=Path, default=ASSETS, help="else this exported network …")
    add("--helps", type=Path, default=HELPS, help="… with the helps exported with it")
    add("--sides", type=int, nargs="+", default=[512, 640])
    add("--batches", type=int, default=2, help="for each side and type size")
    add("--corpus", default="../shared/corpus")
    add("--cache", default="runs/cache", help="folder for the unpacked text")
    options = parser.parse_args()
    teacher = teacher_of(options.run, options.model, options.helps)
    source, tokenizer = TextSource(options.corpus, "heldout", options.cache), Tokenizer.load(ASSETS)
    print("side  type px ", *SHOWN, sep="  ")
    for side in options.sides:
        for sizes in BANDS:
            batches = batches_of(source, tokenizer, side, sizes, options.batches)
            shares = judged(teacher, batches)
            drawn = "{:.0f}-{:.0f}".format(*Pages(type_sizes=sizes, longest=900).sizes_on(side))
            print(f"{side:4d}  {drawn:8s}", *(f"{shares[name]:{len(name)}.3f}" for name in SHOWN), sep="  ")


if __name__ == "__main__":
    main()
