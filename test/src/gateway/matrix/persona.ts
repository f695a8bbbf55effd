import type { Operation as Verb } from '../../../../machines/capability.ts';
import { sessionAddress } from '../../../../machines/address.ts';
import { eventually, type Json } from '../../../support/gateway.ts';
import type { Standing } from './oracle.ts';
import { join, open, register, share, start, type Caller, type Scene } from './scene.ts';

/** A kind of caller: how it comes to be what it is in a scene, and what that is. */
export interface Persona {
  readonly name: string;
  readonly standing: Standing;
  readonly enter: (scene: Scene) => Promise<Caller>;
  /** What happens to it before it calls. */
  readonly fall?: (scene: Scene, caller: Caller) => Promise<void>;
  /** Whether that ends the connections that it has. */
  readonly cut?: boolean;
  readonly ownerByJwt?: boolean;
}

const ALL: readonly Verb[] = ['read', 'write', 'execute', 'list'];

const NOBODY: Standing = {
  credentials: 'none',
  operator: false,
  place: 'outside',
  verbs: [],
  state: 'good',
  mayShare: false,
};
const DEAD: Standing = { ...NOBODY, credentials: 'dead' };
const PRINCIPAL: Standing = { ...NOBODY, credentials: 'principal' };
const CLIENT: Standing = { ...NOBODY, credentials: 'client' };
const GUEST: Standing = { ...CLIENT, place: 'member', verbs: ALL };
const OWNER: Standing = { ...PRINCIPAL, place: 'owner', verbs: ALL };

interface KeyHolder {
  readonly token: string;
  readonly principal: string;
}

const clientOf = (client: Json, principal: string): Caller => ({ token: client.client_token, principal, client });

/** Joins by a share of its own, without credentials or with a key. */
const guest = async (scene: Scene, asked: object = {}, key: KeyHolder | null = null): Promise<Caller> => {
  const { share_id, token } = await share(scene, asked);
  const client = await join(scene, token, key?.token);
  return { ...clientOf(client, key?.principal ?? `share:${share_id}`), share_id };
};
const constrained = (constraints: object) => (scene: Scene) => guest(scene, { constraints });

const keyOf = async ({ stage }: Scene, word: string, operator = false): Promise<KeyHolder> => {
  const principal = stage.unique(word);
  return { token: await stage.on.keyOf(principal, operator), principal };
};
const keyHolder = async (scene: Scene, word: string, operator = false): Promise<Caller> => ({
  ...(await keyOf(scene, word, operator)),
  client: null,
});
/** A client of a session that somebody else has opened. */
const elsewhere = async (scene: Scene, operator = false): Promise<Caller> => {
  const { token, principal } = await keyOf(scene, 'stranger', operator);
  return clientOf(await open(scene.stage, token), principal);
};

const LIFETIME_S = 60;
const outlive = async ({ stage: { on } }: Scene): Promise<void> => on.system.advance(LIFETIME_S * 1_000 + 1);
const gone = ({ stage: { on } }: Scene, { client }: Caller): Promise<void> =>
  eventually('the client is gone', async () => (await on.system.reads.find('client', client.client_id))?.done === true);

/** Everything by which somebody may have come, once it was good and is not any more. */
const THE_DEAD: readonly Persona[] = [
  {
    name: 'a token with the secret of another',
    standing: DEAD,
    enter: async (scene) => {
      const { client_id } = scene.session;
      const other = await register(scene, 'web');
      const secret = String(other.client_token).split('.')[1];
      return { ...clientOf(scene.session, String(scene.owner.principal)), token: `${client_id}.${secret}` };
    },
  },
  {
    name: 'a revoked key of the owner',
    standing: DEAD,
    enter: async ({ stage, owner }) => ({ ...owner, token: await stage.on.keyOf(String(owner.principal)) }),
    fall: async ({ stage: { must, on } }, { token }) =>
      must('DELETE', `/v1/keys/${String(token).split('.')[0]}`, on.operator.key),
  },
  {
    name: 'a JWT that is over',
    standing: DEAD,
    enter: async ({ stage, owner }) => ({ ...owner, token: await stage.jwt(stage.unique('owner'), LIFETIME_S) }),
    fall: outlive,
  },
  {
    name: 'a client of the owner that has left',
    standing: DEAD,
    cut: true,
    enter: async (scene) => clientOf(await register(scene, 'cli'), String(scene.owner.principal)),
    fall: async ({ stage, owner }, { client }) =>
      stage.must('DELETE', `/v1/sessions/${client.session_id}/clients/${client.client_id}`, owner.token),
  },
  {
    name: 'a client of a session that is closed',
    standing: DEAD,
    cut: true,
    enter: (scene) => guest(scene),
    fall: async ({ stage, owner }, { client }) =>
      stage.must('DELETE', `/v1/sessions/${client.session_id}`, owner.token),
  },
  {
    name: 'a guest whose share is revoked',
    standing: DEAD,
    cut: true,
    enter: (scene) => guest(scene),
    fall: async ({ stage, owner }, { share_id }) => stage.must('DELETE', `/v1/shares/${share_id}`, owner.token),
  },
  {
    name: 'a guest whose capability is revoked',
    standing: DEAD,
    cut: true,
    enter: (scene) => guest(scene),
    fall: async ({ stage, owner }, { client }) =>
      stage.must('DELETE', `/v1/capabilities/${client.capabilities[0].id}`, owner.token),
  },
  {
    name: 'a guest whose time is over, once that is taken',
    standing: DEAD,
    cut: true,
    enter: constrained({ expires_in: LIFETIME_S }),
    fall: async (scene, caller) => {
      await outlive(scene);
      scene.stage.on.system.tell({
        to: sessionAddress(scene.session.session_id),
        message: { type: 'deadline' } as never,
      });
      await gone(scene, caller);
    },
  },
];

