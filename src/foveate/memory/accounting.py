"""What turning a history into pages has saved: tokens by kind, and bytes beside them.

Context tokens get fewer, bytes do not: a page's picture is larger than its text.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any


@dataclass(frozen=True)
class LevelCount:
    """The pages of one step of fading."""

    level: int  # 0 is sharp
    images: int
    image_tokens: int
    text_tokens: int  # of the text that stands on them

    @property
    def ratio(self) -> float:
        """Text tokens for each token of the pictures."""
        return self.text_tokens / self.image_tokens if self.image_tokens else 0.0


@dataclass(frozen=True)
class Accounting:
    """Tokens of a history before and after, by an estimate or by the tokenizer that was given.

    `kept` are the tokens that stayed text, by kind: "system", "tools", "kept" (pictures and the like),
    "text".
    """

    provider: str
    budget: int
    before: int
    after: int
    messages: int
    kept: Mapping[str, int] = field(default_factory=dict)
    levels: tuple[LevelCount, ...] = ()
    dropped_messages: int = 0  # the oldest, for which no page was left
    dropped_tokens: int = 0
    missing_characters: int = 0  # that no installed font has
    bytes_before: int = 0  # of the messages as JSON
    bytes_after: int = 0

    @property
    def saved(self) -> int:
        """Tokens."""
        return self.before - self.after

    @property
    def images(self) -> int:
        return sum(level.images for level in self.levels)

    @property
    def image_tokens(self) -> int:
        return sum(level.image_tokens for level in self.levels)

    @property
    def paged_tokens(self) -> int:
        """Text tokens that stand on pages now."""
        return sum(level.text_tokens for level in self.levels)

    @property
    def ratio(self) -> float:
        """Text tokens on pages for each token of their pictures; 0 without pages."""
        return self.paged_tokens / self.image_tokens if self.image_tokens else 0.0

    @property
    def over_budget(self) -> bool:
        """Whether what must stay text alone is more than the budget."""
        return self.after > self.budget

    def to_dict(self) -> dict[str, Any]:
        """As JSON values. No content is in it."""
        more = ("saved", "images", "image_tokens", "paged_tokens", "ratio", "over_budget")
        return {**asdict(self), **{name: getattr(self, name) for name in more}}
