"""A closed day of a stream, compacted into Parquet."""
