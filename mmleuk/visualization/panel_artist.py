# Copyright (c) mmleuk authors. All rights reserved.
from dataclasses import dataclass
from typing import Dict, List, Optional, Sequence, Tuple

import cv2
import numpy as np
from numpy.typing import ArrayLike

from .cell_marks import (
    CANDIDATE_CELL,
    CELL,
    DIFFERENT,
    FAINT,
    IGNORED,
    CellMark,
    CellMarker,
    Panel,
    Span,
)
from .colours import BLACK, INK, RGB, WHITE, text_colour
from .label_layout import LabelLayout, place_labels
from .legend import Entry, explain
from .pen import (
    BOLD,
    BOX,
    LABEL,
    LEADER,
    MONO,
    REGION,
    SANS,
    TEXT,
    Pen,
    to_rgba,
)

_FAINT_INK: RGB = (100, 100, 100)
# Vermilion of Okabe and Ito, made darker for contrast on white. A line below
# the text says the same without colour.
_DIFFERENT_INK: RGB = (176, 60, 0)
_INKS: Dict[str, RGB] = {FAINT: _FAINT_INK, DIFFERENT: _DIFFERENT_INK}
_LINE_STYLES = {CELL: '-', IGNORED: (0, (4, 3)), CANDIDATE_CELL: (0, (1, 2))}

# The smallest letters that are read without effort, in pixels.
_LEAST_FONT = 10
# How much labels may hide, on average and at most, before names are shortened
# and letters made smaller.
_HIDDEN, _MOST_HIDDEN = 0.02, 0.2
_LINE_HEIGHT = 1.3
_PAD = 3
_GAP = 10
# A label farther than this from its box has a line to it.
_NEAR = 7