const OUTSIDERS: readonly Persona[] = [
  { name: 'a stranger with a key', standing: PRINCIPAL, enter: (scene) => keyHolder(scene, 'stranger') },
  {
    name: 'a stranger with a JWT',
    standing: PRINCIPAL,
    enter: async ({ stage }) => {
      const name = stage.unique('stranger');
      return { token: await stage.jwt(name), principal: `jwt:${name}`, client: null };
    },
  },
  {
    name: 'an operator',
    standing: { ...PRINCIPAL, operator: true },
    enter: (scene) => keyHolder(scene, 'operator', true),
  },
  {
    name: 'the key of somebody who has joined with it',
    standing: PRINCIPAL,
    enter: async (scene) => {
      const key = await keyOf(scene, 'joined');
      await guest(scene, {}, key);
      return { ...key, client: null };
    },
  },
  { name: 'a client of another owner’s session', standing: CLIENT, enter: (scene) => elsewhere(scene) },
  { name: 'a client of an operator’s session', standing: CLIENT, enter: (scene) => elsewhere(scene, true) },
  {
    name: 'a client of the owner’s other session',
    standing: CLIENT,
    enter: async ({ stage, owner }) => clientOf(await open(stage, owner.token), String(owner.principal)),
  },
];

const INSIDERS: readonly Persona[] = [
  { name: 'the owner’s key', standing: OWNER, enter: async ({ owner }) => owner },
  { name: 'the owner’s JWT', standing: OWNER, enter: async ({ owner }) => owner, ownerByJwt: true },
  {
    name: 'the owner’s client',
    standing: { ...OWNER, credentials: 'client', verbs: ['read', 'write', 'execute'] },
    enter: async ({ session, owner }) => clientOf(session, String(owner.principal)),
  },
  {
    name: 'the owner’s client without execute',
    standing: { ...OWNER, credentials: 'client', verbs: ['read', 'write'] },
    enter: async (scene) => clientOf(await register(scene, 'web'), String(scene.owner.principal)),
  },
  { name: 'a guest', standing: GUEST, enter: (scene) => guest(scene) },
  {
    name: 'a guest with a key of its own',
    standing: GUEST,
    enter: async (scene) => guest(scene, {}, await keyOf(scene, 'bob')),
  },
  {
    name: 'a guest that may share',
    standing: { ...GUEST, mayShare: true },
    enter: constrained({ may_share: true }),
  },
  {
    name: 'a read-only guest',
    standing: { ...GUEST, verbs: ['read', 'list'] },
    enter: constrained({ read_only: true }),
  },
  {
    name: 'an exhausted guest',
    standing: { ...GUEST, state: 'exhausted' },
    enter: async (scene) => {
      const caller = await guest(scene, { constraints: { max_operations: 1 } });
      return { ...caller, execution_id: await start(scene, caller.token, 'help') };
    },
  },
  {
    name: 'a guest at its rate limit',
    standing: { ...GUEST, state: 'rate_limited' },
    enter: async (scene) => {
      const caller = await guest(scene, { constraints: { rate_limit: 1 } });
      return { ...caller, execution_id: await start(scene, caller.token, 'help') };
    },
  },
  {
    name: 'a guest whose time is over',
    standing: { ...GUEST, state: 'over', mayShare: true },
    enter: constrained({ expires_in: LIFETIME_S, may_share: true }),
    fall: outlive,
  },
];

export const PERSONAS: readonly Persona[] = [
  {
    name: 'nobody',
    standing: NOBODY,
    enter: async () => ({ token: null, principal: null, client: null }),
  },
  ...THE_DEAD,
  ...OUTSIDERS,
  ...INSIDERS,
];
