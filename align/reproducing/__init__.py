"""Running a recorded run again, and saying what differs."""
