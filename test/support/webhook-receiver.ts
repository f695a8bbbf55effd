import { once } from 'node:events';
import { createServer, type IncomingHttpHeaders, type RequestListener } from 'node:http';
import { createServer as createTcpServer, type AddressInfo, type Server, type Socket } from 'node:net';
import { text } from 'node:stream/consumers';

export interface Received {
  readonly method: string | undefined;
  readonly path: string | undefined;
  readonly headers: IncomingHttpHeaders;
  readonly body: string;
}

export interface Receiver {
  readonly port: number;
  readonly url: string;
  /** Cuts every connection. */
  close(): Promise<void>;
}

const listening = async (server: Server, host: string, port: number): Promise<Receiver> => {
  const sockets = new Set<Socket>();
  server.on('connection', (socket: Socket) => {
    sockets.add(socket);
    socket.on('error', () => {}).on('close', () => sockets.delete(socket));
  });
  server.listen(port, host);
  await once(server, 'listening');
  const address = server.address() as AddressInfo;
  return {
    port: address.port,
    url: `http://${host}:${address.port}`,
    close: async () => {
      const closed = once(server.close(), 'close');
      for (const socket of sockets) socket.destroy();
      await closed;
    },
  };
};

/** An endpoint in this process that keeps what it gets; answers 204 unless told otherwise. */
export const startReceiver = async (
  answer: RequestListener = (_request, response) => void response.writeHead(204).end(),
  { host = '127.0.0.1', port = 0 }: { host?: string; port?: number } = {},
): Promise<Receiver & { readonly received: readonly Received[] }> => {
  const received: Received[] = [];
  const server = createServer((request, response) => {
    const { method, url: path, headers } = request;
    text(request).then(
      (body) => {
        received.push({ method, path, headers, body });
        answer(request, response);
      },
      // Whoever sent it is gone.
      () => {},
    );
  });
  return { ...(await listening(server, host, port)), received };
};

/** An endpoint that does what no HTTP server would, with the bytes of each connection. */
export const startRawReceiver = (onRequest: (socket: Socket) => void): Promise<Receiver> =>
  listening(
    createTcpServer((socket) => void socket.once('data', () => onRequest(socket))),
    '127.0.0.1',
    0,
  );
