"""The loop: batches in, steps, checkpoints and metrics out, until the run is over or has to stop."""

from __future__ import annotations

import json
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from foveate.config import OCRConfig
from foveate.errors import ConfigError, OptionError
from foveate.model.source import find_model
from foveate.pages.tokenizer import TOKENIZER_NAME, Tokenizer
from foveate.training import checkpoint, schedule
from foveate.training.feeding import Batch, Feeder, count_modes
from foveate.training.learner import Learned, Learner, make_learner
from foveate.training.losses import routing_statistics
from foveate.training.metrics import Metrics
from foveate.training.readings import choose_trials, read_trials
from foveate.training.recipes import Data, Recipe
from foveate.training.settings import describe
from foveate.training.watch import Watcher

MODEL, RECIPE_NAME = "model", "recipe.json"


def train(recipe: Recipe, out: Path, resume: bool = False, quiet: bool = True) -> Path:
    """Runs a recipe in a folder, to its end. Returns the folder of the trained network, for `Reader.load`.

    With `resume` it goes on from the folder's newest checkpoint, or starts where there is none yet. Raises
    `InputError` for what cannot be run as asked, `ModelError` for networks, and `Diverged` when the loss
    leaves the road.
    """
    if not resume and checkpoint.found(out):
        raise OptionError(
            f"{out} holds a run already: add --resume to go on with it, or choose another folder"
        )
    tokenizer_folder = find_tokenizer(recipe)
    check_length(recipe)
    recipe = replace(recipe, data=fitted(recipe, tokenizer_folder))
    run = Run(recipe, make_learner(recipe), Tokenizer.load(tokenizer_folder), out)
    run.tokenizer_file = tokenizer_folder / TOKENIZER_NAME
    if resume:
        run.resume()
    return run.go(quiet)


def find_tokenizer(recipe: Recipe) -> Path:
    """The folder with the recipe's tokenizer. Raises `OptionError` or `ModelError`."""
    name = recipe.tokenizer or recipe.start.checkpoint
    if not name:
        raise OptionError("tokenizer is not set: name nano, a folder with a tokenizer.json, or a hub id")
    return find_model(name)


def check_length(recipe: Recipe) -> None:
    """A run has to have an end."""
    if not (recipe.steps or recipe.epochs):
        raise OptionError("the run has no end: set steps, or epochs over data.shards")
    if not recipe.steps and not recipe.data.shards:
        raise OptionError("epochs are over shards, and samples made as the run goes have no end: set steps")


def fitted(recipe: Recipe, tokenizer: Path) -> Data:
    """The recipe's data, with texts cut by the run's tokenizer to sequences that it takes."""
    sources, longest = recipe.data.sources, recipe.batches.sequence
    sources = replace(sources, tokenizer=sources.tokenizer or tokenizer, tokens=min(sources.tokens, longest))
    return replace(recipe.data, sources=sources)


def check_pair(tokenizer: Tokenizer, config: OCRConfig) -> None:
    """A tokenizer of another network would ask for places that the network has not."""
    ours = (tokenizer.image, tokenizer.eos)
    theirs = (config.image_token_id, config.decoder.eos_token_id)
    if ours != theirs or len(tokenizer) > config.decoder.vocab_size:
        raise ConfigError(
            f"the tokenizer is not this network's: image token, end and vocabulary are {ours} and "
            f"{len(tokenizer):,}, the network's are {theirs} and {config.decoder.vocab_size:,}: set tokenizer"
        )


