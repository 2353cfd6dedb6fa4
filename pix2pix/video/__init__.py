"""Films: colorized frame by frame with steady colors, everything else in the file kept as it is."""
