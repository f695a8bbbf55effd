import { join } from 'node:path';
import { artifactPath } from '../../actors/artifacts.ts';
import { sessionAddress } from '../../machines/address.ts';
import { problem } from '../../machines/error.ts';
import type { ExecutionContext } from '../../machines/execution.ts';
import { notFound } from './authorise.ts';
import { answer, refuse, type Handlers } from './call.ts';
import type { GatewayContext } from './context.ts';
import { envelope } from './envelope.ts';
import { waitFor } from './long-poll.ts';
import { executionView } from './views.ts';

export const executionHandlers = (
  context: GatewayContext,
): Pick<Handlers, 'executions.get' | 'executions.list' | 'executions.cancel' | 'artifacts.get'> => {
  const { system, facts, waits, dataDirectory } = context;
  return {
    'executions.get': async ({ execution_id, wait = 0 }, call) => {
      if (wait === 0 || call.subject.done) return answer(executionView(call.subject));
      const waiter = waits.open(execution_id);
      // Read after the waiter is there: an end before this line is seen here, one after it wakes the waiter.
      const stored = await facts.execution(execution_id);
      if (stored === null || stored.done) {
        waiter.cancel();
        return stored === null ? refuse(notFound('execution')) : answer(executionView(stored));
      }
      const waited = await waitFor(context, call, waiter, wait);
      if (!waited.ok) return waited;
      const now = await facts.execution(execution_id);
      return now === null ? refuse(notFound('execution')) : answer(executionView(now));
    },

    'executions.list': async ({ session_id, after, limit }) => {
      const page = after === undefined ? { limit } : { after, limit };
      const items = (await system.reads.actors(session_id, 'execution', page)).map(executionView);
      return answer({ items, next: items.length < limit ? null : (items.at(-1)?.execution_id ?? null) });
    },

    'executions.cancel': async ({ execution_id }, call) =>
      system.ask(
        envelope(call, sessionAddress(call.authority.session.session_id), {
          type: 'session.cancel',
          caller: call.authority.caller,
          execution_id,
        }),
      ),

    'artifacts.get': async ({ execution_id, name }, call) => {
      const { artifacts } = call.subject.context as unknown as ExecutionContext;
      const artifact = artifacts.find((each) => each.name === name);
      if (artifact === undefined) return refuse(problem('not_found', 'there is no such artifact'));
      const { bytes, sha256, media_type: mediaType } = artifact;
      const path = artifactPath(join(dataDirectory, 'artifacts'), execution_id, name);
      return { ok: true, file: { path, name, bytes, sha256, mediaType } };
    },
  };
};
