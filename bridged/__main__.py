"""`python -m bridged` is `bridged`."""

from bridged.cli import main

if __name__ == "__main__":
    main()
