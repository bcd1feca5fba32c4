"""`python -m experiments`; the code is in a module, where other processes find it by name."""

from experiments.run import main

if __name__ == "__main__":
    main()
