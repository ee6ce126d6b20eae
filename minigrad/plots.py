"""Figures that everybody can read: data in, figure out.

The colours are those of Okabe and Ito, which differ for every common kind of colour vision. No line is told
apart by its colour alone: each series has a line style and a marker of its own. The background is a fixed
near-white with dark text, so that a figure reads the same in a light and in a dark notebook. `show` attaches
a text alternative to each figure, for readers who do not see it.

Only numpy is needed to import this module; matplotlib and IPython are imported when a figure is made.
"""

from __future__ import annotations

import base64
import html
import io
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

__all__ = ["COLOURS", "INK", "PAPER", "SERIES", "as_html", "canvas", "png", "show", "style"]

COLOURS = {
    "blue": "#0072B2",
    "vermillion": "#D55E00",
    "green": "#009E73",
    "purple": "#CC79A7",
    "orange": "#E69F00",
    "sky": "#56B4E9",
    "black": "#000000",
}

INK = "#222222"
PAPER = "#FCFCFA"

SERIES: list[dict[str, Any]] = [
    {"color": COLOURS["blue"], "linestyle": "-", "marker": "o"},
    {"color": COLOURS["vermillion"], "linestyle": "--", "marker": "s"},
    {"color": COLOURS["green"], "linestyle": "-.", "marker": "^"},
    {"color": COLOURS["purple"], "linestyle": ":", "marker": "D"},
]
"""One entry a series, for `axes.plot(x, y, **SERIES[0])`."""


def style(axes: Axes) -> Axes:
    """Give one axes the look of the course: dark ink on light paper, a faint grid, no box.

    Parameters
    ----------
    axes : matplotlib.axes.Axes
        Changed in place.

    Returns
    -------
    matplotlib.axes.Axes
        The same axes.
    """
    axes.set_facecolor(PAPER)
    axes.grid(True, color="#D9D9D9", linewidth=0.6)
    axes.set_axisbelow(True)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(INK)
    axes.tick_params(colors=INK, labelsize=9)
    for text in (axes.xaxis.label, axes.yaxis.label, axes.title):
        text.set_color(INK)
        text.set_fontsize(10)
    return axes


def canvas(rows: int = 1, columns: int = 1, width: float = 7.4, height: float = 3.4) -> tuple[Figure, Any]:
    """Make an empty figure in the style of the course.

    Parameters
    ----------
    rows, columns : int
        The grid of axes.
    width, height : float
        The size in inches.

    Returns
    -------
    figure : matplotlib.figure.Figure
        Not registered with pyplot, so it shows once, when `show` is called, and needs no closing.
    axes : matplotlib.axes.Axes or ndarray of them
        One axes, or an array of shape (rows, columns) with axes of length one removed.
    """
    from matplotlib.figure import Figure

    figure = Figure(figsize=(width, height), dpi=110, facecolor=PAPER)
    figure.set_layout_engine("constrained", w_pad=0.08, h_pad=0.08)  # inches; the default all but cuts titles
    axes = figure.subplots(rows, columns, squeeze=False)
    for one in axes.flat:
        style(one)
    return figure, axes[0, 0] if axes.size == 1 else axes.squeeze()


def png(figure: Figure, colours: int | None = None) -> bytes:
    """Draw a figure into the bytes of a PNG file.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    colours : int, optional
        At most so many: with 256, lines and text look the same in a third of the bytes, colour maps show bands.

    Returns
    -------
    bytes
    """
    buffer = io.BytesIO()
    if colours is None:
        figure.savefig(buffer, format="png", facecolor=figure.get_facecolor())
        return buffer.getvalue()
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from PIL import Image

    # a canvas that has drawn before remembers how its texts are set, which is half of the work
    canvas = figure.canvas if isinstance(figure.canvas, FigureCanvasAgg) else FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).convert("RGB")
    reduced = image.quantize(colours, method=Image.Quantize.FASTOCTREE, dither=Image.Dither.NONE)
    reduced.save(buffer, format="png")
    return buffer.getvalue()


def as_html(figure: Figure, alt: str, colours: int | None = None, onload: str = "") -> str:
    """Draw a figure into an HTML image that carries its text alternative.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What is to be seen, in a sentence or two.
    colours : int, optional
        As for `png`.
    onload : str
        JavaScript that the page runs when it shows the image.

    Returns
    -------
    str
        One `img` element that holds its own data.
    """
    data = base64.b64encode(png(figure, colours)).decode("ascii")
    width, height = (round(side * figure.dpi) for side in figure.get_size_inches())
    attributes = {
        "alt": alt,
        # with its size known, a page does not jump while one image replaces another
        "width": str(width),
        "height": str(height),
        "style": "max-width:100%;height:auto",
        **({"onload": onload} if onload else {}),
        "src": f"data:image/png;base64,{data}",
    }
    written = " ".join(f'{name}="{html.escape(value)}"' for name, value in attributes.items())
    return f"<img {written}>"


def show(figure: Figure, alt: str) -> None:
    """Show a figure in a notebook, with a text alternative; outside a notebook, print the text.

    Parameters
    ----------
    figure : matplotlib.figure.Figure
    alt : str
        What is to be seen, in a sentence or two. A screen reader reads it in place of the picture.
    """
    try:
        from IPython import get_ipython
        from IPython.display import publish_display_data
    except ImportError:
        print(alt)
        return
    if get_ipython() is None:  # type: ignore[no-untyped-call]
        print(alt)
        return
    publish_display_data({"text/html": as_html(figure, alt), "text/plain": f"[figure: {alt}]"})
