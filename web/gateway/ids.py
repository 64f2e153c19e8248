"""Which ids the gateway dialect takes. A run's id is looked up as it is: a malformed one is unknown."""

from typing import Annotated

from litestar.params import PathParameter

# A `$` alone would let a line end pass behind the id.
ThreadId = Annotated[str, PathParameter(pattern=r"^[A-Za-z0-9_-]{1,64}(?!\n)$")]
