"""Networks run: every network behind one hook interface, with its codec and trained weights."""
