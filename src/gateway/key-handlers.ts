import type { StoredKey } from '../../actors/journal.ts';
import type { AuditEntry } from '../../machines/audit.ts';
import { problem } from '../../machines/error.ts';
import { timestamp } from '../../machines/event.ts';
import type { Key } from '../operations/keys.ts';
import { notFound } from './authorise.ts';
import { answer, refuse, type Call, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { createApiKey } from './keys.ts';

const keyView = ({ id, principal, operator, created_at, revoked_at }: StoredKey): Key => ({
  key_id: id,
  principal,
  operator,
  created_at: timestamp(created_at),
  revoked_at: revoked_at === null ? null : timestamp(revoked_at),
});

const isLiveOperator = ({ operator, revoked_at }: StoredKey): boolean => operator && revoked_at === null;

/** API keys, for operators. */
export const keyHandlers = ({
  system,
  keys,
  cuts,
}: Pick<GatewayContext, 'system' | 'keys' | 'cuts'>): Pick<Handlers, 'keys.create' | 'keys.list' | 'keys.revoke'> => {
  let revoking: Promise<unknown> = Promise.resolve();
  /** One at a time: two of the last operators' keys, revoked at once, would each count on the other. */
  const inTurn = <T>(task: () => Promise<T>): Promise<T> => {
    const done = revoking.then(task);
    revoking = done.catch(() => {});
    return done;
  };

  const entryOf = (type: 'key_created' | 'key_revoked', { id, principal, operator }: StoredKey, call: Call) =>
    ({
      type,
      at: system.now(),
      session_id: null,
      principal: call.identity.principal,
      client_id: null,
      data: { key_id: id, principal, operator },
    }) satisfies AuditEntry;

  return {
    'keys.create': async ({ principal, operator }, call) => {
      const { key, stored } = createApiKey({ principal, operator, now: system.now() });
      await keys.put(stored, entryOf('key_created', stored, call));
      return answer({ ...keyView(stored), api_key: key });
    },

    'keys.list': async () => {
      const stored = (await keys.list()).toSorted((a, b) => (a.id < b.id ? -1 : 1));
      return answer({ items: stored.map(keyView), next: null });
    },

    'keys.revoke': ({ key_id }, call) =>
      inTurn(async () => {
        const stored = await keys.find(key_id);
        if (stored === null) return refuse(notFound('key'));
        const revoked_at = stored.revoked_at ?? system.now();
        if (stored.revoked_at === null) {
          const isNeeded =
            stored.operator && !(await keys.list()).some((other) => other.id !== key_id && isLiveOperator(other));
          if (isNeeded) return refuse(problem('conflict', 'this is the last key of an operator'));
          await keys.put({ ...stored, revoked_at }, entryOf('key_revoked', stored, call));
        }
        cuts.cut(key_id);
        return answer({ key_id, revoked_at: timestamp(revoked_at) });
      }),
  };
};
