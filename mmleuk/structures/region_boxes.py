# Copyright (c) mmleuk authors. All rights reserved.
import functools
from typing import Any, Callable, Optional, Sequence, Tuple, Type, TypeVar

import cv2
import numpy as np
from mmdet.structures.bbox import (
    BaseBoxes,
    HorizontalBoxes,
    register_box,
    register_box_converter,
)
from shapely.geometry.base import BaseGeometry
from torch import BoolTensor, Tensor

from .regions import cut_area, join_areas, move_area

T = TypeVar('T', bound='RegionBoxes')

# Inherited methods that make new boxes of the same image.
_METHODS_OF_SAME_IMAGE = (
    '__getitem__ empty_boxes fake_boxes to cpu cuda clone detach view reshape '
    'expand repeat transpose permute split chunk unbind flatten squeeze '
    'unsqueeze'
).split()


# What the boxes know of their image. The values are never changed in place,
# so that boxes can share them.
_KNOWLEDGE_OF_IMAGE = ('unannotated', 'is_cut', '_field_matrix')


def _carry(cls: type) -> type:
    """Make methods that return new boxes pass on what the old ones know."""

    def carrying(method: Callable) -> Callable:

        @functools.wraps(method)
        def wrapper(self: T, *args, **kwargs) -> Any:
            made = method(self, *args, **kwargs)
            for boxes in made if isinstance(made, list) else [made]:
                boxes._take_over(self)
            return made

        return wrapper

    for name in _METHODS_OF_SAME_IMAGE:
        setattr(cls, name, carrying(getattr(cls, name)))
    return cls


