# The eleven attributes of WBCAtt (Tsutsui et al., NeurIPS 2023), as
# wbcatt_fields states them: the codes are indices of `values`.
attributes = [
    dict(
        name='cell_size',
        title='Cell Size',
        json_key='wbcatt_cell_size',
        values=('small', 'big'),
    ),
    dict(
        name='cell_shape',
        title='Cell Shape',
        json_key='wbcatt_cell_shape',
        values=('round', 'irregular'),
    ),
    dict(
        name='nucleus_shape',
        title='Nucleus Shape',
        json_key='wbcatt_nucleus_shape',
        values=(
            'unsegmented-round',
            'unsegmented-indented',
            'unsegmented-band',
            'segmented-bilobed',
            'segmented-multilobed',
            'irregular',
        ),
    ),
    dict(
        name='nuclear_cytoplasmic_ratio',
        title='Nuclear-Cytoplasmic Ratio',
        json_key='wbcatt_nuclear_cytoplasmic_ratio',
        values=('low', 'high'),
    ),
    dict(
        name='chromatin_density',
        title='Chromatin Density',
        json_key='wbcatt_chromatin_density',
        values=('loosely', 'densely'),
    ),
    dict(
        name='cytoplasm_vacuole',
        title='Cytoplasm Vacuole',
        json_key='wbcatt_cytoplasm_vacuole',
        values=('no', 'yes'),
    ),
    dict(
        name='cytoplasm_texture',
        title='Cytoplasm Texture',
        json_key='wbcatt_cytoplasm_texture',
        values=('clear', 'frosted'),
    ),
    dict(
        name='cytoplasm_colour',
        title='Cytoplasm Colour',
        json_key='wbcatt_cytoplasm_colour',
        values=('light blue', 'blue', 'purple blue'),
    ),
    dict(
        name='granule_type',
        title='Granule Type',
        json_key='wbcatt_granule_type',
        values=('nil', 'small', 'round', 'coarse'),
    ),
    dict(
        name='granule_colour',
        title='Granule Colour',
        json_key='wbcatt_granule_colour',
        values=('nil', 'pink', 'purple', 'red'),
    ),
    dict(
        name='granularity',
        title='Granularity',
        json_key='wbcatt_granularity',
        values=('no', 'yes'),
    ),
]
