"""Predicted against measured, nothing fitted: the studies behind the book's evidence; see README.md."""
