# Copyright (c) mmleuk authors. All rights reserved.
import os.path as osp
import re
from pathlib import Path
from typing import Sequence
from xml.etree import ElementTree

from mmleuk.io.atomic_write import write_text
from mmleuk.io.attribute_names import IGNORED, NOT_STATED
from mmleuk.io.conversion_report import ConversionError
from mmleuk.io.label_setup import cvat_attributes
from mmleuk.structures.record import Box, FieldRecord

from .base_writer import (
    BaseWriter,
    ToolWriter,
    label_names,
    write_label_files,
)

# What XML 1.0 has no way to write.
NOT_XML = re.compile('[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]')


def _add(parent: ElementTree.Element, tag: str, text: object) -> None:
    """Add an element that holds a text."""
    ElementTree.SubElement(parent, tag).text = str(text)


def _dump(root: ElementTree.Element) -> str:
    """Write a tree as text, refusing characters that XML can not hold."""
    for element in root.iter():
        for text in (element.text or '', *element.attrib.values()):
            if NOT_XML.search(text):
                raise ConversionError(
                    f'the name {text[:80]!r} has characters that XML can not '
                    'hold. Rename it, or convert to a JSON format'
                )
    ElementTree.indent(root)
    text = ElementTree.tostring(root, encoding='unicode')
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}\n'


class VocWriter(BaseWriter):
    """Writes Pascal VOC: one XML file an image, in the images' folders.

    Coordinates are edges of pixels, with fractions. Ignored cells are
    ``difficult``, attributes stand where CVAT and Datumaro have them. It holds
    no annotated regions.
    """

    holds_regions = False

    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write one XML file an image."""
        names = label_names(fields, one_folder=False)
        texts = {
            name: _dump(self._make(field))
            for name, field in zip(names, fields)
        }
        write_label_files(target, texts, '.xml')

    def _make(self, field: FieldRecord) -> ElementTree.Element:
        """Make the file of one image."""
        root = ElementTree.Element('annotation')
        _add(root, 'folder', osp.dirname(field.file_name))
        _add(root, 'filename', field.file_name)
        size = ElementTree.SubElement(root, 'size')
        _add(size, 'width', field.width)
        _add(size, 'height', field.height)
        _add(size, 'depth', 3)
        _add(root, 'segmented', 0)
        for cell in field.cells:
            item = ElementTree.SubElement(root, 'object')
            _add(item, 'name', cell.category)
            _add(item, 'difficult', int(cell.ignored))
            box = ElementTree.SubElement(item, 'bndbox')
            for side, number in zip(
                ('xmin', 'ymin', 'xmax', 'ymax'), cell.bbox
            ):
                _add(box, side, number)
            known = self.known_values(cell)
            if known:
                attributes = ElementTree.SubElement(item, 'attributes')
                for stated, value in known:
                    attribute = ElementTree.SubElement(attributes, 'attribute')
                    _add(attribute, 'name', stated.title)
                    _add(attribute, 'value', value)
        return root


class CvatWriter(ToolWriter):
    """Writes "CVAT for images 1.1", to be uploaded to a task."""

    def _write(self, fields: Sequence[FieldRecord], target: str) -> None:
        """Write one XML file."""
        root = ElementTree.Element('annotations')
        _add(root, 'version', '1.1')
        self._add_labels(root)
        for index, (field, regions) in enumerate(
            zip(fields, self._regions(fields))
        ):
            image = ElementTree.SubElement(
                root,
                'image',
                id=str(index),
                name=field.file_name,
                width=str(field.width),
                height=str(field.height),
            )
            for region in regions:
                self._add_box(image, self.region_label, region)
            for cell in field.cells:
                box = self._add_box(image, cell.category, cell.bbox)
                named = dict.fromkeys(self.schema.titles, NOT_STATED)
                for attribute, value in self.known_values(cell):
                    named[attribute.title] = value
                named[IGNORED] = str(cell.ignored).lower()
                for title, value in named.items():
                    ElementTree.SubElement(
                        box, 'attribute', name=title
                    ).text = value
        write_text(Path(target), _dump(root))

    def _add_labels(self, root: ElementTree.Element) -> None:
        """Add the labels of the task, as exports have them."""
        meta = ElementTree.SubElement(root, 'meta')
        task = ElementTree.SubElement(meta, 'task')
        labels = ElementTree.SubElement(task, 'labels')
        attributes = cvat_attributes(self.schema)
        for name in (*self.classes, self.region_label):
            label = ElementTree.SubElement(labels, 'label')
            _add(label, 'name', name)
            _add(label, 'type', 'rectangle')
            listed = ElementTree.SubElement(label, 'attributes')
            for item in attributes if name in self.classes else ():
                attribute = ElementTree.SubElement(listed, 'attribute')
                _add(attribute, 'name', item['name'])
                _add(attribute, 'mutable', item['mutable'])
                _add(attribute, 'input_type', item['input_type'])
                _add(attribute, 'default_value', item['default_value'])
                _add(attribute, 'values', '\n'.join(item['values']))

    @staticmethod
    def _add_box(
        image: ElementTree.Element, label: str, box: Box
    ) -> ElementTree.Element:
        """Add one rectangle."""
        sides = zip(('xtl', 'ytl', 'xbr', 'ybr'), map(str, box))
        return ElementTree.SubElement(
            image,
            'box',
            dict(
                label=label,
                source='manual',
                occluded='0',
                **dict(sides),
                z_order='0',
            ),
        )
