# Copyright (c) mmleuk authors. All rights reserved.
from .comparison import Reference, load_reference
from .patient_page import PatientEntry
from .report import write_reports
from .settings import BLAST_EQUIVALENTS, BLAST_TYPES, ReportSettings
from .statistics import Share, share_by_cells, shares_by_fields

__all__ = [
    'BLAST_EQUIVALENTS',
    'BLAST_TYPES',
    'PatientEntry',
    'Reference',
    'ReportSettings',
    'Share',
    'load_reference',
    'share_by_cells',
    'shares_by_fields',
    'write_reports',
]
