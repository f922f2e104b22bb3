"""What stands in the columns of a table: kinds, codes, encodings, and data frames in and out."""

__all__: list[str] = []
