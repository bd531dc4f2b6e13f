"""The comparison in the forms that other tools read."""
