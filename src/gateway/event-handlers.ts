import { problem, type Problem } from '../../machines/error.ts';
import { refuse, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';

/** Contract, section 2: a cursor older than retention is 410 with the first `seq` left. */
export const cursorExpired = (first: number): Problem =>
  problem('cursor_expired', `the first event left has seq ${first}`, { first });

export const eventHandlers = ({ system }: GatewayContext): Pick<Handlers, 'events.list'> => ({
  'events.list': async ({ session_id, after, limit, types }) => {
    const page = await system.reads.events(
      session_id,
      types === undefined ? { after, limit } : { after, limit, types },
    );
    if (page.first > after + 1) return refuse(cursorExpired(page.first));
    return { ok: true, json: `{"events":[${page.events.join(',')}],"next":${page.next}}` };
  },
});
