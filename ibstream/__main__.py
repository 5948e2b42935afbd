"""The command `ibstream`, and `python -m ibstream`: the command line, with everything that it needs."""


def main() -> None:
    from services.cli.app import main as command_line

    command_line()


if __name__ == "__main__":
    main()
