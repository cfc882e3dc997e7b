# Copyright (c) mmleuk authors. All rights reserved.
"""Exports as the labelling tools write them, and a way to read them."""

import json

from converter_fields import SCHEMA, write_images

from mmleuk.io import ConversionReport, ReadSettings, read_fields

# After the documents of CVAT ("CVAT for images 1.1").
CVAT = """<?xml version="1.0" encoding="utf-8"?>
<annotations>
  <version>1.1</version>
  <meta><task><id>7</id><labels>
    <label><name>neutrophil</name><type>rectangle</type></label>
  </labels></task><dumped>2024-05-01 10:00:00+00:00</dumped></meta>
  <image id="0" name="batch 1/a.png" width="64" height="48">
    <box label="Neutrophil" source="manual" occluded="0" xtl="1.50"
         ytl="2.00" xbr="20.25" ybr="22.00" z_order="0">
      <attribute name="Cell Size">large</attribute>
      <attribute name="nuclear_shape">irregular</attribute>
      <attribute name="Nucleolus">not stated</attribute>
      <attribute name="Nuclear Chromatin"></attribute>
      <attribute name="ignored">false</attribute>
    </box>
    <box label="annotated region" source="manual" occluded="0" xtl="0.00"
         ytl="0.00" xbr="32.00" ybr="48.00" z_order="0"></box>
    <box label="monocyte" source="manual" occluded="0" xtl="30" ytl="30"
         xbr="40" ybr="40" z_order="0">
      <attribute name="ignored">true</attribute>
    </box>
  </image>
  <image id="1" name="b.jpg" width="97" height="331"></image>
</annotations>
"""

VOC = """<annotation>
  <folder>images</folder>
  <filename>a.png</filename>
  <path>C:\\images\\a.png</path>
  <source><database>Unknown</database></source>
  <size><width>64</width><height>48</height><depth>3</depth></size>
  <segmented>0</segmented>
  <object>
    <name>neutrophil</name><pose>Unspecified</pose>
    <truncated>0</truncated><difficult>0</difficult>
    <bndbox><xmin>2</xmin><ymin>3</ymin><xmax>20</xmax><ymax>22</ymax></bndbox>
    <attributes>
      <attribute><name>Cell Size</name><value>small</value></attribute>
    </attributes>
  </object>
  <object>
    <name>monocyte</name><difficult>1</difficult>
    <bndbox><xmin>30</xmin><ymin>30</ymin><xmax>40</xmax><ymax>40</ymax>
    </bndbox>
  </object>
</annotation>
"""


def rectangle(key, label, x, y, width, height, **more):
    """A result of Label Studio, in percent of an image of 64 x 48."""
    value = dict(x=x, y=y, width=width, height=height, rotation=0)
    return dict(
        id=key,
        type='rectanglelabels',
        from_name='label',
        to_name='image',
        original_width=64,
        original_height=48,
        image_rotation=0,
        value=dict(value, rectanglelabels=[label], **more),
    )


def shape(kind, label='monocyte', **value):
    """A result of Label Studio for an image of 64 x 48 pixels."""
    return dict(
        id=kind,
        type=f'{kind}labels',
        original_width=64,
        original_height=48,
        image_rotation=0,
        value={**value, f'{kind}labels': [label]},
    )


def choice(key, name, *values):
    """A per-region choice of Label Studio."""
    place = dict(x=0, y=0, width=1, height=1, rotation=0)
    return dict(
        id=key,
        type='choices',
        from_name=name,
        to_name='image',
        original_width=64,
        original_height=48,
        value=dict(place, choices=list(values)),
    )


def task(image, *results, number=1, **annotation):
    """A task of Label Studio with one annotation."""
    return dict(
        id=number,
        data=dict(image=image),
        annotations=[
            dict(
                id=9,
                completed_by=1,
                was_cancelled=False,
                result=list(results),
                **annotation,
            )
        ],
        predictions=[],
        project=3,
    )


LABEL_STUDIO = [
    task(
        '/data/upload/3/0a1b2c3d-a.png',
        rectangle('x1', 'neutrophil', 25, 25, 25, 50),
        choice('x1', 'cell_size', 'large'),
        choice('x1', 'Nuclear Shape', 'irregular'),
        rectangle('x2', 'annotated region', 0, 0, 50, 100),
        rectangle('x3', 'monocyte', 75, 75, 12.5, 12.5),
        choice('x3', 'ignored', 'ignored'),
        dict(type='relation', from_id='x1', to_id='x3', direction='right'),
    ),
    task('/data/local-files/?d=lab/b%201.jpg', number=2),
]


class Exports:
    """A folder with images, in which exports are written and read."""

    def __init__(self, folder):
        self.folder = folder
        self.images = write_images(
            folder / 'images', {'a.png': (64, 48), 'b.jpg': (97, 331)}
        )
        write_images(folder / 'images', {'b 1.jpg': (10, 20)})

    def write(self, name, content):
        path = self.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        if isinstance(content, bytes):
            path.write_bytes(content)
        else:
            if not isinstance(content, str):
                content = json.dumps(content)
            path.write_text(content, encoding='utf-8')
        return path

    def read(self, source_format, content, **settings):
        """Write a file of an export and read it."""
        name = 'labels/a.xml' if source_format == 'voc' else 'export'
        path = self.write(name, content)
        if source_format == 'voc':
            path = path.parent
        return self.read_path(source_format, path, **settings)

    def read_path(self, source_format, path, **settings):
        self.report = ConversionReport()
        settings = {'schema': SCHEMA, **settings}
        return read_fields(
            str(path),
            source_format,
            ReadSettings(str(self.images), **settings),
            self.report,
        )
