#!/usr/bin/env node
import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { Command, InvalidArgumentError } from 'commander';
import { openPolicy } from './access.ts';
import { createEmbeddedBroker } from './embedded.ts';

interface Flags {
  readonly host: string;
  readonly port: number;
  readonly wsPort?: number;
}

const portNumber = (text: string): number => {
  const port = Number(text);
  if (!/^\d+$/.test(text) || port > 65_535) throw new InvalidArgumentError('expected a port from 0 to 65535.');
  return port;
};

const flags = new Command('arbor-broker')
  .description('The MQTT 3.1.1 broker of Arbor Gateway alone, open to anyone who can reach it.')
  .requiredOption('--port <port>', 'TCP port, 0 for a free one', portNumber)
  .option('--host <host>', 'address to listen on', '127.0.0.1')
  .option('--ws-port <port>', 'port for MQTT over WebSocket at /mqtt', portNumber)
  .parse()
  .opts<Flags>();

/** One line that names the flag to change. */
const giveUp = (flag: string, error: unknown): never => {
  process.stderr.write(`arbor-broker: ${flag}: ${error instanceof Error ? error.message : String(error)}\n`);
  process.exit(1);
};

const broker = await createEmbeddedBroker({
  policy: openPolicy,
  onError: (error) => process.stderr.write(`arbor-broker: ${error instanceof Error ? error.message : String(error)}\n`),
});
const http = createServer((_request, response) => response.writeHead(404).end());

const stop = async (): Promise<void> => {
  http.close();
  await broker.close();
  process.exit(0);
};
process.on('SIGTERM', () => void stop()).on('SIGINT', () => void stop());

const { port } = await broker.listenTcp(flags).catch((error: unknown) => giveUp('--port', error));
const addresses = [`mqtt://${flags.host}:${port}`];
if (flags.wsPort !== undefined) {
  broker.acceptWebSocket(http);
  await new Promise<void>((resolve, reject) => {
    http.once('error', reject).listen(flags.wsPort, flags.host, resolve);
  }).catch((error: unknown) => giveUp('--ws-port', error));
  addresses.push(`ws://${flags.host}:${(http.address() as AddressInfo).port}/mqtt`);
}
process.stdout.write(`arbor-broker listening ${addresses.join(' ')}\n`);
