"""The study: runs, tables, figures and the pipeline that makes them."""