class Run:
    """A recipe on its way, in one process of perhaps several."""

    def __init__(self, recipe: Recipe, learner: Learner, tokenizer: Tokenizer, out: Path) -> None:
        check_pair(tokenizer, learner.config)
        self.recipe, self.learner, self.tokenizer, self.out = recipe, learner, tokenizer, out
        self.tokenizer_file: Path | None = None  # copied into checkpoints, which readers open
        self.feeder = Feeder(recipe, tokenizer, learner.streams)
        self.watcher = Watcher(recipe.watch)
        self.trials = choose_trials(recipe) if recipe.readings.every and learner.leads else []
        self.step = 0
        self.last: Path | None = None  # the last checkpoint

    @property
    def progress(self) -> float:
        """The share of the run that is done."""
        if self.recipe.steps:
            return self.step / self.recipe.steps
        size = self.feeder.epoch_size
        assert size is not None, "without an end there are steps"
        return self.learner.total(self.feeder.taken) / (self.recipe.epochs * size)

    def resume(self) -> None:
        """Takes the newest checkpoint, if there is one."""
        found = checkpoint.found(self.out)
        if not found:
            return
        self.last = found[-1]
        state = checkpoint.read_state(self.last)
        self.learner.load(self.last)
        self.feeder.restore(state["data"])
        self.watcher.restore(state["watch"])
        self.step = state["step"]

    def go(self, quiet: bool = True) -> Path:
        """Steps until the end, then writes the network for readers."""
        if self.learner.leads:
            self.out.mkdir(parents=True, exist_ok=True)
            text = json.dumps(describe(self.recipe), indent=1, ensure_ascii=False)
            (self.out / RECIPE_NAME).write_text(text + "\n", encoding="utf-8")
        with self._metrics(quiet) as metrics:
            progress = self.progress
            while progress < 1:
                self._advance(progress, metrics)
                progress = self.progress
                self._keep(over=progress >= 1)
        return self._export()

    def _metrics(self, quiet: bool) -> Metrics | Silence:
        if not self.learner.leads:
            return Silence()
        steps, board = self.recipe.steps or None, self.recipe.metrics.tensorboard
        return Metrics(self.out, self.step, steps, board, quiet)

    def _advance(self, progress: float, metrics: Metrics | Silence) -> None:
        """One step."""
        recipe, started = self.recipe, time.perf_counter()
        batches = self.feeder.step()
        fed = time.perf_counter()
        learned = self.learner.learn(batches, self.step)
        norm = self.learner.clip(recipe.optimiser.clip)
        self.watcher.look(self.step + 1, learned.loss, norm, self.last)
        rate = recipe.optimiser.rate * schedule.factor(recipe.schedule, self.step, progress)
        self.learner.advance(rate)
        self.step += 1
        metrics.tick(learned.loss)
        if self.step % recipe.metrics.every == 0 or self.step == 1:
            seconds = {"seconds": time.perf_counter() - started, "waited": fed - started}
            metrics.add(self._row(batches, learned, norm, rate, seconds))
        if recipe.readings.every and self.step % recipe.readings.every == 0:
            self._read(metrics)

    def _row(
        self,
        batches: Sequence[Batch],
        learned: Learned,
        norm: float,
        rate: float,
        seconds: dict[str, float],
    ) -> dict[str, Any]:
        """One step's metrics. Modes, padding and samples are those of this process's streams."""
        places = sum(batch.ids.numel() for batch in batches)
        present = sum(int(batch.present.sum()) for batch in batches)
        row: dict[str, Any] = {"step": self.step, "loss": learned.loss, "rate": rate, "gradient": norm}
        row |= {"targets": learned.targets, "filled": round(present / places, 4)}
        row |= {"samples": self.feeder.taken, "skipped": self.feeder.skipped, "modes": count_modes(batches)}
        row |= {name: round(value, 4) for name, value in seconds.items()}
        row["tokens_per_second"] = round(present / seconds["seconds"], 1)
        if learned.counts is not None:
            statistics = routing_statistics(learned.counts)
            row["experts"] = {"balance": round(learned.balance, 4)} | {
                name: round(value, 4) for name, value in statistics.items()
            }
        return row

    def _read(self, metrics: Metrics | Silence) -> None:
        reader = self.learner.reader(self.tokenizer)
        if reader is not None and self.trials:
            found = read_trials(reader, self.tokenizer, self.trials, self.recipe.readings.max_tokens)
            metrics.add({"step": self.step, "reading": found})

    def _keep(self, over: bool) -> None:
        """Writes a checkpoint when one is due. While the loss is a spike it waits: the last is to be good."""
        behind = self.step - (checkpoint.step_of(self.last) if self.last else 0)
        if over or (behind >= self.recipe.checkpoints.every and not self.watcher.uneasy):
            self.save()

    def save(self) -> None:
        """Writes a checkpoint, and lets go of those that the rule does not keep."""
        state = {"step": self.step, "watch": self.watcher.state(), "recipe": describe(self.recipe)}
        state["data"] = self.learner.gather(self.feeder.state())

        def fill(folder: Path) -> None:
            self.learner.save(folder)
            if self.learner.leads:
                checkpoint.write_state(folder, state)
                self._add_tokenizer(folder)

        self.last = checkpoint.write(self.out, self.step, fill, self.learner.leads, self.learner.wait)
        if self.learner.leads:
            checkpoint.prune(self.out, self.recipe.checkpoints)

    def _export(self) -> Path:
        folder = self.out / MODEL
        self.learner.export(folder)
        if self.learner.leads:
            self._add_tokenizer(folder)
        self.learner.wait()
        return folder

    def _add_tokenizer(self, folder: Path) -> None:
        if self.tokenizer_file is not None:
            (folder / TOKENIZER_NAME).write_bytes(self.tokenizer_file.read_bytes())


class Silence:
    """The metrics of a process that does not lead."""

    def __enter__(self) -> Silence:
        return self

    def __exit__(self, *problem: object) -> None: ...

    def tick(self, loss: float) -> None: ...

    def add(self, row: dict[str, Any]) -> None: ...
