import { createMemoryDisk, type MemoryDisk } from '../../actors/memory-disk.ts';
import type { Run } from '../../machines/effect.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import type { Event } from '../../machines/event.ts';
import { ProblemError } from '../../machines/error.ts';
import { createApiKey } from '../../src/gateway/keys.ts';
import { createHttpClient, type HttpClient } from '../../src/client/http.ts';
import { createMqttClient, type MqttClient } from '../../src/client/mqtt.ts';
import { createChannels, type Channels } from './channels.ts';
import { createSimReceiver, type SimReceiver } from './receiver.ts';
import { simFetch } from './sim-http.ts';
import { startSimServer, type SimServer } from './sim-server.ts';
import type { DiskFaults } from './threads.ts';
import { createVirtualWorld, type Domain, type VirtualWorld } from './virtual-world.ts';

/** A call of the outside, and what came of it. */
export interface Asked {
  readonly what: string;
  readonly input: Readonly<Record<string, unknown>>;
  /** Who asked: `owner`, or a client's id. */
  readonly by: string;
  readonly session: string;
  readonly askedAt: number;
  answer: Record<string, unknown> | null;
  error: ProblemError | null;
  /** How long the log of its session was when it was answered. */
  settled: boolean;
}

/** A client of a session that follows it over MQTT. */
export interface Member {
  readonly session: string;
  readonly client_id: string;
  /** The share it came by. */
  readonly share: string | null;
  readonly http: HttpClient;
  readonly mqtt: MqttClient;
  /** What it was told, in its order. */
  readonly seen: Event[];
  /** Why it follows no longer. */
  ended: string | null;
  readonly stop: () => void;
}

export interface Share {
  readonly share_id: string;
  readonly capability_id: string;
  readonly session: string;
  readonly token: string;
  readonly limits: Readonly<Record<string, unknown>>;
}

/** A run of a handler, as the outside of the system sees it. */
export interface Started {
  readonly execution_id: string;
  readonly start: number;
  readonly command: string;
}

/** Everything of one history: the disk, the processes that come and go on it, and the people outside. */
export interface Room {
  readonly world: VirtualWorld;
  readonly channels: Channels;
  readonly disk: MemoryDisk;
  readonly faults: DiskFaults;
  readonly owner: HttpClient;
  readonly asked: Asked[];
  readonly members: Member[];
  readonly shares: Share[];
  readonly sessions: string[];
  readonly starts: Started[];
  readonly receiver: SimReceiver;
  /** What was seen that must never be, as it happened. */
  readonly broken: string[];
  /** Errors that the server has reported. */
  readonly errors: string[];
  /** When the last fault was over. */
  quietSince: number;
  server(): SimServer;
  /** Ends the process at once; another one starts after a while. */
  kill(): void;
  ask<T extends Record<string, unknown>>(
    about: {
      readonly what: string;
      readonly by: string;
      readonly session: string;
      readonly input: Record<string, unknown>;
    },
    call: () => Promise<T>,
    then?: (answer: T) => void,
  ): void;
  follow(
    registration: { readonly session_id: string; readonly client_id: string; readonly client_token: string },
    share: string | null,
  ): void;
  /** Somebody without credentials. */
  readonly stranger: HttpClient;
  /** Ends all faults. */
  recover(): void;
  /** Lets so many things happen. */
  step(count: number): Promise<void>;
  /** Lets time pass, and everything happen that comes meanwhile. */
  settle(ms: number): Promise<void>;
  end(): void;
}

const RESTART_MS = 200;
/** Far more messages than a history that comes to rest has. */
const ENDLESS = 100_000;
const breathe = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

