import autocannon from 'autocannon';
import mqtt from 'mqtt';
import { ROOMY_GRANTS } from '../grants.ts';
import { asked, serve } from '../serve.ts';
import { IN_FLIGHT, print, quantile } from '../summary.ts';

/**
 * How soon guests are gone when the share that let them in is revoked over HTTP: to the closed socket of MQTT, the end of
 * the event stream and the answer to the long-poll. From the answer, which is sent after the commit; and from the turn that
 * revoked, as its event says, which the commit follows: so long at most. Without load, and beside another session whose
 * executions leave the server no idle moment.
 */
const REPETITIONS = 30;
const GUESTS = 3;
/** A long-poll that was sent so long ago is waiting. */
const SETTLE_MS = 200;
/** Characters in which the last two events of a guest have room. */
const LAST_WORDS = 4_000;
/** Who is still there then was never cut. */
const NEVER_MS = 5_000;

const { workspace, server } = await serve(['noop', 'hold'], { policy: ROOMY_GRANTS, agents: { threads: 3 } });
const { session_id } = await server.open('cli');
const { execution_id } = await asked(server, 'POST', `/v1/sessions/${session_id}/commands`, {
  body: { command: 'hold', timeout: 3_600 },
  headers: { prefer: 'respond-async' },
});

interface Guest {
  readonly client_id: string;
  readonly client_token: string;
  readonly event_channel: string;
}

/** Times are milliseconds since the epoch. */
const now = (): number => performance.timeOrigin + performance.now();

/** When the server has ended a connection of a guest. */
interface Connected {
  readonly ended: Promise<number>;
}

const bearer = ({ client_token }: Guest): { readonly authorization: string } => ({
  authorization: `Bearer ${client_token}`,
});

const overMqtt = async ({ client_id, client_token, event_channel }: Guest): Promise<Connected> => {
  const client = mqtt.connect(server.mqtt, {
    protocolVersion: 4,
    clientId: client_id,
    username: client_id,
    password: client_token,
    reconnectPeriod: 0,
  });
  const ended = new Promise<number>((resolve) => client.on('close', () => resolve(now())));
  await new Promise<void>((resolve, reject) => {
    client.once('connect', () => resolve()).once('error', reject);
  });
  await client.subscribeAsync(event_channel, { qos: 1 });
  return { ended };
};

/** `revoked` is the time of the turn that took the guest's right, which it hears last. */
const overSse = async (guest: Guest): Promise<Connected & { readonly revoked: () => number }> => {
  const answer = await fetch(`${server.http}/v1/sessions/${session_id}/events`, {
    headers: { ...bearer(guest), accept: 'text/event-stream' },
  });
  if (answer.status !== 200) throw new Error(`the stream was answered with ${answer.status}`);
  const reader = (answer.body as ReadableStream<Uint8Array>).pipeThrough(new TextDecoderStream()).getReader();
  await reader.read();
  let last = '';
  const end = async (): Promise<number> => {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return now();
      last = (last + value).slice(-LAST_WORDS);
    }
  };
  return {
    ended: end(),
    revoked: () => Date.parse(/"type":"capability_revoked","timestamp":"([^"]+)"/.exec(last)?.[1] ?? ''),
  };
};

const overLongPoll = (guest: Guest): Connected => {
  const end = async (): Promise<number> => {
    const answer = await fetch(`${server.http}/v1/executions/${execution_id}?wait=60`, { headers: bearer(guest) });
    const at = now();
    await answer.text();
    if (answer.status !== 401) throw new Error(`the long-poll was answered with ${answer.status}`);
    return at;
  };
  return { ended: end() };
};

const TRANSPORTS = ['MQTT', 'SSE', 'long-poll'] as const;

interface Joined {
  /** In the order of `TRANSPORTS`. */
  readonly connections: readonly Connected[];
  readonly revoked: () => number;
}

