import {
  createMqttClient,
  createSessionClient,
  type Event,
  type FollowOptions,
  type HttpClient,
} from '../client/index.ts';
import type { ClientType } from '../../machines/capability.ts';

/** One client of the demonstration: what it saw, and until when. */
export interface Viewer {
  readonly label: string;
  readonly client_id: string;
  /** The last `seq` before its view begins. */
  readonly joinedAt: number;
  readonly seen: readonly Event[];
  /** Resolves when it has seen the event `seq`; rejects where its view breaks off. */
  reached(seq: number): Promise<void>;
  close(): void;
}

interface ViewerOptions {
  readonly label: string;
  readonly client_id: string;
  readonly joinedAt: number;
  readonly follow: (options: FollowOptions) => AsyncIterable<Event>;
  readonly onEvent: (event: Event) => void;
  readonly close?: () => void;
}

/** Collects what one client sees from its joining on. */
const createViewer = ({ label, client_id, joinedAt, follow, onEvent, close }: ViewerOptions): Viewer => {
  const seen: Event[] = [];
  const over = new AbortController();
  let check = (): void => undefined;
  let failure: unknown = null;
  const collect = async (): Promise<void> => {
    for await (const event of follow({ after: joinedAt, signal: over.signal })) {
      seen.push(event);
      onEvent(event);
      check();
    }
  };
  collect().catch((error: unknown) => {
    failure = error;
    check();
  });
  return {
    label,
    client_id,
    joinedAt,
    seen,
    reached: (seq) =>
      new Promise((resolve, reject) => {
        check = () => {
          if (failure !== null) reject(failure);
          else if ((seen.at(-1)?.seq ?? joinedAt) >= seq) resolve();
        };
        check();
      }),
    close: () => {
      over.abort();
      close?.();
    },
  };
};

export interface DemoClient {
  readonly viewer: Viewer;
  /** Over HTTP, as that client. */
  readonly client: ReturnType<typeof createSessionClient>;
}

/** Registers one more client of the session, over HTTP with server-sent events or over MQTT on a WebSocket. */
export const joinDemo = async (
  owner: HttpClient,
  where: { readonly http: string; readonly ws: string; readonly session_id: string },
  { type, label, transport }: { readonly type: ClientType; readonly label: string; readonly transport: 'sse' | 'mqtt' },
  onEvent: (event: Event) => void,
): Promise<DemoClient> => {
  const { session_id } = where;
  const { client_id, client_token = '' } = await owner.clients.register({
    session_id,
    client: { type, name: `demo-${type}` },
  });
  const client = createSessionClient({ url: where.http }, { session_id, client_id, client_token });
  const { seq: joinedAt } = await client.http.sessions.get({ session_id });
  const base = { label, client_id, joinedAt, onEvent };
  if (transport === 'sse') return { client, viewer: createViewer({ ...base, follow: client.follow }) };
  const mqtt = createMqttClient({ url: where.ws, clientId: client_id, token: client_token, session: session_id });
  return { client, viewer: createViewer({ ...base, follow: mqtt.follow, close: mqtt.close }) };
};
