"""A run's whole configuration, and the runs that have names.

A recipe is a function that returns a `Recipe`; a run with other values is that recipe with some of them
replaced, from the command line or a TOML file (see `training.settings`).

DeepSeek-OCR (arXiv 2510.18234, section 3.5) gives optimiser, rates, batches and sequences. What it leaves
open, such as warm-up, betas and the weight of the router's loss, is from DeepSeek LLM (arXiv 2401.02954) and
DeepSeek-V2 (arXiv 2405.04434).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal

from foveate.config import DecoderConfig, OCRConfig
from foveate.data.recipes import Sources
from foveate.errors import OptionError
from foveate.pages.mode import AUTO, get_mode

RELEASED = "deepseek-ai/DeepSeek-OCR"
PARTS = ("sam", "compressor", "clip", "projector", "decoder")  # that can be frozen
EVEN = {"tiny": 1.0, "small": 1.0, "base": 1.0, "large": 1.0, "gundam": 1.0}


def _demand(fits: bool, complaint: str) -> None:
    if not fits:
        raise OptionError(complaint)


@dataclass(frozen=True)
class Start:
    """Where the first weights come from; what nothing is named for starts at random.

    `training.start.make_network(recipe)` loads them: a whole checkpoint first, then single parts, so that
    these replace its own. Names are those of `foveate read --model`: nano, a folder, or a hub id.
    """

    checkpoint: str = ""  # a whole network, in the released layout
    encoder: str = ""  # the DeepEncoder of such a checkpoint: SAM, compressor and CLIP
    decoder: str = ""  # the decoder of one
    sam: str = ""  # SAM-base as Hugging Face stores it (`sam`): a folder or a hub id
    clip: str = ""  # CLIP-L as Hugging Face stores it (`clip`)


@dataclass(frozen=True)
class Data:
    """The samples: shards of `foveate data make`, or a data recipe whose samples are made as the run goes."""

    shards: tuple[Path, ...] = ()
    recipe: str = ""  # of `foveate data list`; only without shards
    sources: Sources = Sources()  # of that recipe
    modes: Mapping[str, float] = field(default_factory=lambda: dict(EVEN))  # share of each mode
    max_tiles: int = 9  # of a page in gundam
    seed: int = 0
    workers: int = 0  # processes that make samples ahead; 0: none, they are made in between
    streams: int = 0  # data streams side by side; 0: one for each data-parallel group

    def __post_init__(self) -> None:
        _demand(bool(self.modes), "data.modes is empty: name a mode and its share")
        for name, share in self.modes.items():
            if name != AUTO:
                get_mode(name, self.max_tiles)
            _demand(0 < share < float("inf"), f"data.modes.{name} is {share}: choose a number over 0")
        _demand(self.workers >= 0, f"data.workers is {self.workers}: choose 0 or more")
        _demand(self.streams >= 0, f"data.streams is {self.streams}: choose 0 or more")


@dataclass(frozen=True)
class Batches:
    """How conversations become what one step learns from. A sequence is one row: a pack of conversations."""

    size: int = 8  # sequences of one optimiser step, over all processes
    sequence: int = 8192  # tokens of a sequence at most
    micro: int = 1  # sequences that go through the network at once
    packed: bool = True  # several conversations to a sequence, without attention from one to another
    open_packs: int = 8  # sequences of each mode that wait for a conversation that fits
    multiple: int = 64  # rows are padded to a multiple of it; the sequence itself gives equal shapes

    def __post_init__(self) -> None:
        for name in ("size", "sequence", "micro", "open_packs", "multiple"):
            number = getattr(self, name)
            _demand(number >= 1, f"batches.{name} is {number}: choose 1 or more")


@dataclass(frozen=True)
class Optimiser:
    """AdamW (arXiv 1711.05101). Vectors, such as norms and biases, do not decay."""

    rate: float = 3e-5  # at its highest
    betas: tuple[float, float] = (0.9, 0.95)
    eps: float = 1e-8
    weight_decay: float = 0.1
    clip: float = 1.0  # norm that all gradients together are cut to; 0: not at all

    def __post_init__(self) -> None:
        _demand(self.rate > 0, f"optimiser.rate is {self.rate}: choose a number over 0")
        _demand(self.clip >= 0, f"optimiser.clip is {self.clip}: choose 0 or more")
        _demand(
            all(0 <= beta < 1 for beta in self.betas),
            f"optimiser.betas are {self.betas}: choose numbers from 0 up to 1",
        )


@dataclass(frozen=True)
class Schedule:
    """The rate over a run, as a share of the highest."""

    kind: Literal["cosine", "step", "linear", "constant"] = "cosine"
    warmup: int = 500  # steps in which it rises from nothing
    floor: float = 0.1  # of cosine and linear: where they end
    drops: tuple[tuple[float, float], ...] = ((0.8, 0.316), (0.9, 0.1))  # of step: (share of the run, rate)

    def __post_init__(self) -> None:
        _demand(self.warmup >= 0, f"schedule.warmup is {self.warmup}: choose 0 or more")
        _demand(0 <= self.floor <= 1, f"schedule.floor is {self.floor}: choose a number from 0 to 1")


@dataclass(frozen=True)
class Losses:
    """What is added to the next-token loss."""

    balance: float = 0.001  # weight of the router's balance loss (DeepSeek-V2, section 2.2.3)


@dataclass(frozen=True)
class Lora:
    """Low-rank adapters (arXiv 2106.09685) beside frozen weights, as PEFT has them."""

    rank: int = 16
    alpha: float = 32.0
    dropout: float = 0.0
    # Ends of the released module names; a name like "gate_proj" finds the dense layer and the shared experts.
    targets: tuple[str, ...] = ("q_proj", "k_proj", "v_proj", "o_proj")

    def __post_init__(self) -> None:
        _demand(self.rank >= 1, f"lora.rank is {self.rank}: choose 1 or more")
        _demand(0 <= self.dropout < 1, f"lora.dropout is {self.dropout}: choose a number from 0 up to 1")
        _demand(bool(self.targets), "lora.targets is empty: name the ends of some modules")

    @property
    def scale(self) -> float:
        """What the product of the two matrices is multiplied by."""
        return self.alpha / self.rank


@dataclass(frozen=True)
class Checkpoints:
    """Which of a run's states stay on the disk."""

    every: int = 500  # steps
    last: int = 2  # so many of the newest stay
    keep_every: int = 0  # those at multiples of it stay too; 0: none

    def __post_init__(self) -> None:
        _demand(self.every >= 1, f"checkpoints.every is {self.every}: choose 1 or more")
        _demand(self.last >= 1, f"checkpoints.last is {self.last}: choose 1 or more")
        _demand(self.keep_every >= 0, f"checkpoints.keep_every is {self.keep_every}: choose 0 or more")


