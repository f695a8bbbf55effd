import type { IncomingMessage, Server as HttpServer } from 'node:http';
import { createServer, type AddressInfo } from 'node:net';
import type { Duplex } from 'node:stream';
import { createWebSocketStream, type WebSocket, WebSocketServer } from 'ws';

export type Accept = (stream: Duplex, remote: string) => void;

export interface Listener {
  close(): Promise<void>;
}

export interface TcpListener extends Listener {
  readonly address: { readonly host: string; readonly port: number };
}

/** Listens for MQTT over TCP. Rejects when the port cannot be had; the error's `cause` is the system's. */
export const listenTcp = (host: string, port: number, accept: Accept): Promise<TcpListener> =>
  new Promise((resolve, reject) => {
    const server = createServer({ noDelay: true, keepAlive: true }, (socket) =>
      accept(socket, `${socket.remoteAddress ?? 'unknown'}:${socket.remotePort ?? 0}`),
    );
    server.once('error', (cause) => reject(new Error(`cannot listen on ${host}:${port}: ${cause.message}`, { cause })));
    server.listen(port, host, () => {
      const bound = server.address() as AddressInfo;
      resolve({
        address: { host: bound.address, port: bound.port },
        close: () => new Promise((closed) => server.close(() => closed())),
      });
    });
  });

/** The names under which MQTT goes over WebSocket; the second is what clients of MQTT 3.1 ask for. */
const SUBPROTOCOLS = ['mqtt', 'mqttv3.1'];

/** A frame may carry several packets, and a packet may be cut anywhere [MQTT-6.0.0-2]. */
const FRAME_SLACK = 64 * 1024;

const turnAway = (socket: Duplex, status: string): void => {
  socket.end(`HTTP/1.1 ${status}\r\nConnection: close\r\nContent-Length: 0\r\n\r\n`);
};

/**
 * Takes MQTT over WebSocket on an HTTP server's path. Other paths are left to the server's other listeners and, where
 * there is none, answered 404.
 */
export const acceptWebSocket = (server: HttpServer, path: string, maxPacketBytes: number, accept: Accept): Listener => {
  const sockets = new WebSocketServer({
    noServer: true,
    clientTracking: false,
    perMessageDeflate: false,
    maxPayload: maxPacketBytes + FRAME_SLACK,
    handleProtocols: (offered) => SUBPROTOCOLS.find((name) => offered.has(name)) ?? false,
  });
  const onUpgrade = (request: IncomingMessage, socket: Duplex, head: Buffer): void => {
    socket.on('error', () => socket.destroy());
    if ((request.url ?? '/').split('?', 1)[0] !== path) {
      if (server.listenerCount('upgrade') === 1) turnAway(socket, '404 Not Found');
      return;
    }
    const offered = (request.headers['sec-websocket-protocol'] ?? '').split(',').map((name) => name.trim());
    if (!offered.some((name) => SUBPROTOCOLS.includes(name))) {
      turnAway(socket, '400 Bad Request');
      return;
    }
    sockets.handleUpgrade(request, socket, head, (ws: WebSocket) => {
      const stream = createWebSocketStream(ws);
      // A text frame ends the connection [MQTT-6.0.0-1]; asked before the stream hears of the frame.
      ws.prependListener('message', (_data, isBinary) => {
        if (!isBinary) stream.destroy();
      });
      accept(stream, `${request.socket.remoteAddress ?? 'unknown'}:${request.socket.remotePort ?? 0}`);
    });
  };
  server.on('upgrade', onUpgrade);
  return {
    close: () => {
      server.off('upgrade', onUpgrade);
      return new Promise((closed) => sockets.close(() => closed()));
    },
  };
};
