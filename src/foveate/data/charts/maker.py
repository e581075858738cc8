"""Charts as training samples."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import ClassVar, Literal

from foveate.data.charts import matplotlib_charts, vega_charts
from foveate.data.charts.marks import lay_out
from foveate.data.charts.picture import regions
from foveate.data.charts.series import FORMS, Form, random_chart
from foveate.data.charts.style import random_style
from foveate.data.charts.table import chart_table
from foveate.data.sample import Sample, Task, ask, dice
from foveate.errors import OptionError

Renderer = Literal["matplotlib", "vega"]
PAINTERS = {"matplotlib": matplotlib_charts.draw, "vega": vega_charts.draw}


@dataclass(frozen=True)
class ChartMaker:
    """Invented charts in many looks, answered by an HTML table of the numbers that they show.

    The picture's size is drawn at random, 400 to 900 pixels a side. Needs matplotlib and vl-convert.
    """

    forms: tuple[Form, ...] = FORMS
    renderers: tuple[Renderer, ...] = ("matplotlib", "vega")
    kind: ClassVar[str] = "chart"
    task: ClassVar[Task] = "ocr2"
    size: ClassVar[int | None] = None

    def __post_init__(self) -> None:
        for chosen, known, what in ((self.forms, FORMS, "form"), (self.renderers, PAINTERS, "renderer")):
            unknown = [name for name in chosen if name not in known]
            if unknown or not chosen:
                raise OptionError(
                    f"{unknown or 'nothing'} is no {what} of chart: choose from {', '.join(known)}"
                )

    def make(self, number: int, seed: int) -> Sample:
        rng = dice(self.kind, number, seed)
        style = random_style(rng)
        form = self.forms[int(rng.integers(len(self.forms)))]
        renderer = self.renderers[int(rng.integers(len(self.renderers)))]
        chart = random_chart(form, rng, style)
        drawing = lay_out(chart, style)
        picture = PAINTERS[renderer](drawing)
        return Sample(
            kind=self.kind,
            task=self.task,
            turns=ask("figure", chart_table(chart)),
            image=picture.image,
            language="en",
            regions=regions(drawing, picture.plot),
            number=number,
            seed=seed,
            details={
                "form": form,
                "renderer": renderer,
                "title": chart.title,
                "printed": chart.printed,
                "horizontal": chart.horizontal,
                "style": asdict(style),
            },
        )