const join = async (token: string): Promise<Joined> => {
  const body = { token, client: { type: 'web' } };
  const guest = (await asked(server, 'POST', '/v1/join', { token: null, body })) as Guest;
  const stream = await overSse(guest);
  return { connections: [await overMqtt(guest), stream, overLongPoll(guest)], revoked: stream.revoked };
};

const within = async (ended: Promise<number>): Promise<number> => {
  let timer: NodeJS.Timeout | undefined;
  const never = new Promise<never>((_, reject) => {
    timer = setTimeout(() => reject(new Error(`still connected after ${NEVER_MS} ms`)), NEVER_MS);
  });
  return Promise.race([ended, never]).finally(() => clearTimeout(timer));
};

/** Milliseconds to the ends of one kind of connection. */
interface Lags {
  readonly answered: readonly number[];
  readonly revoked: readonly number[];
}

/** One share, its guests, and its end; in the order of `TRANSPORTS`. */
const revokeOnce = async (): Promise<readonly Lags[]> => {
  const { share_id, token } = await asked(server, 'POST', `/v1/sessions/${session_id}/shares`, { body: {} });
  const guests: Joined[] = [];
  for (let n = 0; n < GUESTS; n++) guests.push(await join(token));
  await new Promise((resolve) => setTimeout(resolve, SETTLE_MS));
  await asked(server, 'DELETE', `/v1/shares/${share_id}`);
  const answeredAt = now();
  const ends = await Promise.all(
    guests.map(({ connections }) => Promise.all(connections.map(({ ended }) => within(ended)))),
  );
  const revokedAt = Math.min(...guests.map(({ revoked }) => revoked()));
  if (Number.isNaN(revokedAt)) throw new Error('a guest was not told why it was cut');
  return TRANSPORTS.map((_, which) => {
    const at = ends.map((end) => end[which] as number);
    // Who was gone before the answer came was not late.
    return { answered: at.map((end) => Math.max(0, end - answeredAt)), revoked: at.map((end) => end - revokedAt) };
  });
};

const figures = async (where: string): Promise<Record<string, number>> => {
  const all: (readonly Lags[])[] = [];
  for (let n = 0; n < REPETITIONS; n++) all.push(await revokeOnce());
  const of = (which: number, from: keyof Lags): number[] => all.flatMap((each) => each[which]?.[from] ?? []);
  return Object.fromEntries(
    TRANSPORTS.flatMap((name, which) => [
      [`${name}${where}, p50 ms`, quantile(of(which, 'answered'), 0.5)],
      [`${name}${where}, max ms`, Math.max(...of(which, 'answered'))],
      [`${name}${where}, from the turn, p50 ms`, quantile(of(which, 'revoked'), 0.5)],
      [`${name}${where}, from the turn, max ms`, Math.max(...of(which, 'revoked'))],
    ]),
  );
};

/** Executions that were waited for and ended, so far. */
const executed = async (): Promise<number> => {
  const { text } = await server.call('GET', '/metrics');
  return Number(/^arbor_call_seconds_count\{[^}]*"commands\.execute",status="200"\} (\d+)$/m.exec(text)?.[1] ?? 0);
};

await revokeOnce();
const idle = await figures('');

const other = await server.open('cli');
const load = autocannon(
  {
    url: `${server.http}/v1/sessions/${other.session_id}/commands`,
    method: 'POST',
    headers: { 'content-type': 'application/json', authorization: `Bearer ${other.client_token}`, prefer: 'wait=30' },
    body: JSON.stringify({ command: 'noop', args: {} }),
    connections: IN_FLIGHT,
    // It is stopped.
    duration: 600,
    workers: 1,
  },
  () => {},
);
await new Promise((resolve) => setTimeout(resolve, 1_000));
const [before, startedAt] = [await executed(), now()];
const loaded = await figures(' under load');
const perSecond = ((await executed()) - before) / ((now() - startedAt) / 1_000);
load.stop();
if (perSecond === 0) throw new Error('there was no load');
print({ ...idle, ...loaded, 'executions meanwhile, 256 in flight /s': perSecond });
await workspace[Symbol.asyncDispose]();
process.exit(0);
