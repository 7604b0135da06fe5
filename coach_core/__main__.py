"""`python -m coach_core ...`: everything that can be done without a browser."""

from coach_core.cli import main

if __name__ == "__main__":
    main()
