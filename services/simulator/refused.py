"""What IB would refuse, raised by whoever notices: a request, an order or a cancel. Who asked is told code and text."""


class Refused(Exception):
    def __init__(self, code: int, text: str) -> None:
        super().__init__(text)
        self.code, self.text = code, text


def invalid(text: str) -> Refused:
    return Refused(321, f"Error validating request: {text}")
