"""The gateway with graphql-core executing every operation, in place of its own engine; all else is the same."""

from typing import cast

from msgspec.structs import replace

from gateway.accounts.account import Account
from gateway.app import create_app
from gateway.log import configure_log
from gateway.settings import Settings
from gateway.web.server import Server, address, freeze_startup_objects, listen, run

if __name__ == "__main__":
    settings = Settings.load()
    configure_log(settings.log_level)
    app = create_app(settings)
    account = cast(Account, app.state.account)
    start = account.start
    account.start = lambda operation: start(replace(operation, reference=True))  # type: ignore[method-assign]
    with listen("127.0.0.1", 0, "--port") as listener:
        base = address(listener)

        def ready() -> None:
            freeze_startup_objects()
            print(f"listening {base}", flush=True)

        run(Server(app, ready).serve(sockets=[listener]))
