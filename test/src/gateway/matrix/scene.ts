import { mkdirSync, writeFileSync } from 'node:fs';
import { join as joinPath } from 'node:path';
import { sha256 } from '../../../../src/gateway/secrets.ts';
import type { Json } from '../../../support/gateway.ts';
import { HOOK_URL } from '../../../support/webhooks.ts';
import type { Fillers } from './input.ts';
import type { Stage } from './stage.ts';

/** Somebody who calls: credentials, and the client whose they are, if they are one's. */
export interface Caller {
  readonly token: string | null;
  readonly principal: string | null;
  /** As it was told when it came. */
  readonly client: Json;
  /** The share by which it has come. */
  readonly share_id?: string;
  /** An execution that it started as it came. */
  readonly execution_id?: string;
}

/** A session with an owner of its own, and what somebody may call about it, made when it is asked for. */
export interface Scene {
  readonly stage: Stage;
  readonly owner: Caller;
  /** The owner's first client. */
  readonly session: Json;
  /** Makes it once. */
  once<Value>(what: string, make: () => Promise<Value>): Promise<Value>;
}

/** Opens a session; answers its first client. */
export const open = (stage: Stage, token: string | null): Promise<Json> =>
  stage.must('POST', '/v1/sessions', token, { client: { type: 'cli' } });

export const createScene = async (stage: Stage, ownerByJwt = false): Promise<Scene> => {
  const name = stage.unique('owner');
  const token = ownerByJwt ? await stage.jwt(name) : await stage.on.keyOf(name);
  const principal = ownerByJwt ? `jwt:${name}` : name;
  const made = new Map<string, Promise<unknown>>();
  return {
    stage,
    owner: { token, principal, client: null },
    session: await open(stage, token),
    once: <Value>(what: string, make: () => Promise<Value>) => {
      const known = made.get(what) ?? make();
      made.set(what, known);
      return known as Promise<Value>;
    },
  };
};

const pathOf = ({ session }: Scene): string => `/v1/sessions/${session.session_id}`;

/** A client more of the owner. */
export const register = async ({ stage, owner, session }: Scene, type: string): Promise<Json> =>
  stage.must('POST', `/v1/sessions/${session.session_id}/clients`, owner.token, { client: { type } });

export const share = (scene: Scene, asked: object, by: Caller = scene.owner): Promise<Json> =>
  scene.stage.must('POST', `${pathOf(scene)}/shares`, by.token, asked);

/** Joins by the token of a share, with credentials or without. */
export const join = async ({ stage }: Scene, token: string, credentials: string | null = null): Promise<Json> =>
  stage.must('POST', '/v1/join', credentials, { token, client: { type: 'cli' } });

/** Starts a command without a wait; answers the execution. */
export const start = async (scene: Scene, token: string | null, command: string): Promise<string> => {
  const { execution_id } = await scene.stage.must('POST', `${pathOf(scene)}/commands`, token, { command, wait: 0 });
  return execution_id as string;
};

const running = (scene: Scene): Promise<string> =>
  scene.once('execution', () => start(scene, scene.owner.token, 'work'));

/** Ends the execution with an artifact; answers its name. */
const artifact = (scene: Scene): Promise<string> =>
  scene.once('artifact', async () => {
    const { system, directory } = scene.stage.on;
    const id = await running(scene);
    const [name, content] = ['report', 'a report'];
    const info = { name, bytes: content.length, sha256: sha256(content), media_type: 'text/plain' };
    system.report(id, { type: 'execution.complete', start: 1, result: null, artifacts: [info] });
    const folder = joinPath(directory, 'artifacts', id);
    mkdirSync(folder, { recursive: true });
    writeFileSync(joinPath(folder, name), content);
    return name;
  });

/** Asks a question that the requester may decide. */
const ask = (scene: Scene, token: string | null): Promise<Json> =>
  scene.stage.must('POST', `${pathOf(scene)}/coordinations`, token, {
    operation: 'deploy',
    description: 'May it be deployed?',
    required_confirmations: 100,
    requester_may_vote: true,
  });

/** A webhook of its session, which hears of little that happens there, and a delivery that has ended. */
const webhook = (scene: Scene): Promise<Json> =>
  scene.once('webhook', () =>
    scene.stage.must('POST', `${pathOf(scene)}/webhooks`, scene.owner.token, {
      url: HOOK_URL,
      types: ['client_joined'],
    }),
  );
const delivery = (scene: Scene): Promise<string> =>
  scene.once('delivery', async () => {
    const { webhook_id } = await webhook(scene);
    await register(scene, 'web');
    const { items } = await scene.stage.must('GET', `/v1/webhooks/${webhook_id}/deliveries`, scene.owner.token);
    const { delivery_id } = items[0];
    const end = { type: 'delivery.attempted', attempt: 1, ok: true, status: 200, final: false } as const;
    // A server sends it itself.
    const { system } = scene.stage.on as Partial<Stage['on']>;
    system?.delivered(delivery_id, { ...end, reason: null, retry_after_ms: null });
    return delivery_id;
  });

const made = (scene: Scene): Promise<Json> => scene.once('share', () => share(scene, {}));

export interface Choice {
  /** Of the caller itself, where it may be. */
  readonly own: boolean;
  readonly command: string;
  /** Whether it is only to be checked, where the operation can. */
  readonly dry: boolean;
}

/** What the fields of any operation's input are filled with, in this scene. */
export const fillersOf = (
  scene: Scene,
  caller: Caller,
  { own, command }: Pick<Choice, 'own' | 'command'>,
): Fillers => ({
  session_id: () => scene.session.session_id,
  client_id: async () =>
    own ? caller.client.client_id : (await scene.once('client', () => register(scene, 'web'))).client_id,
  execution_id: () => (own ? (caller.execution_id ?? start(scene, caller.token, 'help')) : running(scene)),
  name: () => artifact(scene),
  share_id: async () => (own ? await share(scene, {}, caller) : await made(scene)).share_id,
  coordination_id: async () =>
    (await (own ? ask(scene, caller.token) : scene.once('question', () => ask(scene, scene.owner.token))))
      .coordination_id,
  operation: () => 'deploy',
  description: () => 'May it be deployed?',
  vote: () => 'confirm',
  capability_id: async () => (await made(scene)).capability.id,
  token: async () => (await made(scene)).token,
  key_id: async () => (await scene.stage.on.keyOf(scene.stage.unique('somebody'))).split('.')[0],
  webhook_id: async () => (await webhook(scene)).webhook_id,
  delivery_id: () => delivery(scene),
  url: () => HOOK_URL,
  command: () => command,
  format: () => 'json',
  client: () => ({ type: 'cli' }),
  principal: () => scene.stage.unique('somebody'),
});