@dataclass(frozen=True)
class Watch:
    """When a run is to stop by itself. NaN and infinity always stop it."""

    spike: float = 2.0  # nats over the median of the last losses
    patience: int = 3  # steps in a row over it
    window: int = 50  # steps that the median is taken of


@dataclass(frozen=True)
class Readings:
    """Pages that are read in between, with the precision of what was read."""

    every: int = 0  # steps; 0: never
    shards: tuple[Path, ...] = ()  # held-out pages; none: the recipe's samples with another seed
    count: int = 4  # pages
    max_tokens: int = 512


@dataclass(frozen=True)
class Metrics:
    """What is written down while a run goes."""

    every: int = 10  # steps
    tensorboard: bool = False


@dataclass(frozen=True)
class Parallel:
    """How a run is spread over processes; 1 each: it is not."""

    pipeline: int = 1  # stages that the network is cut into (the paper: 4)
    data: int = 1  # groups that learn from different sequences
    experts: int = 1  # processes of a data-parallel group of groups that share the experts' weights
    microbatches: int = 0  # that a pipeline schedule takes at once; 0: all those of a step
    sharded: bool = False  # data parallel by FSDP2; otherwise each group has everything

    def __post_init__(self) -> None:
        for name in ("pipeline", "data", "experts"):
            number = getattr(self, name)
            _demand(number >= 1, f"parallel.{name} is {number}: choose 1 or more")
        _demand(self.microbatches >= 0, f"parallel.microbatches is {self.microbatches}: choose 0 or more")

    @property
    def processes(self) -> int:
        return self.pipeline * self.data


