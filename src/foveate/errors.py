"""One family of errors. Each message says what is wrong and how to go on.

    FoveateError
    ├── InputError                  what was asked for cannot be done as asked
    │   ├── SourceNotFound          no such file, folder or pattern
    │   ├── UnsupportedFormat       a file of a kind that foveate does not read
    │   ├── CorruptSource           a file that claims a format and breaks it
    │   ├── PasswordNeeded          an encrypted PDF, without the right password
    │   ├── SourceTooLarge          over the limit of bytes, pixels or pages
    │   ├── PageRangeError          pages that the document does not have, or that cannot be parsed
    │   ├── UnknownMode             not one of the modes
    │   ├── UnknownPrompt           not one of the prompts, or one that misses its reference
    │   └── OptionError             any other option out of its range
    ├── StorageError                results cannot be kept: a full disk, a folder that cannot be written
    └── ModelError                  a model that cannot be used
        ├── ModelNotFound           no such folder, hub id or embedded model
        ├── ConfigError             a config.json that does not describe a network of ours
        └── CheckpointError         weights that do not fit
            ├── MissingTensor       the network needs it, no file holds it
            ├── SurplusTensor       a file holds it, the network does not need it
            ├── MisshapedTensor     same name, other shape
            └── TruncatedShard      a file that ends before its tensors do

The command line ends with exit code 2 on any of them; the server answers 4xx.
"""


class FoveateError(Exception):
    """The root of the family."""


class InputError(FoveateError):
    """What was asked for cannot be done as asked."""


class SourceNotFound(InputError):
    """No such file, folder or pattern."""


class UnsupportedFormat(InputError):
    """A file of a kind that foveate does not read."""


class CorruptSource(InputError):
    """A file that claims a format and breaks it."""


class PasswordNeeded(InputError):
    """An encrypted PDF, without the right password."""


class SourceTooLarge(InputError):
    """Over the limit of bytes, pixels or pages."""


class PageRangeError(InputError):
    """Pages that the document does not have, or a range that cannot be parsed."""


class UnknownMode(InputError):
    """Not one of the modes."""


class UnknownPrompt(InputError):
    """Not one of the prompts, or one that misses its reference."""


class OptionError(InputError):
    """Any other option out of its range."""


class StorageError(FoveateError):
    """Results cannot be kept: a full disk, a folder that cannot be written."""


class ModelError(FoveateError):
    """A model that cannot be used."""


class ModelNotFound(ModelError):
    """No such folder, hub id or embedded model."""


class ConfigError(ModelError):
    """A config.json that does not describe a network of ours."""


class CheckpointError(ModelError):
    """Weights that do not fit the network."""


class MissingTensor(CheckpointError):
    """The network needs it, no file holds it."""


class SurplusTensor(CheckpointError):
    """A file holds it, the network does not need it."""


class MisshapedTensor(CheckpointError):
    """Same name, other shape."""


class TruncatedShard(CheckpointError):
    """A file that ends before its tensors do."""