@dataclass
class PanelArtist:
    """Draws panels side by side, below captions and above a legend.

    Args:
        pen (Pen): The pen to draw with.
        min_side (int): Images with a shorter side of fewer pixels are
            enlarged to this.
        class_names (str): ``'full'``, ``'short'`` or ``'auto'``.
        dim (float): Strength of dimming un-annotated area, in [0, 1].
        legend (bool): Whether to draw the legend.
        line_width (float): Width of boxes in pixels.
        alpha (float): Opacity of boxes.
    """

    pen: Pen
    min_side: int
    class_names: str
    dim: float
    legend: bool
    line_width: float
    alpha: float

    def draw(
        self, image: np.ndarray, panels: Sequence[Panel], marker: CellMarker
    ) -> np.ndarray:
        """Draw a picture.

        Args:
            image (np.ndarray): RGB, shape (h, w, 3), uint8.
            panels (Sequence[Panel]): The panels. Without any, the picture is
                the image alone.
            marker (CellMarker): Has the names and codes.

        Returns:
            np.ndarray: The picture, RGB, uint8.
        """
        scale = max(1.0, self.min_side / min(image.shape[:2]))
        height, width = (round(side * scale) for side in image.shape[:2])
        if scale > 1:
            image = cv2.resize(
                image, (width, height), interpolation=cv2.INTER_CUBIC
            )
        if not panels:
            return image
        boxes = [_boxes(panel.marks, scale, image) for panel in panels]
        body_font = MONO if marker.attributes == 'codes' else SANS
        labels, layouts = self._lay_out(
            panels, boxes, body_font, (height, width)
        )
        size = _letter_size((height, width))
        strip = round(1.9 * size)
        total = width * len(panels) + _GAP * (len(panels) - 1)
        lines: List[List[Entry]] = []
        if self.legend:
            for group in explain(panels, marker, labels[0].abbreviate):
                lines += self._wrap(group, size, total)
        below = round(1.6 * size * len(lines) + size * bool(lines))
        canvas = np.full((strip + height + below, total, 3), 255, np.uint8)
        known = [
            _annotated_mask(panel.unannotated * scale, (height, width))
            for panel in panels
        ]
        lefts = [index * (width + _GAP) for index in range(len(panels))]
        for left, panel, mask in zip(lefts, panels, known):
            part = image
            if panel.dim and mask is not None:
                part = _fade(image, ~mask, self.dim)
            canvas[strip : strip + height, left : left + width] = part

        self.pen.visualizer.set_image(canvas)
        for index, (left, panel) in enumerate(zip(lefts, panels)):
            origin = np.array([left, strip])
            if known[index] is not None:
                self._outline(known[index], origin)
            self._draw_boxes(panel.marks, boxes[index] + (*origin, *origin))
            self._draw_labels(
                panel.marks,
                boxes[index] + (*origin, *origin),
                layouts[index].corners + origin,
                labels[index],
            )
            self.pen.write(
                left + size / 2, 0.3 * size, panel.caption, size, INK, BOLD
            )
        self._draw_legend(lines, strip + height + 0.5 * size, size)
        return np.ascontiguousarray(self.pen.visualizer.get_image())

    def _lay_out(
        self,
        panels: Sequence[Panel],
        boxes: Sequence[np.ndarray],
        body_font: str,
        frame: Tuple[int, int],
    ) -> Tuple[List['_Labels'], List[LabelLayout]]:
        """Choose size and names of labels, the same in all panels."""
        size = _letter_size(frame)
        choices = [(size, False), (size, True)]
        if self.class_names != 'auto':
            choices = [(size, self.class_names == 'short')]
        smaller = 0.85 * size
        while smaller >= _LEAST_FONT:
            choices.append((smaller, choices[-1][1]))
            smaller *= 0.85
        count = max(1, sum(len(panel.marks) for panel in panels))
        best = None
        for letters, abbreviate in choices:
            labels = [
                _Labels(self.pen, panel.marks, letters, abbreviate, body_font)
                for panel in panels
            ]
            layouts = [
                place_labels(their_boxes, their_labels.sizes, frame)
                for their_boxes, their_labels in zip(boxes, labels)
            ]
            hidden = np.concatenate([layout.hidden for layout in layouts])
            mean = hidden.sum() / count
            if best is None or mean < best[0]:
                best = mean, labels, layouts
            if mean <= _HIDDEN and hidden.max(initial=0) <= _MOST_HIDDEN:
                break
        return best[1:]

    def _draw_boxes(
        self, marks: Sequence[CellMark], boxes: np.ndarray
    ) -> None:
        """Draw boxes, each on a light rim."""
        from matplotlib.patheffects import Normal, Stroke

        width = self.pen.points(self.line_width)
        rim = Stroke(
            linewidth=width + self.pen.points(2),
            foreground=to_rgba(WHITE, 0.7 * self.alpha),
        )
        for mark, (x1, y1, x2, y2) in zip(marks, boxes):
            if mark.kind == IGNORED:
                self.pen.rectangle(
                    (x1, y1),
                    (x2 - x1, y2 - y1),
                    fill=False,
                    hatch='/',
                    edgecolor=to_rgba(mark.colour, 0.55),
                    linewidth=0,
                    zorder=BOX,
                )
            self.pen.rectangle(
                (x1, y1),
                (x2 - x1, y2 - y1),
                fill=False,
                edgecolor=to_rgba(mark.colour, self.alpha),
                linewidth=width,
                linestyle=_LINE_STYLES[mark.kind],
                joinstyle='miter',
                path_effects=[rim, Normal()],
                zorder=BOX,
            )

    def _draw_labels(
        self,
        marks: Sequence[CellMark],
        boxes: np.ndarray,
        corners: np.ndarray,
        labels: '_Labels',
    ) -> None:
        """Draw labels, after all lines to their boxes."""
        for mark, box, corner, extent in zip(
            marks, boxes, corners, labels.sizes
        ):
            start, end = _shortest_line((*corner, *(corner + extent)), box)
            if np.hypot(*np.subtract(start, end)) > _NEAR:
                self.pen.line([start, end], WHITE, 3.5, LEADER)
                self.pen.line([start, end], mark.colour, 1.8, LEADER)
        for mark, (x, y), (width, height) in zip(marks, corners, labels.sizes):
            self.pen.rectangle(
                (x, y),
                (width, height),
                facecolor=to_rgba(WHITE, 0.92),
                edgecolor=to_rgba(mark.colour),
                linewidth=self.pen.points(1.2),
                zorder=LABEL,
            )
            self.pen.rectangle(
                (x, y),
                (width, labels.title_height),
                facecolor=to_rgba(mark.colour),
                edgecolor='none',
                zorder=LABEL,
            )
            self.pen.write(
                x + _PAD,
                y,
                mark.title(labels.abbreviate),
                labels.letters,
                text_colour(mark.colour),
            )
            top = y + labels.title_height + 1
            for spans in mark.lines:
                _write_spans(
                    self.pen,
                    (x + _PAD, top),
                    spans,
                    labels.body,
                    labels.body_font,
                )
                top += _LINE_HEIGHT * labels.body

    def _outline(self, mask: np.ndarray, origin: np.ndarray) -> None:
        """Draw the edges of annotated regions, black on white."""
        contours, _ = cv2.findContours(
            mask.astype(np.uint8), cv2.RETR_CCOMP, cv2.CHAIN_APPROX_SIMPLE
        )
        for contour in contours:
            points = contour[:, 0] + origin + 0.5
            points = [tuple(point) for point in (*points, points[0])]
            self.pen.line(points, WHITE, 5, REGION)
            self.pen.line(points, BLACK, 2, REGION)

    def _wrap(
        self, entries: Sequence[Entry], size: float, width: float
    ) -> List[List[Entry]]:
        """Break entries of the legend into lines."""
        lines: List[List[Entry]] = []
        x = np.inf
        for entry in entries:
            extent = self._entry_width(entry, size)
            if x + extent > width:
                lines.append([])
                x = size / 2
            lines[-1].append(entry)
            x += extent
        return lines

    def _entry_width(self, entry: Entry, size: float) -> float:
        """Width of an entry of the legend, with the space after it."""
        swatch = 0 if entry.colour is None else 1.4 * size
        return swatch + _spans_width(self.pen, entry.spans, size) + size

    def _draw_legend(
        self, lines: Sequence[Sequence[Entry]], top: float, size: float
    ) -> None:
        """Draw the lines of the legend."""
        for line in lines:
            x = size / 2
            for entry in line:
                start = x
                if entry.colour is not None:
                    self.pen.rectangle(
                        (x, top + 0.2 * size),
                        (size, size),
                        facecolor=to_rgba(entry.colour),
                        edgecolor='none',
                    )
                    start += 1.4 * size
                _write_spans(self.pen, (start, top), entry.spans, size)
                x += self._entry_width(entry, size)
            top += 1.6 * size