@dataclass(frozen=True)
class Recipe:
    """Everything that decides what a run does. Raises `OptionError` for values that do not fit together."""

    name: str
    what: str
    network: OCRConfig | None = None  # None: that of the start's checkpoint
    tokenizer: str = ""  # nano, a folder, or a hub id; "": that of the start's checkpoint
    start: Start = Start()
    data: Data = Data()
    batches: Batches = Batches()
    steps: int = 0  # 0: as many as the epochs take
    epochs: float = 0.0  # over shards, and over data recipes that have an end
    optimiser: Optimiser = Optimiser()
    schedule: Schedule = Schedule()
    losses: Losses = Losses()
    frozen: tuple[str, ...] = ()  # parts of the network, by the beginnings of their names
    lora: Lora | None = None
    precision: Literal["auto", "float32", "bfloat16"] = "auto"  # auto: bf16 where matrix units have it
    recompute: bool = False  # activation checkpointing: a third more time, far less memory
    device: str = "auto"
    seed: int = 0  # of random weights and of dropout
    checkpoints: Checkpoints = Checkpoints()
    watch: Watch = Watch()
    readings: Readings = Readings()
    metrics: Metrics = Metrics()
    parallel: Parallel = Parallel()

    def __post_init__(self) -> None:
        _demand(self.steps >= 0, f"steps is {self.steps}: choose 1 or more, or 0 to go by epochs")
        _demand(self.epochs >= 0, f"epochs is {self.epochs}: choose a number over 0, or 0 to go by steps")
        for part in self.frozen:
            _demand(part.split(".")[0] in PARTS, f"frozen has {part!r}: choose from {', '.join(PARTS)}")
        together = self.batches.micro * self.streams
        _demand(
            self.batches.size % together == 0,
            f"batches.size is {self.batches.size}: choose a multiple of {together} "
            f"({self.streams} data streams of {self.batches.micro} sequences at once)",
        )
        _demand(
            self.streams % self.parallel.data == 0,
            f"data.streams is {self.data.streams}: choose a multiple of parallel.data, {self.parallel.data}",
        )

    @property
    def streams(self) -> int:
        """Data streams side by side. What a step learns from depends on their number alone, not on how many
        processes share them."""
        return self.data.streams or self.parallel.data

    @property
    def accumulation(self) -> int:
        """Micro-batches of a step, over all processes."""
        return self.batches.size // self.batches.micro


# OPT-125M's shape (arXiv 2205.01068), the compact language model of Vary, in this decoder's classes.
COMPACT = DecoderConfig(
    hidden_size=768,
    num_hidden_layers=12,
    num_attention_heads=12,
    num_key_value_heads=12,
    intermediate_size=2048,  # gated: three matrices of it weigh what OPT's two of 3,072 do
    first_k_dense_replace=12,
)


def stage_one() -> Recipe:
    """DeepEncoder learns with a compact dense language model by next-token prediction (section 3.5.1)."""
    return Recipe(
        "stage_one",
        "DeepEncoder with a compact dense language model",
        network=OCRConfig(decoder=COMPACT),
        tokenizer=RELEASED,
        data=Data(recipe="default"),
        batches=Batches(size=1280, sequence=4096),
        epochs=2,
        optimiser=Optimiser(rate=5e-5),
        schedule=Schedule("cosine", warmup=500),
        recompute=True,
    )


def stage_two() -> Recipe:
    """The whole network; SAM and the compressor stay as they are (section 3.5.2)."""
    return Recipe(
        "stage_two",
        "the whole network, all modes mixed; SAM and compressor frozen",
        network=OCRConfig(),
        tokenizer=RELEASED,
        data=Data(recipe="default"),
        batches=Batches(size=640, sequence=8192),
        epochs=1,
        optimiser=Optimiser(rate=3e-5),
        schedule=Schedule("step", warmup=500),
        frozen=("sam", "compressor"),
        recompute=True,
    )


