import { connect } from 'node:net';
import { within } from './mqtt-wire.ts';

export interface RawAnswer {
  readonly status: number;
  /** In their order, without the date. */
  readonly headers: readonly string[];
  readonly body: string;
}

/**
 * One request over a connection of its own, byte for byte: what no HTTP client would send. Latin-1 text, one character a
 * byte. Answers 0 as the status where the server closed without a word.
 */
export const rawHttp = async (url: string, head: readonly string[], body = ''): Promise<RawAnswer> => {
  const { hostname, port } = new URL(url);
  const socket = connect(Number(port), hostname);
  let text = '';
  socket.setEncoding('latin1').on('data', (chunk: string) => {
    text += chunk;
  });
  // A server that has answered before it has read everything resets the connection.
  const closed = new Promise<void>((resolve) => void socket.on('error', () => {}).once('close', () => resolve()));
  socket.write(`${[...head, `Host: ${hostname}`, 'Connection: close'].join('\r\n')}\r\n\r\n${body}`, 'latin1');
  await within('answer', closed);
  const [lines = '', rest = ''] = text.split(/\r\n\r\n([^]*)/);
  const [status = '', ...headers] = lines.split('\r\n');
  return {
    status: Number(/^HTTP\/1\.1 (\d{3})/.exec(status)?.[1] ?? 0),
    headers: headers.filter((line) => !/^date:/i.test(line)),
    body: rest,
  };
};
