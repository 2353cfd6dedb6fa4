"""Scores, tables and pages that say how good a colorizer is."""
