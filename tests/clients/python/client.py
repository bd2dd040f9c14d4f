"""The client of pycrdt-websocket as its documentation shows it, told line by line what to do.

Each line on standard input is a command as JSON, `["set", "key", 1]`; each is answered by one line,
`{"answer": …}` or `{"error": "…"}`. Like the program in the documentation, whoever uses this client
connects anew when a connection has ended: so does this one, until it is told to stay offline.
"""

import json
import sys

import anyio
from anyio.to_thread import run_sync
from httpx_ws import HTTPXWSException, WebSocketUpgradeError, aconnect_ws
from httpx import HTTPError
from pycrdt import Doc, Map, Provider
from pycrdt.websocket.websocket import HttpxWebsocket

# The library for sockets takes 64 KiB at once unless it is told otherwise.
MESSAGE_BYTES_MAX = 256 << 20
PAUSE_S = 0.1


class Heard(HttpxWebsocket):
    """The channel of the library, which also notes that the server's state has come."""

    def __init__(self, websocket, path, client):
        super().__init__(websocket, path)
        self._client = client

    async def recv(self):
        # Whoever asks for the next message has applied the last one.
        self._client.synced = self._client.seen_step2
        try:
            message = await super().recv()
        except Exception:
            self._client.scope.cancel()
            raise
        if message[:2] == b"\x00\x01":
            self._client.seen_step2 = True
        return message


class Client:
    """One client of one map."""

    def __init__(self, url):
        self.url = url
        self.doc = Doc()
        self.feat = self.doc.get("feat", type=Map)
        self.wanted = anyio.Event()
        self.wanted.set()
        self.scope = anyio.CancelScope()
        self.socket = None
        self.online = False
        self.synced = False
        self.seen_step2 = False
        self.opened_count = 0
        self.refusals = []

    async def stay_connected(self):
        """Connects, and again whenever a connection has ended."""
        while True:
            await self.wanted.wait()
            with anyio.CancelScope() as self.scope:
                try:
                    await self.connect()
                except WebSocketUpgradeError as error:
                    self.refusals.append(error.response.status_code)
                except (HTTPXWSException, HTTPError, OSError, ExceptionGroup):
                    pass
            self.online = self.synced = self.seen_step2 = False
            self.socket = None
            await anyio.sleep(PAUSE_S)

    async def connect(self):
        """Until the connection ends."""
        async with aconnect_ws(self.url, max_message_size_bytes=MESSAGE_BYTES_MAX) as websocket:
            self.socket = websocket
            self.opened_count += 1
            channel = Heard(websocket, self.url, self)
            async with Provider(self.doc, channel):
                self.online = True
                await anyio.sleep_forever()

    def set(self, key, value):
        self.feat[key] = value

    def fill(self, key, letters):
        self.feat[key] = "x" * letters

    def get(self, key):
        return self.feat.get(key)

    def letters(self, key):
        return len(self.feat.get(key) or "")

    def content(self):
        return self.feat.to_py()

    def is_synced(self):
        return self.synced

    def go_offline(self):
        self.wanted = anyio.Event()
        self.scope.cancel()

    def go_online(self):
        self.wanted.set()

    def lose(self):
        """The connection breaks; the client comes back by itself."""
        self.scope.cancel()

    def is_online(self):
        return self.online

    def opened(self):
        return self.opened_count

    def is_denied(self):
        return not self.online and any(status in (401, 403) for status in self.refusals)


async def obey(client):
    while line := await run_sync(sys.stdin.readline, abandon_on_cancel=True):
        command, *arguments = json.loads(line)
        try:
            answer = {"answer": getattr(client, command)(*arguments)}
        except Exception as error:
            answer = {"error": repr(error)}
        print(json.dumps(answer), flush=True)


async def main():
    client = Client(sys.argv[1])
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(client.stay_connected)
        await obey(client)
        tasks.cancel_scope.cancel()


anyio.run(main)
