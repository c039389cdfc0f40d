"""The gateway with graphql-core executing every operation, in place of its own engine; all else is the same."""

from functools import partial
from typing import cast

from gateway.app import create_app
from gateway.graph.operations import Operations
from gateway.log import configure_log
from gateway.server import Server, address, listen, run, settle_memory
from gateway.settings import Settings

if __name__ == "__main__":
    settings = Settings.load()
    configure_log(settings.log_level)
    app = create_app(settings)
    operations = cast(Operations, app.state.operations)
    operations.run = partial(operations.run, engine=False)  # type: ignore[method-assign]
    with listen("127.0.0.1", 0, "--port") as listener:
        base = address(listener)

        def ready() -> None:
            settle_memory()
            print(f"listening {base}", flush=True)

        run(Server(app, ready).serve(sockets=[listener]))
