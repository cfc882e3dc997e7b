# Copyright (c) mmleuk authors. All rights reserved.
import gc
import logging
from collections import Counter
from contextlib import contextmanager
from typing import (
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Union,
)

from mmdet.datasets import BaseDetDataset
from mmengine import fileio
from mmengine.logging import print_log

from mmleuk.io.errors import AnnotationError
from mmleuk.io.faults import NOTHING_LEFT, UNLISTED_CLASS
from mmleuk.io.image_folder import ImageFolder
from mmleuk.io.issue_log import IssueLog
from mmleuk.io.readers import (
    READERS,
    SparseTextReader,
    YoloTextReader,
    detect_format,
)
from mmleuk.registry import DATASETS
from mmleuk.structures import AttributeSchema
from mmleuk.structures.class_map import ClassMap, LabelMap
from mmleuk.structures.metainfo import LLD_METAINFO, make_palette, make_schema
from mmleuk.structures.record import FieldRecord

from .naming import (
    match_folder,
    normalise_patient,
    normalise_subset,
    parse_field_name,
)


class _Part(NamedTuple):
    """Annotations of one subset and the folder of its images."""

    subset: Optional[str]
    ann_file: str
    images: ImageFolder


@contextmanager
def _no_garbage_collection() -> Iterator[None]:
    """Pause garbage collection, which takes half of the time of loading."""
    # It visits millions of new objects again and again to find cycles, of
    # which plain data has none.
    was_enabled = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_enabled:
            gc.enable()


