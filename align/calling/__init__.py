"""Asking models: many calls to one endpoint, with a journal, a rate limit and a budget that holds."""
