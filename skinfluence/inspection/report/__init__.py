"""A report on a model: its findings, and the page that shows them."""
