"""What you can do with a trained model: search, re-rank, compare designs, explore."""
