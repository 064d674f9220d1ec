"""Bars as Parquet files: their places, their columns, and how they come to be whole."""
