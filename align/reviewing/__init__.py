"""People look at questions and responses in the browser: rating, undo, agreement, exports."""