@register_box('region_hbox')
@_carry
class RegionBoxes(HorizontalBoxes):
    """Horizontal boxes that carry the un-annotated area of their image.

    Each geometric transform of MMDetection moves the boxes of an image by
    methods of :class:`HorizontalBoxes`. Here the same call moves the area,
    and joining boxes of several images (Mosaic, MixUp) joins their areas. So
    the area is right after any chain of transforms. So is
    :attr:`field_matrix`, which MMDetection's ``homography_matrix`` is not:
    several transforms leave that as it is.

    The area is cut at the frame of the image in methods that get the frame:
    :meth:`clip_`, :meth:`flip_` and :meth:`is_inside`. After a crop that
    calls none of them (``MinIoURandomCrop(bbox_clip_border=False)``, the only
    one) the area may reach over the image's edge until the next transform. It
    then covers padding, or a neighbour in a mosaic: this loses annotated area
    but never calls un-annotated area annotated.

    Args:
        data (Tensor | np.ndarray | Sequence): Boxes (x1, y1, x2, y2) in
            pixels, shape (n, 4).
        *args: Further arguments of :class:`HorizontalBoxes`.
        unannotated (BaseGeometry, optional): Un-annotated area of the image
            in pixels. None: the whole image is annotated.
        is_cut (bool): Whether ``unannotated`` lies inside the image's frame.
        field_matrix (np.ndarray, optional): Homography from the pixels of the
            stored image to those of this one, shape (3, 3). None: unknown.
        **kwargs: Further arguments of :class:`HorizontalBoxes`.
    """

    def __init__(
        self,
        data: Any,
        *args,
        unannotated: Optional[BaseGeometry] = None,
        is_cut: bool = True,
        field_matrix: Optional[np.ndarray] = None,
        **kwargs,
    ) -> None:
        super().__init__(data, *args, **kwargs)
        self.unannotated = unannotated
        self.is_cut = is_cut
        self.field_matrix = field_matrix

    def __deepcopy__(self: T, memo: dict) -> T:
        other = super().__deepcopy__(memo)
        other._take_over(self)
        return other

    def _take_over(self, other: 'RegionBoxes') -> None:
        """Take over what other boxes know of the same image."""
        for name in _KNOWLEDGE_OF_IMAGE:
            setattr(self, name, getattr(other, name))

    @property
    def field_matrix(self) -> Optional[np.ndarray]:
        """np.ndarray | None: Homography from the stored image to this one.

        Maps pixels to pixels, shape (3, 3), float64. None if it is unknown:
        after several images were joined, and where there is neither area nor
        box, as some transforms then move the image alone.
        """
        if self.unannotated is None and self.tensor.size(0) == 0:
            return None
        return self._field_matrix

    @field_matrix.setter
    def field_matrix(self, matrix: Optional[np.ndarray]) -> None:
        if matrix is not None:
            matrix = np.array(matrix, dtype=np.float64)
        self._field_matrix = matrix

    @property
    def _is_area_alone(self) -> bool:
        """bool: Whether there is an un-annotated area but no box."""
        return self.tensor.size(0) == 0 and self.unannotated is not None

    def __len__(self) -> int:
        """Number of boxes, but 1 if there is an area and no box.

        ``RandomAffine`` warps the image but does not move boxes if
        ``len(boxes) == 0``, and so would leave the area behind. Use
        ``boxes.shape[0]`` for the number of boxes.
        """
        return 1 if self._is_area_alone else self.tensor.size(0)

    @property
    def centers(self) -> Tensor:
        """Tensor: Centres (x, y) of the boxes, shape (n, 2).

        Raises:
            NotImplementedError: If there is an area and no box.
                ``RandomCenterCropPad``, the only transform that reads the
                centres, would search for a crop with a centre for ever.
        """
        if self._is_area_alone:
            raise NotImplementedError(
                'got an image with un-annotated area and no box, expected at '
                'least one box: this transform (RandomCenterCropPad?) crops '
                'around boxes and cannot move the area alone. Use RandomCrop, '
                'or filter images without boxes (filter_empty_gt=True)'
            )
        return HorizontalBoxes.centers.fget(self)

    @staticmethod
    def overlaps(
        boxes1: BaseBoxes,
        boxes2: BaseBoxes,
        mode: str = 'iou',
        is_aligned: bool = False,
        eps: float = 1e-6,
    ) -> Tensor:
        """Compute overlaps as :class:`HorizontalBoxes` does.

        If ``boxes2`` have an area and no box, the result is -1 for one
        pretended box. Otherwise ``MinIoURandomCrop`` would crop the image
        without moving the area; now it finds no patch and keeps the image.

        Returns:
            Tensor: Shape (m, n), or (m, ) if ``is_aligned``.
        """
        if isinstance(boxes2, RegionBoxes) and boxes2._is_area_alone:
            return boxes1.tensor.new_full((boxes1.shape[0], 1), -1)
        return HorizontalBoxes.overlaps(
            boxes1, boxes2, mode=mode, is_aligned=is_aligned, eps=eps
        )

    @classmethod
    def cat(cls: Type[T], box_list: Sequence[T], dim: int = 0) -> T:
        """Join boxes and unite the un-annotated areas.

        The boxes of several images have no ``field_matrix``.

        Args:
            box_list (Sequence[RegionBoxes]): Boxes of images in one canvas.
            dim (int): Dimension along which to join.

        Returns:
            RegionBoxes: All boxes.
        """
        return cls._join(super().cat(box_list, dim=dim), box_list)

    @classmethod
    def stack(cls: Type[T], box_list: Sequence[T], dim: int = 0) -> T:
        """Stack boxes and unite the un-annotated areas, see :meth:`cat`."""
        return cls._join(super().stack(box_list, dim=dim), box_list)

    @staticmethod
    def _join(joined: T, box_list: Sequence[T]) -> T:
        joined.unannotated = join_areas(
            boxes.unannotated for boxes in box_list
        )
        joined.is_cut = all(boxes.is_cut for boxes in box_list)
        if len(box_list) == 1:
            joined._field_matrix = box_list[0]._field_matrix
        return joined

    def _cut(self, img_shape: Tuple[int, int]) -> None:
        """Cut the area at the frame of the image."""
        self.unannotated = cut_area(self.unannotated, img_shape[:2])
        self.is_cut = True

    def _move(self, matrix: Any) -> None:
        """Map the area by a homography, to an image of unknown frame."""
        matrix = np.asarray(matrix, dtype=np.float64)
        self.unannotated = move_area(self.unannotated, matrix)
        self.is_cut = False
        if self._field_matrix is not None:
            self._field_matrix = matrix @ self._field_matrix

    def flip_(
        self, img_shape: Tuple[int, int], direction: str = 'horizontal'
    ) -> None:
        """Flip boxes and area in place, see :class:`HorizontalBoxes`."""
        super().flip_(img_shape, direction)
        height, width = img_shape[:2]
        matrix = np.eye(3)
        if direction in ('horizontal', 'diagonal'):
            matrix[0, [0, 2]] = -1, width
        if direction in ('vertical', 'diagonal'):
            matrix[1, [1, 2]] = -1, height
        self._move(matrix)
        self._cut(img_shape)

    def translate_(self, distances: Tuple[float, float]) -> None:
        """Shift boxes and area in place along x and y."""
        super().translate_(distances)
        matrix = np.eye(3)
        matrix[:2, 2] = distances
        self._move(matrix)

    def rescale_(self, scale_factor: Tuple[float, float]) -> None:
        """Scale boxes and area in place along x and y."""
        super().rescale_(scale_factor)
        self._move(np.diag([*scale_factor, 1.0]))

    def rotate_(self, center: Tuple[float, float], angle: float) -> None:
        """Rotate boxes and area in place, clockwise in degrees."""
        super().rotate_(center, angle)
        matrix = np.eye(3)
        matrix[:2] = cv2.getRotationMatrix2D(center, -angle, 1)
        self._move(matrix)

    def project_(self, homography_matrix: Any) -> None:
        """Map boxes and area by a homography (3, 3) in place."""
        super().project_(homography_matrix)
        if isinstance(homography_matrix, Tensor):
            homography_matrix = homography_matrix.cpu().numpy()
        self._move(homography_matrix)

    def clip_(self, img_shape: Tuple[int, int]) -> None:
        """Clip boxes and area at the frame of the image in place."""
        super().clip_(img_shape)
        self._cut(img_shape)

    def is_inside(
        self,
        img_shape: Tuple[int, int],
        all_inside: bool = False,
        allowed_border: int = 0,
    ) -> BoolTensor:
        """Find boxes inside the image, and cut the area at its frame.

        For transforms that do not clip boxes (``bbox_clip_border=False``)
        this is the only method that gets the frame.

        Returns:
            BoolTensor: Shape (n, ).
        """
        self._cut(img_shape)
        return super().is_inside(img_shape, all_inside, allowed_border)


# Without this, boxes of the two types could not be compared.
register_box_converter('region_hbox', 'hbox', lambda tensor: tensor)
