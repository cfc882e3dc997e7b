# Copyright (c) mmleuk authors. All rights reserved.
from typing import Any, Dict, Sequence, Tuple

from mmengine.visualization import Visualizer

from .colours import RGB

# Fonts. Codes are monospaced, where I and l differ.
SANS, BOLD, MONO = 'sans', 'bold', 'mono'
# Part of matplotlib, so that pictures look the same everywhere.
_FAMILIES = {MONO: 'DejaVu Sans Mono'}
_FAMILY = 'DejaVu Sans'
# Drawing order, from below.
REGION, BOX, LEADER, LABEL, TEXT = range(2, 7)


def to_rgba(colour: RGB, alpha: float = 1.0) -> Tuple[float, ...]:
    """Write an RGB colour in [0, 255] as matplotlib takes it."""
    return (*(channel / 255 for channel in colour), alpha)


class Pen:
    """Writes and draws on a visualizer's image, all sizes in pixels."""

    def __init__(self, visualizer: Visualizer) -> None:
        self.visualizer = visualizer
        self._widths: Dict[tuple, float] = {}

    def points(self, pixels: float) -> float:
        """Convert pixels to points."""
        return pixels * 72 / self.visualizer.dpi

    def _font(self, font: str, size: float) -> Any:
        """A font of a size in pixels."""
        from matplotlib.font_manager import FontProperties

        return FontProperties(
            family=_FAMILIES.get(font, _FAMILY),
            weight='bold' if font == BOLD else 'normal',
            size=self.points(size),
        )

    def text_width(self, text: str, size: float, font: str = SANS) -> float:
        """Measure a line of text in ``SANS``, ``BOLD`` or ``MONO``."""
        key = (text, round(size, 2), font)
        if key not in self._widths:
            renderer = self.visualizer.fig_save_canvas.get_renderer()
            self._widths[key] = renderer.get_text_width_height_descent(
                text, self._font(font, size), False
            )[0]
        return self._widths[key]

    def write(
        self,
        x: float,
        top: float,
        text: str,
        size: float,
        colour: RGB,
        font: str = SANS,
    ) -> None:
        """Write a line of text, its base a size below ``top``."""
        self.visualizer.ax_save.text(
            x,
            top + size,
            text,
            fontproperties=self._font(font, size),
            color=to_rgba(colour),
            verticalalignment='baseline',
            parse_math=False,
            zorder=TEXT,
        )

    def line(
        self,
        points: Sequence[Tuple[float, float]],
        colour: RGB,
        width: float,
        zorder: int,
    ) -> None:
        """Draw a line through points (x, y)."""
        from matplotlib.lines import Line2D

        self.visualizer.ax_save.add_line(
            Line2D(
                *zip(*points),
                color=to_rgba(colour),
                linewidth=self.points(width),
                solid_capstyle='butt',
                zorder=zorder,
            )
        )

    def rectangle(
        self, corner: Sequence[float], size: Sequence[float], **style
    ) -> None:
        """Draw a rectangle from its upper left corner (x, y).

        Args:
            corner (Sequence[float]): The corner.
            size (Sequence[float]): Width and height.
            **style: Properties of matplotlib's ``Rectangle``.
        """
        from matplotlib.patches import Rectangle

        self.visualizer.ax_save.add_patch(Rectangle(corner, *size, **style))