@DATASETS.register_module()
class LLDDataset(BaseDetDataset):
    """The Large Leukemia Dataset, and other cells in its formats.

    Annotations are named in one of two ways. With ``subset`` they are found in
    the released layout::

        <data_root>/<subset>/images/<split>/*.png
        <data_root>/<subset>/json_labels/<split>.json
        <data_root>/<subset>/txt_labels/AttriDet/<split>/*.txt

    where ``ann_file`` and ``data_prefix['img']``, if given, stand for a path
    inside the folder of the subset. Without ``subset`` both are given as in
    :class:`mmdet.CocoDataset`; a folder as ``ann_file`` means text labels.

    An item of the dataset (``data_info``) has:

    - img_path (str), img_id (int | str), height, width (int): img_id is that
      of the JSON file, or a running number over text labels and over several
      subsets.
    - instances (list[dict]): bbox ([x1, y1, x2, y2] in pixels), bbox_label
      (int), ignore_flag (0 | 1), attributes (tuple of one code per attribute,
      -1 where it is missing).
    - num_attributes (int): that of the schema.
    - annotated_regions (list[list[float]] | None): rectangles
      [x1, y1, x2, y2] in pixels outside which nothing is known; None where the
      whole image is annotated.
    - patient, field, magnification, diagnosis (str | None): from the file
      name. subset (str | None): its name.

    Faults of the data are repaired or their records dropped, counted in
    ``issues``, and named in one line of the log a kind: docs/dataset.md lists
    them. An image whose pixels are damaged is an error of
    ``LoadImageFromFile`` that names it; ``check_dataset.py`` finds it before.

    Args:
        ann_file (str): JSON file or folder of text labels.
        metainfo (dict, optional): Overrides of ``METAINFO``. The classes that
            annotations name are matched to ``metainfo['classes']`` by name.
            ``classes_without_attributes`` are names of classes in the
            annotations. ``missing_codes`` are codes of a missing attribute
            besides those of the format. ``text_columns`` names the attribute
            columns of text labels if they are not LLD's.
        data_root (str): Root of ``ann_file``, ``data_prefix`` and the folders
            of the subsets.
        data_prefix (dict): Folder of the images under ``img``.
        subset (str | Sequence[str], optional): Name of one subset, such as
            ``'H_100X_C1'``, or of several. Casing is free.
        split (str): ``'train'`` or ``'test'``; used with ``subset``.
        ann_format (str): ``'json'``, ``'sparse_json'``, ``'text'`` or
            ``'sparse_text'``, or ``'auto'`` to tell by the file, taking a
            subset's JSON first.
        region_order (str): Order of the rectangle in sparse text, see
            :class:`SparseTextReader`.
        use_regions (bool): Whether what lies outside annotated regions is
            unknown. If False, it is background.
        class_map (str | dict, optional): Classes to merge, ignore or drop,
            see :class:`ClassMap`: ``'wbc'`` makes one class of all,
            ``'blast'`` tells blasts from others. Unless ``metainfo`` names
            classes, they follow from the map.
        patients (Sequence[str | int], optional): Patients to keep; None
            keeps all.
        exclude_patients (Sequence[str | int], optional): Patients to leave
            out.
        strict (bool): Whether the first fault is an error that names file and
            record, instead of being repaired and counted.
        filter_cfg (dict, optional): As in mmdet, used outside ``test_mode``:
            ``filter_empty_gt`` drops images without a cell that is not
            ignored, ``min_size`` those with a shorter side, in pixels.
        kwargs (dict): Other arguments of :class:`mmdet.BaseDetDataset`.
    """

    METAINFO = LLD_METAINFO

    def __init__(
        self,
        ann_file: str = '',
        metainfo: Optional[Mapping] = None,
        data_root: str = '',
        data_prefix: Mapping[str, str] = dict(img=''),  # noqa: B006
        *,
        subset: Union[str, Sequence[str], None] = None,
        split: str = 'train',
        ann_format: str = 'auto',
        region_order: str = 'auto',
        use_regions: bool = True,
        class_map: Union[str, Mapping[str, Optional[str]], None] = None,
        patients: Optional[Sequence[Union[str, int]]] = None,
        exclude_patients: Optional[Sequence[Union[str, int]]] = None,
        strict: bool = False,
        **kwargs,
    ) -> None:
        if ann_format not in ('auto', *READERS):
            raise ValueError(
                f'ann_format is {ann_format!r}, expected "auto" or one of '
                f'{list(READERS)}'
            )
        if subset is None and not ann_file:
            raise ValueError(
                'LLDDataset got neither `subset` nor `ann_file`. Name a '
                "subset (subset='H_100X_C1') or an annotation file."
            )
        self.subsets = [subset] if isinstance(subset, str) else subset
        self.split = split
        self.ann_format = ann_format
        self.region_order = region_order
        self.use_regions = use_regions
        self.class_map = ClassMap(class_map)
        self.patients = self._check_patients(patients, 'patients')
        self.exclude_patients = self._check_patients(
            exclude_patients, 'exclude_patients'
        )
        self.strict = strict
        self.issues = IssueLog(strict)
        super().__init__(
            ann_file=ann_file,
            metainfo=self._complete_metainfo(metainfo),
            data_root=data_root,
            data_prefix=data_prefix,
            **kwargs,
        )

    @property
    def schema(self) -> AttributeSchema:
        """AttributeSchema: The attributes of every cell."""
        return make_schema(self._metainfo)

    @staticmethod
    def _check_patients(
        patients: Optional[Sequence], name: str
    ) -> Optional[frozenset]:
        """Normalise a list of patients, refusing a bare string."""
        if patients is None:
            return None
        if isinstance(patients, (str, int)):
            raise TypeError(
                f'{name} is {patients!r}, expected a list such as '
                f'[{patients!r}]'
            )
        return frozenset(map(normalise_patient, patients))

    def _complete_metainfo(
        self, metainfo: Optional[Mapping]
    ) -> Optional[dict]:
        """Add what follows from the class map and from overridden classes."""
        if metainfo is not None and not isinstance(metainfo, Mapping):
            raise TypeError(
                f'metainfo is {metainfo!r}, expected a dict such as '
                'dict(classes=(...))'
            )
        metainfo = dict(metainfo or {})
        if self.class_map:
            metainfo.setdefault('classes', self.class_map.classes())
        for key in ('classes', 'classes_without_attributes', 'text_columns'):
            if isinstance(metainfo.get(key), str):
                raise TypeError(
                    f'metainfo has the {key} {metainfo[key]!r}, expected a '
                    'tuple of names'
                )
        if 'classes' in metainfo:
            metainfo['classes'] = tuple(metainfo['classes'])
            metainfo.setdefault('palette', make_palette(metainfo['classes']))
        return metainfo

    def _join_prefix(self) -> None:
        """Join paths with ``data_root``, unless they belong to subsets."""
        if self.subsets is None:
            super()._join_prefix()

    def _join(self, *parts: str) -> str:
        """Join a path in the file backend."""
        return fileio.join_path(*parts, backend_args=self.backend_args)

    def _find_parts(self) -> List[_Part]:
        """Find the annotations and images of each subset."""
        if self.subsets is None:
            images = self._image_folder(self.data_prefix['img'])
            return [_Part(None, self.ann_file, images)]
        names = [normalise_subset(name) for name in self.subsets]
        if not names or len(set(names)) < len(names):
            raise ValueError(
                f'subset is {list(self.subsets)}, expected one or more '
                'different names'
            )
        root = self.data_root or '.'
        folders = []
        if fileio.isdir(root, self.backend_args):
            folders = list(
                fileio.list_dir_or_file(
                    root, list_file=False, backend_args=self.backend_args
                )
            )
        parts = []
        for asked, name in zip(self.subsets, names):
            folder = self._join(root, match_folder(asked, folders, root))
            prefix = self.data_prefix.get('img') or f'images/{self.split}'
            parts.append(
                _Part(
                    name,
                    self._find_annotations(folder, name),
                    self._image_folder(self._join(folder, prefix)),
                )
            )
        return parts

    def _image_folder(self, path: str) -> ImageFolder:
        """Make the folder of images; links may lead inside ``data_root``."""
        return ImageFolder(path, self.backend_args, self.data_root)

    def _find_annotations(self, folder: str, subset: str) -> str:
        """Find the annotations in the folder of a subset."""
        if self.ann_file:
            return self._join(folder, self.ann_file)
        json_file = self._join(folder, 'json_labels', f'{self.split}.json')
        text_folder = self._join(folder, 'txt_labels', 'AttriDet', self.split)
        candidates = [json_file, text_folder]
        if self.ann_format != 'auto':
            candidates = [
                text_folder if 'text' in self.ann_format else json_file
            ]
        for path in candidates:
            if fileio.exists(path, self.backend_args):
                return path
        raise FileNotFoundError(
            f'The subset {subset} has no annotations of the split '
            f'{self.split!r}: {" and ".join(candidates)} are not there. Set '
            '`ann_file` and `data_prefix` to their place in the folder of '
            'the subset, or leave the subset out (the released L_10X_C1 is '
            'empty).'
        )

    def _read_part(self, part: _Part) -> List[FieldRecord]:
        """Read the fields of one subset."""
        ann_format = self.ann_format
        if ann_format == 'auto':
            ann_format = detect_format(part.ann_file, self.backend_args)
        reader_class = READERS[ann_format]
        options = {}
        if issubclass(reader_class, YoloTextReader):
            options['columns'] = self._metainfo.get('text_columns')
        if issubclass(reader_class, SparseTextReader):
            options['region_order'] = self.region_order
        reader = reader_class(
            self.schema,
            part.images,
            issues=self.issues,
            backend_args=self.backend_args,
            **options,
        )
        return reader.read(part.ann_file)

    def load_data_list(self) -> List[dict]:
        """Read the annotations of all subsets.

        Returns:
            list[dict]: One ``data_info`` an image, of the patients chosen.

        Raises:
            AnnotationError: If annotations can't be understood, or name a
                class that the dataset does not have.
            FileNotFoundError: If annotations or images are not there.
            ValueError: If patients are chosen and a file name states none.
        """
        self.issues = IssueLog(self.strict)
        parts = self._find_parts()
        label_map = LabelMap(self.class_map, self.metainfo['classes'])
        data_list: List[dict] = []
        with _no_garbage_collection():
            for part in parts:
                for record in self._read_part(part):
                    info = self._make_data_info(part, record, label_map)
                    if record.image_id is None or len(parts) > 1:
                        info['img_id'] = len(data_list)
                    data_list.append(info)
        data_list = self._choose_patients(data_list)
        self._log_summary(parts, data_list)
        return data_list

    def _make_data_info(
        self, part: _Part, record: FieldRecord, label_map: LabelMap
    ) -> dict:
        """Turn one record into the form that mmdet's transforms read."""
        instances = []
        for cell in record.cells:
            try:
                labelled = label_map(cell.category, cell.ignored)
            except KeyError as error:
                raise AnnotationError(
                    part.ann_file,
                    f'image {record.file_name}',
                    f'a cell is of the class {cell.category!r}, which gives '
                    f'the class {error}, expected one of {label_map.classes}',
                    UNLISTED_CLASS.fix,
                    UNLISTED_CLASS,
                ) from None
            if labelled is None:
                continue
            label, ignored = labelled
            instances.append(
                dict(
                    bbox=list(cell.bbox),
                    bbox_label=label,
                    ignore_flag=int(ignored),
                    attributes=cell.attributes,
                )
            )
        regions = None
        if self.use_regions and record.annotated_regions is not None:
            regions = [list(region) for region in record.annotated_regions]
        data_info = dict(
            img_path=part.images.join(record.file_name),
            img_id=record.image_id,
            height=record.height,
            width=record.width,
            instances=instances,
            num_attributes=len(self._metainfo['attributes']),
            annotated_regions=regions,
            subset=part.subset,
            **parse_field_name(record.file_name)._asdict(),
        )
        if self.return_classes:
            data_info.update(
                text=self.metainfo['classes'],
                caption_prompt=self.caption_prompt,
                custom_entities=True,
            )
        return data_info

    def _choose_patients(self, data_list: List[dict]) -> List[dict]:
        """Keep the images of the patients that are asked for."""
        if self.patients is None and self.exclude_patients is None:
            return data_list
        nameless = [
            info['img_path'] for info in data_list if info['patient'] is None
        ]
        if nameless:
            raise ValueError(
                f"{len(nameless)} of {len(data_list)} images can't be chosen "
                'by patient, since their file names state none: '
                f'{", ".join(nameless[:3])}, expected names such as '
                '"4_15_1000_ALL.png". Rename them, or leave out `patients` '
                'and `exclude_patients`.'
            )
        keys = [normalise_patient(info['patient']) for info in data_list]
        excluded = self.exclude_patients or frozenset()
        absent = (excluded | (self.patients or frozenset())).difference(keys)
        if absent:
            print_log(
                f'{self.__class__.__name__}: no image is of the patients '
                f'{", ".join(sorted(absent))} that the config names',
                logger='current',
                level=logging.WARNING,
            )
        return [
            info
            for key, info in zip(keys, data_list)
            if (self.patients is None or key in self.patients)
            and key not in excluded
        ]

    def _log_summary(
        self, parts: Sequence[_Part], data_list: Sequence[dict]
    ) -> None:
        """Log what was read, and each kind of fault in a line of its own."""
        sources = ', '.join(part.ann_file for part in parts)
        flags = Counter(
            instance['ignore_flag']
            for info in data_list
            for instance in info['instances']
        )
        faults = self.issues.lines()
        found = f'{len(faults)} kind(s), named below' if faults else 'none'
        name = self.__class__.__name__
        print_log(
            f'{name}: {len(data_list)} images with {flags[0]} cells and '
            f'{flags[1]} ignored ones from {sources}; faults: {found}',
            logger='current',
        )
        for line in faults:
            print_log(f'{name}: {line}', 'current', logging.WARNING)

    def filter_data(self) -> List[dict]:
        """Filter images by ``filter_cfg``, outside ``test_mode``.

        Raises:
            AnnotationError: If none is left.
        """
        data_list = self.data_list
        if not self.test_mode and self.filter_cfg is not None:
            min_size = self.filter_cfg.get('min_size', 0)
            keep_empty = not self.filter_cfg.get('filter_empty_gt', False)
            data_list = [
                info
                for info in data_list
                if min(info['width'], info['height']) >= min_size
                and (
                    keep_empty
                    or not all(
                        instance['ignore_flag']
                        for instance in info['instances']
                    )
                )
            ]
        if not data_list:
            raise AnnotationError(
                str(self.subsets or self.ann_file),
                '',
                f'no image is left of {len(self.data_list)}, expected at '
                'least one',
                'Check `patients`, `exclude_patients`, `class_map` and '
                f'`filter_cfg` ({self.filter_cfg})',
                NOTHING_LEFT,
            )
        return data_list

    def get_cat_ids(self, idx: int) -> List[int]:
        """Get the labels of those cells of an image that are not ignored."""
        return [
            instance['bbox_label']
            for instance in self.get_data_info(idx)['instances']
            if not instance['ignore_flag']
        ]
