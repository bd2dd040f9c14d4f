// What browsers have and older Nodes have not.

import WebSocket from 'ws';

globalThis.WebSocket ??= WebSocket;
