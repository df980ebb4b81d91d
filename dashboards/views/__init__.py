"""The pages: each chooses, loads, computes and draws."""
