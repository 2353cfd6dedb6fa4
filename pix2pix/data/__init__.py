"""Photos for training: finding, reading, caching, splitting, augmenting."""
