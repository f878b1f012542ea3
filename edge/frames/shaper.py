"""Makes what is released of each picture: the one copy into the release ring, in whatever form."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import cv2
import numpy as np

from edge.cameras.layout import Layout
from edge.frames.output_format import OutputFormat, Part
from edge.masking.blocks import BLOCK_PX, CLEAR, FILLED, Levels, Rect
from edge.masking.mask import Mask

_Slices = tuple[slice, slice]  # rows, columns
_Part = tuple[_Slices, _Slices, _Slices]  # of the picture, of its halved colours, of the place

_NONE_YET: Levels = np.zeros((0, 0), np.uint8)


class Shaper:
    """Writes the released form of each picture of one camera."""

    def __init__(self, form: OutputFormat, layout: Layout, height: int, width: int) -> None:
        """`height` and `width` are the camera's, in pixels.

        Raises:
            RecordError: the form leaves less than 16 pixels of a side.
        """
        self._layout = layout
        self._whole, self._grey, self._shrink = form.whole, form.grey, form.shrink
        part = Part.of(form, height, width)
        self._top, self._left, self.shape, self.bytes = part.top, part.left, part.shape, part.bytes
        self._masked: np.ndarray | None = None  # where masks are drawn before they are converted
        self._planned: tuple[Mask | None, bool] = None, False
        self._clear: list[_Part] = []
        self._hidden: list[_Part] = []  # those that are written
        self._drawn: list[_Slices] = []  # where they are drawn
        self._fixed: Levels | None = _NONE_YET  # of the masks so far
        self._same = False  # whether all of them had the same one

    def write(self, picture: np.ndarray, place: np.ndarray, mask: Mask) -> None:
        """Write the released form of `picture` to `place`, through the mask.

        Args:
            picture: of the camera's layout and size; only read.
            place: uint8, of `shape`; zero where this object has not written.
            mask: of the camera's size.
        """
        if mask.fixed is not self._fixed:
            self._note(mask.fixed)
        if mask.clear:
            self._write(picture, place)
        elif self._whole and not self._grey and not self._layout.planar:
            mask.copy(picture, place, self._layout, prepared=self._same)  # the form is the picture
        elif self._shrink > 1 or not self._write_parts(picture, place, mask):
            # masked before it is shrunk or its colours are spread, so that no edge is mixed
            drawn = self._drawing(picture)
            mask.copy(picture, drawn, self._layout)
            self._write(drawn, place)
            drawn.fill(0)  # nothing of a withheld frame stays behind

    def _note(self, fixed: Levels | None) -> None:
        """Take notice of another fixed mask.

        As long as every mask has the same fixed places, no frame was ever written there, and they
        are as they were at first: zero, black.
        """
        self._same = self._fixed is _NONE_YET
        self._fixed = fixed

    def _drawing(self, picture: np.ndarray) -> np.ndarray:
        """Memory of this process alone, as large as the picture."""
        if self._masked is None:
            self._masked = np.zeros_like(picture)
        return self._masked

    def _write_parts(self, picture: np.ndarray, place: np.ndarray, mask: Mask) -> bool:
        """Convert what is clear from the picture, what is hidden from where it is drawn.

        Masks consist of blocks of even sides, so no part takes anything from the one beside it.

        Returns:
            Whether that was done: not where colours have to be converted from I420, which OpenCV
            does for whole pictures only, nor over hidden parts (it is slow at each one's edge).
        """
        black = mask.fills_more or not self._same  # there is more to fill than is black already
        if self._planned[0] is not mask or self._planned[1] is not black:
            self._plan(mask, black)
        spread = self._layout.planar and not self._grey
        if spread and (self._hidden or self._layout is Layout.I420):
            return False
        first, *others = self._layout.planes(picture)
        for part in self._clear:
            self._convert(first, others[0] if spread else None, place, part)
        if self._hidden:
            drawn = self._drawing(picture)
            mask.copy(picture, drawn, self._layout, prepared=not black, clear=False)
            first = self._layout.planes(drawn)[0]
            for part in self._hidden:
                self._convert(first, None, place, part)
            for used in self._drawn:
                first[used] = 0
        return True

    def _plan(self, mask: Mask, black: bool) -> None:
        clear = [r for r in mask.rectangles if r.level == CLEAR]
        hidden = [r for r in mask.rectangles if CLEAR < r.level < FILLED + black]
        self._clear, self._hidden = list(self._cuts(clear)), list(self._cuts(hidden))
        self._drawn = [_slices(r.top, r.bottom, r.left, r.right, BLOCK_PX) for r in hidden]
        self._planned = mask, black

    def _cuts(self, rects: Iterable[Rect]) -> Iterator[_Part]:
        """What is released of each; of a planar picture all edges are even."""
        above, aside = self._top, self._left
        below, beside = above + self.shape[0], aside + self.shape[1]
        for rect in rects:
            top, bottom = max(rect.top * BLOCK_PX, above), min(rect.bottom * BLOCK_PX, below)
            left, right = max(rect.left * BLOCK_PX, aside), min(rect.right * BLOCK_PX, beside)
            if top < bottom and left < right:
                yield (
                    _slices(top, bottom, left, right),
                    _slices(top // 2, bottom // 2, left // 2, right // 2),
                    _slices(top - above, bottom - above, left - aside, right - aside),
                )

    def _convert(
        self, first: np.ndarray, colours: np.ndarray | None, place: np.ndarray, part: _Part
    ) -> None:
        whole, half, target = part
        if colours is not None:
            code = cv2.COLOR_YUV2BGR_NV12
            cv2.cvtColorTwoPlane(first[whole], colours[half], code, dst=place[target])
        elif self._grey and not self._layout.planar:
            cv2.cvtColor(first[whole], cv2.COLOR_BGR2GRAY, dst=place[target])
        else:
            place[target] = first[whole]

    def _write(self, picture: np.ndarray, place: np.ndarray) -> None:
        layout = self._layout
        if self._grey and layout.planar:
            self._cut(layout.planes(picture)[0], place, 1)
        elif not self._grey and not layout.planar:
            self._cut(picture, place, 1)
        elif self._grey and self._shrink == 1:
            cv2.cvtColor(self._part(picture, place.shape, 1), cv2.COLOR_BGR2GRAY, dst=place)
        elif self._whole:
            layout.bgr(picture, place)
        else:  # made small first, so that the conversion costs what the small picture costs
            rows, columns = place.shape[:2]
            small = np.empty(layout.shape(rows, columns), np.uint8)
            for plane, less in zip(layout.planes(picture), layout.planes(small), strict=True):
                self._cut(plane, less, picture.shape[1] // plane.shape[1])
            if self._grey:
                cv2.cvtColor(small, cv2.COLOR_BGR2GRAY, dst=place)
            else:
                layout.bgr(small, place)
            small.fill(0)  # nothing of a withheld frame stays behind

    def _cut(self, plane: np.ndarray, place: np.ndarray, coarse: int) -> None:
        """Crop and shrink one plane, whose pixels are `coarse` camera pixels wide and high."""
        part = self._part(plane, place.shape, coarse)
        if self._shrink == 1:
            np.copyto(place, part)
        else:
            size = place.shape[1], place.shape[0]
            cv2.resize(part, size, dst=place, interpolation=cv2.INTER_AREA)

    def _part(self, plane: np.ndarray, shape: tuple[int, ...], coarse: int) -> np.ndarray:
        """The cropped pixels of `plane` that become a picture of `shape`."""
        top, left = self._top // coarse, self._left // coarse
        return plane[top : top + shape[0] * self._shrink, left : left + shape[1] * self._shrink]


def _slices(top: int, bottom: int, left: int, right: int, unit: int = 1) -> _Slices:
    return slice(top * unit, bottom * unit), slice(left * unit, right * unit)
