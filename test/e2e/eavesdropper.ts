import { readdirSync, readFileSync, statSync } from 'node:fs';
import { join } from 'node:path';
import { sha256 } from '../../src/gateway/secrets.ts';
import { CONNECT, dialTcp, type WireClient } from '../support/mqtt-wire.ts';
import { createPlanted } from '../support/planted.ts';
import type { Answer, CallOptions, Json, ServerProcess } from '../support/server.ts';

type Leaks = Readonly<Record<string, readonly string[]>>;
/** Whether this secret may stand there. */
type Skip = (secret: string, where: string) => boolean;

/** Somebody who hears all that a server says, and looks for the secrets in it that it was given. */
export interface Eavesdropper {
  /** Answers the secret. */
  plant(name: string, secret: string): string;
  /** The same, and plants its hash: what is kept of a token is shown to nobody either. */
  plantToken(name: string, token: string): string;
  hear(where: string, what: string): void;
  call(method: string, path: string, options?: CallOptions): Promise<Answer>;
  /** `POST` of what shows a secret once, in this field; plants it. The rest of the answer is heard like all others. */
  create(name: string, field: string, path: string, options: CallOptions): Promise<Json>;
  /** Connects to MQTT with these fields of CONNECT and hears every byte. */
  dial(name: string, login: object): Promise<WireClient>;
  /** The same as a client, which is let in. */
  dialAs(name: string, registration: Json, suffix: string): Promise<WireClient>;
  /** What was heard so far on a connection is forgotten: something was shown on it once. */
  forget(name: string): void;
  /** Where secrets were heard, with their names. */
  leaks(skip?: Skip): Leaks;
  /** The same for the files of a directory. */
  leaksIn(directory: string, skip?: Skip): Leaks;
}

const filesIn = (directory: string): string[] =>
  readdirSync(directory, { recursive: true, encoding: 'utf8' }).filter((file) =>
    statSync(join(directory, file)).isFile(),
  );

const HASH = 'hash of ';
/** Whether a name is that of a hash. */
export const isHash = (name: string): boolean => name.startsWith(HASH);

export const eavesdrop = (server: ServerProcess): Eavesdropper => {
  const planted = createPlanted();
  const heard: (readonly [where: string, what: string])[] = [];
  const wires = new Map<string, Buffer[]>();

  const plantToken = (name: string, token: string): string => {
    planted.plant(HASH + name, sha256(token));
    return planted.plant(name, token);
  };
  const leaksOf = (
    all: readonly (readonly [where: string, what: string | Uint8Array])[],
    skip: Skip = () => false,
  ): Leaks => {
    const leaks: Record<string, string[]> = {};
    for (const [where, what] of all) {
      const secrets = planted.foundIn(what).filter((secret) => !skip(secret, where));
      if (secrets.length > 0) leaks[where] = [...new Set([...(leaks[where] ?? []), ...secrets])];
    }
    return leaks;
  };
  const hear = (where: string, what: string): void => void heard.push([where, what]);
  const hearAnswer = (where: string, { status, headers, text }: Answer): void =>
    hear(`${where}, ${status}`, `${[...headers].map((header) => header.join(': ')).join('\n')}\n${text}`);

  const dial = async (name: string, login: object): Promise<WireClient> => {
    const client = await dialTcp(server.mqttPort);
    const chunks: Buffer[] = [];
    wires.set(name, chunks);
    client.stream.on('data', (chunk: Buffer) => chunks.push(chunk));
    client.send({ ...CONNECT, ...login });
    return client;
  };

  return {
    plant: planted.plant,
    plantToken,
    hear,
    call: async (method, path, options) => {
      const answer = await server.call(method, path, options);
      hearAnswer(`${method} ${path}`, answer);
      return answer;
    },
    create: async (name, field, path, options) => {
      const answer = await server.call('POST', path, options);
      const secret = answer.body?.[field] as unknown;
      if (answer.status !== 201 || typeof secret !== 'string') throw new Error(`${name} was refused: ${answer.text}`);
      plantToken(name, secret);
      hearAnswer(`POST ${path} of ${name}`, { ...answer, text: answer.text.replace(secret, '') });
      return answer.body;
    },
    dial,
    dialAs: async (name, { client_id, client_token }, suffix) => {
      const login = { clientId: `${client_id}:${suffix}`, username: client_id, password: client_token };
      const client = await dial(name, login);
      const { returnCode } = await client.expect('connack');
      if (returnCode !== 0) throw new Error(`${name} was refused with ${String(returnCode)}`);
      return client;
    },
    forget: (name) => void wires.get(name)?.splice(0),
    leaks: (skip) =>
      leaksOf([...heard, ...[...wires].map(([name, chunks]) => [name, Buffer.concat(chunks)] as const)], skip),
    leaksIn: (directory, skip) =>
      leaksOf(
        filesIn(directory).map((file) => [file, readFileSync(join(directory, file))] as const),
        skip,
      ),
  };
};
