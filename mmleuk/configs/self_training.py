# Copyright (c) mmleuk authors. All rights reserved.


def self_training(
    labeller: str,
    labeller_share: float = 1 / 3,
    score_thr: float = 0.85,
    iou_thr: float = 0.5,
) -> dict:
    """Train on annotated rectangles, label the rest once, train on all of it.

    ``tools/self_train.py`` runs it.

    Args:
        labeller (str): Config of the first stage, `crop` on the same data,
            relative to this one.
        labeller_share (float): Share of its schedule that the labeller gets;
            the second stage gets the rest of its own. So both together see
            the pixels that every other method sees.
        score_thr (float): Least score of a detection that becomes a label. Of
            a well-trained labeller's boxes outside the rectangles, 19 in 20
            of this score have the right place and type.
        iou_thr (float): IoU from which a detection and a label are one cell.

    Returns:
        dict: ``self_training``.
    """
    return dict(
        labeller=labeller,
        labeller_share=labeller_share,
        score_thr=score_thr,
        iou_thr=iou_thr,
    )
