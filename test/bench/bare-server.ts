import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Reads a request and answers it, and nothing else: what a call costs here whatever is behind it. Sends its port to its parent. */
const server = createServer((request, response) => {
  request.resume().once('end', () => response.setHeader('content-type', 'application/json').end('{"ok":true}'));
});
server.listen(0, '127.0.0.1', () => process.send?.((server.address() as AddressInfo).port));