export const createRoom = (seed: number): Room => {
  const world = createVirtualWorld(seed);
  const channels = createChannels(world);
  const disk = createMemoryDisk();
  const faults: DiskFaults = { failing: 0, unknown: 0, full: false };
  const outside: Domain = { alive: true };
  const toOutside = channels.open(outside, true);
  const asked: Asked[] = [];
  const members: Member[] = [];
  const starts: Started[] = [];
  const broken: string[] = [];
  const errors: string[] = [];
  /** Steps that a handler was told to be durable. */
  const finished = new Set<string>();

  const { key, stored } = createApiKey({ principal: 'alice', operator: true, now: world.now() });
  disk.keys.set(stored.id, stored);

  const onDisk = (execution: string): ExecutionContext | null => {
    const actor = [...disk.actors.values()].find(({ key: at }) => at.endsWith(`/execution/${execution}`));
    return actor === undefined ? null : (JSON.parse(actor.context) as ExecutionContext);
  };
  /** A finished step is not done again (contract, section 8). */
  const onStep = ({ execution_id, start }: Run, step: string, done: boolean): void => {
    const name = `${execution_id} ${step}`;
    if (done) finished.add(name);
    else if (finished.has(name)) broken.push(`start ${start} of ${execution_id} does ${step} again`);
  };
  /** The start is counted, and a decision of high risk recorded, before anything comes of it (promise 15). */
  const onRun = ({ execution_id, start, command }: Run): void => {
    starts.push({ execution_id, start, command });
    const counted = onDisk(execution_id)?.starts ?? 0;
    if (counted < start) broken.push(`start ${start} of ${execution_id} runs, ${counted} are on the disk`);
    const isRecorded = (): boolean =>
      disk.audit.some(({ text }) => text.includes('"command_accepted"') && text.includes(execution_id));
    if (command === 'danger' && !isRecorded()) broken.push(`${execution_id} runs before the audit has it`);
  };
  const receiver = createSimReceiver(world, disk, (what) => void broken.push(what));
  const onError = (what: string, error: unknown): void => void errors.push(`${what}: ${String(error)}`);
  const boot = (): SimServer =>
    startSimServer({
      world,
      channels,
      disk,
      faults,
      sender: receiver.sender,
      onRun,
      onStep,
      onError,
      onExit: () => {
        world.within(outside, () => setTimeout(restart, RESTART_MS));
      },
    });
  const restart = (): void => {
    server = boot();
  };
  let server = boot();

  const fetchIt = simFetch(() => {
    const up = server.domain.alive ? server.up() : null;
    return up === null ? null : { core: up.core, toServer: server.toServer, lost: server.lost };
  }, toOutside);
  const http = (token: string | null): HttpClient =>
    createHttpClient({
      url: 'http://sim',
      token,
      fetch: (url, init) => world.within(outside, () => fetchIt(url, init)),
    });

  const follow: Room['follow'] = ({ session_id, client_id, client_token }, share) =>
    world.within(outside, () => {
      const mqtt = createMqttClient({
        url: 'mqtt://sim',
        clientId: client_id,
        token: client_token,
        session: session_id,
        open: (login, listener) => server.broker.open(login, listener, outside),
      });
      const over = new AbortController();
      const member: Member = {
        session: session_id,
        client_id,
        share,
        http: http(client_token),
        mqtt,
        seen: [],
        ended: null,
        stop: () => {
          over.abort();
          mqtt.close();
        },
      };
      members.push(member);
      const watch = async (): Promise<void> => {
        for await (const event of mqtt.follow({ signal: over.signal, random: world.random })) {
          member.seen.push(event);
          const log = disk.sessions.get(session_id)?.events ?? [];
          if (log[event.seq - 1]?.json !== JSON.stringify(event))
            broken.push(`${client_id} was told ${event.type} at ${event.seq}, which is not on the disk`);
        }
        member.ended ??= 'closed';
      };
      watch().catch((error: unknown) => {
        member.ended = error instanceof ProblemError ? error.problem.code : String(error);
      });
    });

  const step = async (count: number): Promise<void> => {
    for (let each = 0; each < count; each++) {
      // Time passes between two things now and then, however much there is to do.
      if (world.draw(16) === 0) world.advance(world.draw(20));
      if (!channels.deliver()) world.advanceToNext(1_000);
      await breathe();
    }
  };

  return {
    world,
    channels,
    disk,
    faults,
    owner: http(key),
    stranger: http(null),
    asked,
    members,
    shares: [],
    quietSince: 0,
    sessions: [],
    starts,
    receiver,
    broken,
    errors,
    server: () => server,
    kill: () => {
      if (!server.domain.alive) return;
      server.kill();
      world.within(outside, () => setTimeout(restart, RESTART_MS));
    },
    ask: (about, call, then) => {
      const entry: Asked = { ...about, askedAt: world.now(), answer: null, error: null, settled: false };
      asked.push(entry);
      void world.within(outside, () =>
        call().then(
          (answer) => {
            Object.assign(entry, { answer, settled: true });
            then?.(answer);
          },
          (error: unknown) => {
            entry.settled = true;
            if (error instanceof ProblemError) entry.error = error;
            else broken.push(`${about.what} ended with ${String(error)}`);
          },
        ),
      );
    },
    follow,
    step,
    recover: () => {
      Object.assign(faults, { failing: 0, unknown: 0, full: false });
      server.broker.stallNone();
      server.threads.slowStore(false);
    },
    settle: async (ms) => {
      const until = performance.now() + ms;
      for (let delivered = 0; ; ) {
        while (channels.deliver()) {
          if ((delivered += 1) > ENDLESS) throw new Error(`${ENDLESS} messages and no end`);
          await breathe();
        }
        await breathe();
        if (channels.busy().length > 0) continue;
        const left = until - performance.now();
        if (left <= 0) return;
        world.advanceToNext(left);
        await breathe();
      }
    },
    end: () => {
      // A signal that somebody listens to is kept for ever.
      for (const { stop } of members) stop();
      server.kill();
      outside.alive = false;
      world.end();
    },
  };
};
