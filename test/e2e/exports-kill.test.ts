// limit: 120 s
import { createHash } from 'node:crypto';
import { existsSync, mkdirSync, readdirSync, readFileSync, statSync, watch } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event } from '../../machines/event.ts';
import { within } from '../support/mqtt-wire.ts';
import { createWorkspace, type Json, type ServerProcess } from '../support/server.ts';

/** An export that is killed with its process in the middle of its file (contract, section 8). */
const test = suite('exports and kill -9');

/** Log enough for an export to take longer than it takes to see that it has begun. */
const LOG = { executions: 4, chunks: 16, size: 60_000 };
const PART = /^\.export\./;

const filesIn = (directory: string): string[] => (existsSync(directory) ? readdirSync(directory) : []);
const partIn = (directory: string): string | undefined => filesIn(directory).find((name) => PART.test(name));

/** Resolves as soon as something is in a directory, which may not be there yet itself. */
const seen = async (directory: string, isThere: () => boolean): Promise<void> => {
  const { promise, resolve } = Promise.withResolvers<void>();
  const look = (): void => void (isThere() && resolve());
  const watcher = watch(directory, look);
  look();
  await within(`a change in ${directory}`, promise).finally(() => watcher.close());
};

/** Kills the server when it has written some of the file; answers whether that was before the file was whole. */
const killAmid = async (server: ServerProcess, execution: string): Promise<boolean> => {
  const artifacts = join(server.data, 'artifacts');
  const own = join(artifacts, execution);
  mkdirSync(artifacts, { recursive: true });
  await seen(artifacts, () => existsSync(own));
  await seen(own, () => filesIn(own).some((name) => statSync(join(own, name), { throwIfNoEntry: false })?.size));
  await server.kill();
  return partIn(own) !== undefined;
};

test('it runs again and ends once: its file is whole, and nothing is left of the first', async () => {
  await using space = createWorkspace();
  const config = space.config({ commands: ['talk'], agents: { threads: LOG.executions } });
  let server = await space.serve({ config });
  const { session_id: session } = await server.open();
  const { chunks, size } = LOG;
  await Promise.all(
    Array.from({ length: LOG.executions }, () =>
      server.execute(session, { command: 'talk', args: { chunks, size } }, 'wait=60'),
    ),
  );
  const asked = await server.call('POST', `/v1/sessions/${session}/exports`, {
    body: { format: 'json' },
    headers: { prefer: 'respond-async' },
  });
  assert.is(asked.status, 202, asked.text);
  const { execution_id } = asked.body;
  assert.ok(await killAmid(server, execution_id), 'it was killed in the middle');
  const own = join(server.data, 'artifacts', execution_id);
  assert.not(existsSync(join(own, 'export')), 'nothing stands under its name yet');

  server = await space.serve({ config });
  const { body: execution } = await server.call('GET', `/v1/executions/${execution_id}?wait=60`);
  assert.equal([execution.status, execution.attempts], ['completed', 2], JSON.stringify(execution));
  assert.equal(readdirSync(own), ['export']);
  const file = await server.call('GET', `/v1/executions/${execution_id}/artifacts/export`);
  assert.is(file.text, readFileSync(join(own, 'export'), 'utf8'));
  assert.equal(
    [execution.result.bytes, execution.result.sha256],
    [Buffer.byteLength(file.text), createHash('sha256').update(file.text).digest('hex')],
  );
  const log = await server.events(session);
  const { events } = file.body as { events: Event[] };
  assert.equal(events, log.slice(0, events.length));
  const of = (types: RegExp): Event[] =>
    log.filter(({ type, data }) => data['execution_id'] === execution_id && types.test(type));
  assert.is(of(/_(completed|failed|cancelled|timed_out)$/).length, 1);
  const [first, second, ...more] = of(/_started$/);
  assert.equal([first?.data['attempt'], second?.data['attempt'], more], [1, 2, []]);
  assert.is(events.at(-1)?.seq, second?.seq, 'it covers the events up to its second start');
  const progress = of(/_progress$/).map(({ data }: Json) => data.progress as number);
  assert.equal(
    progress,
    progress.toSorted((a, b) => a - b),
  );
  assert.is(progress.at(-1), 100);
  assert.is(await server.stop(), 0);
});

test.run();
