import { problem, type Problem } from '../../machines/error.ts';
import type { CallSource } from './call.ts';
import type { GatewayContext } from './context.ts';
import type { Waiter } from './waits.ts';

export const tooManyStreams = (): Problem =>
  problem('overloaded', 'too many long-polls and streams are open', { retry_after: 5 });

export type Waited =
  /** The event that ended the execution; null where the seconds passed first, or nobody waits any more. */
  { readonly ok: true; readonly json: string | null } | { readonly ok: false; readonly problem: Problem };

/**
 * Waits for the end of an execution as a long-poll: it takes a place, the client counts as attached meanwhile, and it ends
 * when the client or the key is cut.
 */
export const waitFor = async (
  { slots, presence, cuts }: Pick<GatewayContext, 'slots' | 'presence' | 'cuts'>,
  { identity, signal }: CallSource,
  waiter: Waiter,
  seconds: number,
): Promise<Waited> => {
  const release = slots.take();
  if (release === null) {
    waiter.cancel();
    return { ok: false, problem: tooManyStreams() };
  }
  let isCut = false;
  const ends = [release];
  const onCut = (): void => {
    isCut = true;
    waiter.cancel();
  };
  if (identity.kind === 'client')
    ends.push(cuts.on(identity.client.client_id, onCut), presence.connect(identity.client));
  if (identity.kind === 'key') ends.push(cuts.on(identity.key_id, onCut));
  try {
    const json = await waiter.ended(seconds * 1000, signal());
    if (isCut && json === null)
      return {
        ok: false,
        problem: problem('unauthenticated', identity.kind === 'key' ? 'the key is revoked' : 'the client has left'),
      };
    return { ok: true, json };
  } finally {
    for (const end of ends) end();
  }
};
