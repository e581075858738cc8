"""Text to token ids and back, by a checkpoint's own `tokenizer.json`."""

from collections.abc import Sequence
from pathlib import Path

from tokenizers import Tokenizer as HuggingFaceTokenizer
from tokenizers.decoders import DecodeStream

from foveate.errors import ConfigError, ModelNotFound
from foveate.pages.prompts import IMAGE

TOKENIZER_NAME = "tokenizer.json"
BEGIN, END = "<｜begin▁of▁sentence｜>", "<｜end▁of▁sentence｜>"


class Tokenizer:
    """A byte-level BPE with the released special tokens."""

    def __init__(self, inner: HuggingFaceTokenizer) -> None:
        self._inner = inner
        inner.no_truncation()
        inner.no_padding()
        self.bos, self.eos, self.image = (self.id_of(token) for token in (BEGIN, END, IMAGE))

    @classmethod
    def load(cls, folder: Path) -> "Tokenizer":
        """Reads `tokenizer.json` of a folder. Raises `ModelNotFound` or `ConfigError`."""
        path = folder / TOKENIZER_NAME
        if not path.is_file():
            raise ModelNotFound(
                f"{folder} holds no {TOKENIZER_NAME}: put the checkpoint's tokenizer beside it"
            )
        try:
            inner = HuggingFaceTokenizer.from_file(str(path))
        except Exception as problem:  # the library raises bare Exception
            raise ConfigError(f"{path} is not a tokenizer ({problem}): fetch it again") from problem
        return cls(inner)

    def __len__(self) -> int:
        return self._inner.get_vocab_size()

    def __contains__(self, token: str) -> bool:
        return self._inner.token_to_id(token) is not None

    def id_of(self, token: str) -> int:
        """The id of one special token. Raises `ConfigError` when there is none."""
        number = self._inner.token_to_id(token)
        if number is None:
            raise ConfigError(f"the tokenizer has no token {token!r}: it does not belong to this network")
        return number

    def encode(self, text: str) -> list[int]:
        """Ids without a beginning or an end."""
        return self._inner.encode(text, add_special_tokens=False).ids

    def encode_prompt(self, prompt: str, image_length: int) -> list[int]:
        """The beginning, the prompt, and `image_length` image tokens in the place of `<image>`."""
        before, image, after = prompt.partition(IMAGE)
        return [
            self.bos,
            *self.encode(before),
            *([self.image] * image_length if image else []),
            *self.encode(after),
        ]

    def decode(self, ids: Sequence[int]) -> str:
        """Text with its special tokens, since the markup is made of them."""
        return self._inner.decode(list(ids), skip_special_tokens=False)

    def stream(self) -> "TokenStream":
        """Decodes one id after the other."""
        return TokenStream(self._inner)


class TokenStream:
    """Turns ids into text as they come; a character of several tokens appears with its last one."""

    def __init__(self, inner: HuggingFaceTokenizer) -> None:
        self._inner = inner
        self._stream = DecodeStream(skip_special_tokens=False)

    def step(self, token: int) -> str:
        """The text that this token completes, or nothing yet."""
        return self._stream.step(self._inner, token) or ""
