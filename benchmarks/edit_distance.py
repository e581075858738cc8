"""Seconds of the processor to score pages by the edit distance of their characters, and by every measure.

A page is words drawn by dice; what was read of it has each character wrong, missing or doubled with a given
chance. The target: 1,000 pages of 5,000 characters in less than 5 s.
"""

import argparse
import random
import string
import time

from foveate.evaluation import text_metrics

TARGET = 5.0  # seconds


def page(dice: random.Random, characters: int) -> str:
    """Words of 2 to 10 letters."""
    words, length = [], 0
    while length < characters:
        words.append("".join(dice.choices(string.ascii_lowercase, k=dice.randint(2, 10))))
        length += len(words[-1]) + 1
    return " ".join(words)[:characters]


def misread(dice: random.Random, text: str, chance: float) -> str:
    """The text with errors."""
    wrong = (lambda sign: dice.choice(string.ascii_lowercase), lambda sign: "", lambda sign: 2 * sign)
    return "".join(dice.choice(wrong)(sign) if dice.random() < chance else sign for sign in text)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--pages", type=int, default=1000)
    parser.add_argument("--characters", type=int, default=5000)
    parser.add_argument("--all", type=int, default=50, help="pages that are scored by every measure")
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    print("errors  pages  mean similarity  CPU s  target")
    for chance in (0.02, 0.2, 0.8):
        dice = random.Random(options.seed)
        truths = [page(dice, options.characters) for _ in range(options.pages)]
        pairs = [(truth, misread(dice, truth, chance)) for truth in truths]
        started = time.process_time()
        total = sum(text_metrics.edit_similarity(*pair) for pair in pairs)
        seconds = time.process_time() - started
        print(f"{chance:6.2f}  {len(pairs):5}  {total / len(pairs):15.3f}  {seconds:5.2f}  {TARGET:6.1f}")
        some = pairs[: options.all]
        text_metrics.measure(*some[0])
        started = time.process_time()
        for pair in some:
            text_metrics.measure(*pair)
        each = (time.process_time() - started) / len(some)
        print(f"        every measure: {1000 * each:.1f} ms a page")


if __name__ == "__main__":
    main()
