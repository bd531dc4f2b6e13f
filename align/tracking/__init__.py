"""What a run tells its trackers: Weights & Biases, TensorBoard, trackio.

`tracking.Tracking` is what programs use. It holds one `tracker.Tracker` for each name in
`tracking.report_to`, and sees to it that a tracker that fails costs its figures and never the run.
"""
