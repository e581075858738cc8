"""Word files to training samples (OCR 1.0): pages as LibreOffice draws them, Markdown from the file itself.

package.py    the parts of a .docx, within limits and without entities
numbering.py  the numbers and bullets of lists
omml.py       formulas to LaTeX
spans.py      emphasis within a paragraph
body.py       paragraphs, tables, notes to pieces of Markdown
office.py     LibreOffice: a .docx to a PDF
paging.py     which pieces stand on which page
maker.py      the maker of samples
"""

from foveate.data.word.maker import WordMaker

__all__ = ["WordMaker"]
