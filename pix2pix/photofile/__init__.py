"""A photo file in, a colorized photo file out."""
