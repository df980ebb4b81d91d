"""`python -m worldscope`, the same as `worldscope`."""

from worldscope.cli import main

if __name__ == "__main__":
    main()
