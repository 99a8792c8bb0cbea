"""Parquet files row group by row group and page by page, as far as they are whole."""