def gundam_master() -> Recipe:
    """The trained network goes on with the largest dynamic mode alone (section 3.2.3)."""
    return replace(
        stage_two(),
        name="gundam_master",
        what="the released network goes on with the mode gundam-m",
        network=None,
        tokenizer="",
        start=Start(checkpoint=RELEASED),
        data=Data(recipe="default", modes={"gundam-m": 1.0}),
        optimiser=Optimiser(rate=1e-5),
    )


def paper() -> Recipe:
    """Stage two on the paper's layout: 20 machines of 8 GPUs, pipelines of 4, 40 data-parallel groups."""
    return replace(
        stage_two(),
        name="paper",
        what="stage_two on 160 GPUs: 4 pipeline stages, 40 data-parallel groups",
        parallel=Parallel(pipeline=4, data=40),
    )


def nano_encoder() -> Recipe:
    """Stage one in small: the encoder of nano with a dense decoder of its width."""
    from foveate.data.recipes import nano as folder

    whole = OCRConfig.load(folder())
    layers = whole.decoder.num_hidden_layers
    return Recipe(
        "nano_encoder",
        "nano's DeepEncoder with a dense decoder, on rendered pages",
        network=replace(whole, decoder=replace(whole.decoder, first_k_dense_replace=layers)),
        tokenizer="nano",
        data=Data(recipe="rendered", modes={"tiny": 1.0, "small": 1.0}, workers=1),
        batches=Batches(size=16, sequence=2048, micro=4),
        steps=20_000,
        optimiser=Optimiser(rate=1e-3, weight_decay=0.01),
        schedule=Schedule("cosine", warmup=200),
        readings=Readings(every=500),
    )


def nano() -> Recipe:
    """Stage two in small: nano, its encoder and its decoder together, in the modes without tiles."""
    from foveate.data.recipes import nano as folder

    return replace(
        nano_encoder(),
        name="nano",
        what="nano from random weights, or from nano_encoder's, on rendered pages",
        network=OCRConfig.load(folder()),
        losses=Losses(balance=0.01),
    )


def nano_modes() -> Recipe:
    """The embedded nano goes on in all modes that it reads."""
    return replace(
        nano(),
        name="nano_modes",
        what="nano goes on in tiny, small, base and gundam",
        network=None,
        tokenizer="",
        start=Start(checkpoint="nano"),
        data=Data(
            recipe="rendered", modes={"tiny": 1.0, "small": 1.0, "base": 1.0, "gundam": 1.0}, workers=1
        ),
        batches=Batches(size=16, sequence=4096, micro=1),
        steps=5_000,
        optimiser=Optimiser(rate=2e-4, weight_decay=0.01),
    )


def finetune(model: str = "nano", lora: bool = False) -> Recipe:
    """A trained network learns from a user's own pages: all of it but SAM and compressor, or adapters alone.

    The rates are common ones: about a third of the last stage's for whole weights, ten times as much for
    adapters, which start at zero.
    """
    return Recipe(
        "finetune",
        "a trained network goes on with pages of your own",
        start=Start(checkpoint=model),
        data=Data(modes={AUTO: 1.0}),
        # Not packed: a small set would go into a few rows, and an epoch of it would be no step at all.
        batches=Batches(size=8, sequence=4096, packed=False),
        epochs=1,
        optimiser=Optimiser(rate=2e-4 if lora else 1e-5, weight_decay=0.0),
        schedule=Schedule("cosine", warmup=10),
        frozen=() if lora else ("sam", "compressor"),
        lora=Lora() if lora else None,
        checkpoints=Checkpoints(every=100),
    )


RECIPES: dict[str, Callable[[], Recipe]] = {
    recipe.__name__: recipe
    for recipe in (stage_one, stage_two, gundam_master, paper, nano_encoder, nano, nano_modes, finetune)
}


def get_recipe(name: str) -> Recipe:
    """The recipe of that name. Raises `OptionError`."""
    key = name.replace("-", "_")
    if key not in RECIPES:
        raise OptionError(f"{name!r} is no recipe: choose from {', '.join(RECIPES)}")
    return RECIPES[key]()
