# One round of self-training, which tools/self_train.py runs: train on
# annotated rectangles, label the rest once, train on all of it. A child names
# the `labeller`: the config of the first stage, relative to its own.
self_training = dict(
    # Share of its schedule that the labeller gets; the second stage gets the
    # rest of its own. Both together see the pixels that every other method
    # sees.
    labeller_share=1 / 3,
    # Lowest score of a detection that becomes a label. Of a well-trained
    # labeller's boxes outside the rectangles, 19 in 20 of this score have the
    # right place and type.
    score_thr=0.85,
    # IoU from which a detection and a label are one cell.
    iou_thr=0.5,
)
