"""What the routes share: it hangs on the application, and each request finds it there."""

import contextlib
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Annotated

from fastapi import Depends, Request

from foveate.serving.files import Files
from foveate.serving.jobs import Jobs
from foveate.serving.keys import ANYBODY, Asker
from foveate.serving.service import Service
from foveate.serving.settings import Settings
from foveate.serving.streams import unless_gone
from foveate.serving.uploads import Folder


@dataclass(frozen=True)
class Desk:
    """One request's way to everything behind the routes."""

    request: Request
    service: Service
    folder: Folder
    files: Files
    jobs: Jobs

    @property
    def settings(self) -> Settings:
        return self.service.settings

    @property
    def asker(self) -> Asker:
        """Whose request it is."""
        found: Asker = getattr(self.request.state, "asker", ANYBODY)
        return found

    @property
    def request_id(self) -> str:
        found: str = self.request.state.request_id
        return found

    @contextlib.asynccontextmanager
    async def place(self) -> AsyncIterator[None]:
        """A place in work; who leaves while waiting gives up the place in the queue. See `Gate.place`."""
        place = self.service.gate.place(self.asker.name, bool(self.settings.keys))
        await unless_gone(self.request.receive, place.__aenter__())
        try:
            yield
        finally:
            await place.__aexit__(None, None, None)

    def note(self, **numbers: object) -> None:
        """Puts numbers into the request's line in the log."""
        self.request.state.note.update(numbers)


def _desk(request: Request) -> Desk:
    state = request.app.state
    return Desk(request, state.service, state.folder, state.files, state.jobs)


AtDesk = Annotated[Desk, Depends(_desk)]
