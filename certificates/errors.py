"""The one exception of the file layer."""


class FormatError(ValueError):
    """A file is not what FORMAT.md says it must be; the message says where and what to do."""
