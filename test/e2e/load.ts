import { setTimeout as sleep } from 'node:timers/promises';
import { within } from '../support/mqtt-wire.ts';
import type { Answer, Json, ServerProcess } from '../support/server.ts';

/** An accepted execution, as its caller knows it. */
export interface Accepted {
  readonly execution_id: string;
  /** What the caller was told of its end; null where it was only accepted. */
  readonly end: Json;
}

/** Commands one after the other in several lanes. */
export interface Load {
  readonly accepted: readonly Accepted[];
  /** Every answer that was not 2xx. */
  readonly refused: readonly Answer[];
  /** Resolves when every call that was sent has been answered. */
  stop(): Promise<void>;
}

const LANES = 8;
const AFTER_REFUSAL_MS = 25;

/** Half of the calls wait for their end. A call without an answer ends the load with its error. */
export const startLoad = (server: ServerProcess, session: string): Load => {
  const accepted: Accepted[] = [];
  const refused: Answer[] = [];
  let going = true;
  const lane = async (name: number): Promise<void> => {
    for (let n = 0; going; n += 1) {
      const body = { command: 'no-op', args: { value: `${name}.${n}`, pad: n % 4 === 0 ? 2_000 : 0 }, timeout: 120 };
      const answer = await server.execute(session, body, n % 2 === 0 ? 'wait=20' : 'respond-async');
      if (answer.status >= 300) {
        refused.push(answer);
        await sleep(AFTER_REFUSAL_MS);
        continue;
      }
      const { execution_id } = answer.body as { execution_id: string };
      accepted.push({ execution_id, end: answer.status === 200 ? answer.body : null });
    }
  };
  const lanes = Promise.all(Array.from({ length: LANES }, (_, name) => lane(name)));
  // That it failed is told where it is stopped.
  lanes.catch(() => undefined);
  return {
    accepted,
    refused,
    stop: async () => {
      going = false;
      await within('end of the load', lanes, 60_000);
    },
  };
};