class _Labels:
    """Sizes of the labels of a panel in pixels."""

    def __init__(
        self,
        pen: Pen,
        marks: Sequence[CellMark],
        letters: float,
        abbreviate: bool,
        body_font: str,
    ) -> None:
        self.letters = letters
        self.abbreviate = abbreviate
        self.body_font = body_font
        self.body = max(_LEAST_FONT, 0.92 * letters)
        self.title_height = _LINE_HEIGHT * letters
        self.sizes = np.zeros((len(marks), 2))
        for index, mark in enumerate(marks):
            widths = [pen.text_width(mark.title(abbreviate), letters)]
            widths += [
                _spans_width(pen, spans, self.body, body_font)
                for spans in mark.lines
            ]
            height = self.title_height
            if mark.lines:
                height += _LINE_HEIGHT * self.body * len(mark.lines) + _PAD
            self.sizes[index] = max(widths) + 2 * _PAD, height


def _letter_size(frame: Tuple[int, int]) -> float:
    """Size of letters in pixels, by the size of the picture."""
    return max(_LEAST_FONT + 1, (frame[0] * frame[1]) ** 0.5 / 65)


def _advance(pen: Pen, span: Span, size: float, font: str) -> float:
    """Pixels from the start of a span to that of the next."""
    if font == MONO:
        # Codes stand in columns, with room for a question mark.
        columns = max(2, len(span.text))
        return columns * pen.text_width('0', size, font) + 0.25 * size
    return pen.text_width(span.text, size, font) + 0.45 * size


def _spans_width(
    pen: Pen, spans: Sequence[Span], size: float, font: str = SANS
) -> float:
    """Width of spans side by side."""
    return sum(_advance(pen, span, size, font) for span in spans)


def _write_spans(
    pen: Pen,
    corner: Tuple[float, float],
    spans: Sequence[Span],
    size: float,
    font: str = SANS,
) -> None:
    """Write spans side by side."""
    x, top = corner
    for span in spans:
        colour = _INKS.get(span.look, INK)
        pen.write(x, top, span.text, size, colour, font)
        if span.look == DIFFERENT:
            end, y = (
                x + pen.text_width(span.text, size, font),
                top + 1.2 * size,
            )
            pen.line([(x, y), (end, y)], colour, 1.5, TEXT)
        x += _advance(pen, span, size, font)


def _boxes(
    marks: Sequence[CellMark], scale: float, image: np.ndarray
) -> np.ndarray:
    """Boxes in pixels of the picture, cut at its edge, shape (n, 4)."""
    boxes = np.array([mark.box for mark in marks]).reshape(-1, 4) * scale
    height, width = image.shape[:2]
    return boxes.clip(0, (width, height, width, height))


def _annotated_mask(
    rectangles: np.ndarray, shape: Tuple[int, int]
) -> Optional[np.ndarray]:
    """Mask the area outside of un-annotated rectangles, None if all."""
    if len(rectangles) == 0:
        return None
    mask = np.ones(shape, dtype=bool)
    for x1, y1, x2, y2 in np.round(rectangles).astype(int).clip(min=0):
        mask[y1:y2, x1:x2] = False
    return mask


def _fade(image: np.ndarray, area: np.ndarray, share: float) -> np.ndarray:
    """Make a masked area of an image grey and dark."""
    grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)[..., None] * 0.4
    faded = image.copy()
    faded[area] = ((1 - share) * image + share * grey)[area]
    return faded


def _shortest_line(
    first: ArrayLike, second: ArrayLike
) -> Tuple[np.ndarray, np.ndarray]:
    """Find the nearest points of two rectangles (x1, y1, x2, y2)."""
    first, second = np.array(first), np.array(second)
    low = np.maximum(first[:2], second[:2])
    high = np.minimum(first[2:], second[2:])
    middle, overlaps = (low + high) / 2, low <= high
    is_after = first[:2] > second[:2]
    start = np.where(is_after, low, high)
    end = np.where(is_after, high, low)
    return (
        np.where(overlaps, middle, start),
        np.where(overlaps, middle, end),
    )
