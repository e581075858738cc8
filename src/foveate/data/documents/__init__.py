"""Documents to training samples (OCR 1.0): a page as drawn, and its text as the file itself has it.

characters.py   the words of a PDF page with their boxes, sizes and weights; what is hidden or broken
drawings.py     ruling lines, pictures and vector drawings of a PDF page
pdf_text.py     both, of a page of an open PDF, and the page's pixels
lines.py        words to lines
layout.py       lines to paragraphs; the reading order
figures.py      pictures and drawings, with their labels
tables.py       lattice.py   cells.py   ruling lines and aligned columns to HTML
kinds.py        headings, lists, captions, running headers and the like
compose.py      all of this for a page
answers.py      a laid-out page as coarse text, as fine markup, as lines with boxes
grades.py       what a page's text is good for
pdf.py          the maker of samples
"""
