"""The encoder's widths in networks of the same layers with a tenth of the weights."""

WIDTHS = (8, 8, 16, 16, 32)
