"""Charts with the tables that they show.

words.py               what they speak of
style.py               how they look
series.py              their numbers, as fine as the picture can show
table.py               the answer, an HTML table
marks.py               numbers to shapes, the same for both renderers
matplotlib_charts.py   vega_charts.py   the renderers
fonts.py               the faces that matplotlib carries
picture.py             where the shapes stand in the pixels
maker.py               all of it as samples
"""

from foveate.data.charts.maker import ChartMaker
from foveate.data.charts.series import FORMS, Chart, Form, Scale, Series

__all__ = ["FORMS", "Chart", "ChartMaker", "Form", "Scale", "Series"]
