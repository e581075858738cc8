"""How a request says what it wants to have read; the same words in JSON and in forms."""

from typing import Annotated, Literal

from pydantic import BaseModel, Field

from foveate.engine.reader import Options
from foveate.engine.sampling import Sampling
from foveate.serving.settings import Settings

Format = Literal["json", "md", "html", "text"]
Word = Annotated[str, Field(max_length=1000)]


class ReadingOptions(BaseModel):
    """The options of `foveate read`."""

    mode: Word = Field("auto", description="tiny, small, base, large, gundam, gundam-m or auto")
    prompt: Annotated[str, Field(max_length=20_000)] = Field(
        "markdown", description="markdown, ocr, text, figure, describe, locate, or a sentence of your own"
    )
    reference: Word | None = Field(None, description="what the prompt locate is to find, in plain words")
    max_tokens: int | None = Field(None, ge=1, le=1_000_000, description="of the answer to one page")
    max_tiles: int | None = Field(None, ge=2, le=64, description="of a gundam page")
    temperature: float = Field(0.0, ge=0, le=10, allow_inf_nan=False, description="0: no dice")
    top_p: float = Field(1.0, gt=0, le=1, allow_inf_nan=False)
    seed: int = Field(0, ge=-(2**63), lt=2**63)
    retries: int = Field(
        1, ge=0, le=5, description="further readings of a page that looped, each one mode higher"
    )
    pages: Word | None = Field(None, description="a range such as 1-3,7")
    dpi: int = Field(144, ge=36, le=600, description="at which PDF pages are drawn")
    password: Word | None = Field(None, description="of an encrypted PDF")

    def options(self, settings: Settings, retries: int | None = None) -> Options:
        """For the reader. Raises `InputError`."""
        return Options(
            self.mode,
            self.prompt,
            self.reference,
            min(filter(None, (self.max_tokens, settings.max_tokens)), default=None),
            self.max_tiles,
            Sampling(self.temperature, self.top_p, self.seed),
            self.retries if retries is None else retries,
        )
