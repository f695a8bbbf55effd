// limit: 180 s
import { createHash } from 'node:crypto';
import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { createSqliteJournal } from '../../actors/journal-sqlite.ts';
import { isTerminalEvent } from '../../machines/event.ts';
import { pruneAll } from '../contract/journal-prune.ts';
import { clockAhead } from '../support/shifted-clock.ts';
import { createWorkspace, eventually, type Json, type ServerProcess, type Workspace } from '../support/server.ts';
import { digestOf, eventsOf, listOf, type Expected, type ExpectedSession } from './expected.ts';
import { unpack } from './pack.ts';

/** Promise 16: a release reads the data of those before. */
const test = suite('golden data');

const MINUTE_MS = 60_000;

const COMMANDS = ['no-op', 'slow', 'talk', 'write-artifact'];

/** Starts a server on a copy, so long after it was made. */
const openCopy = (space: Workspace, name: string, { made_at }: Expected, laterMs: number): Promise<ServerProcess> => {
  unpack(join(import.meta.dirname, name, 'data.json'), join(space.directory, 'data'));
  const config = space.config({ commands: COMMANDS, agents: { threads: 2 } });
  return space.serve({ config, env: clockAhead(Date.parse(made_at) + laterMs - Date.now()) });
};

/** All that was recorded is still shown; a later release may show more. */
const assertShown = (shown: Json, recorded: Json, what: string): void => {
  if (typeof recorded !== 'object' || recorded === null || Array.isArray(recorded))
    return assert.equal(shown, recorded, what);
  for (const [field, value] of Object.entries(recorded)) assertShown(shown?.[field], value, `${what}, ${field}`);
};

const checkArtifacts = async (server: ServerProcess, execution: Json, token: string): Promise<void> => {
  for (const { name, sha256, bytes } of execution.artifacts) {
    const path = `/v1/executions/${execution.execution_id}/artifacts/${encodeURIComponent(name)}`;
    const answer = await fetch(`${server.http}${path}`, { headers: { authorization: `Bearer ${token}` } });
    const content = Buffer.from(await answer.arrayBuffer());
    assert.equal([answer.status, content.byteLength], [200, bytes], path);
    assert.is(createHash('sha256').update(content).digest('hex'), sha256, path);
  }
};

const checkSession = async (
  server: ServerProcess,
  recorded: ExpectedSession,
  unfinished: ReadonlySet<string>,
  token: string,
): Promise<void> => {
  const { session_id, status, owner, seq, executions, shares } = recorded;
  const { body } = await server.call('GET', `/v1/sessions/${session_id}`, { token });
  assert.is(body.owner, owner);
  // Nobody came back to it.
  assert.ok(body.status === status || (status === 'active' && body.status === 'suspended'), `${status} ${body.status}`);
  const events = await eventsOf(server, session_id, token);
  assert.equal(
    events.map((event) => event.seq),
    events.map((_, index) => index + 1),
  );
  assert.is(digestOf(events.slice(0, seq)), recorded.events, `the events of ${session_id}`);
  for (const execution of executions) {
    if (unfinished.has(execution.execution_id)) continue;
    const { body: shown } = await server.call('GET', `/v1/executions/${execution.execution_id}`, { token });
    assertShown(shown, execution, execution.execution_id);
    await checkArtifacts(server, execution, token);
  }
  const shownShares = await listOf(server, `/v1/sessions/${session_id}/shares`, token);
  for (const [index, share] of shares.entries()) assertShown(shownShares[index], share, share.share_id);
};

const checkAudit = async (server: ServerProcess, head: string): Promise<Json> => {
  const { body } = await server.call('GET', `/v1/audit/verify?head=${head}`);
  assert.is(body.valid, true, JSON.stringify(body));
  return body;
};

const golden = readdirSync(import.meta.dirname, { withFileTypes: true }).filter((entry) => entry.isDirectory());

for (const { name } of golden) {
  const expected = JSON.parse(readFileSync(join(import.meta.dirname, name, 'expected.json'), 'utf8')) as Expected;
  const { sessions, repeat, keys, audit } = expected;
  const unfinished = new Set(expected.unfinished.map(({ execution_id }) => execution_id));
  const tokenOf = ({ owner }: ExpectedSession, server: ServerProcess): string =>
    owner === 'alice' ? keys.alice : server.key;

  test(`${name}: all that it holds is there, what ran goes on to its one end, and it can be used on`, async () => {
    await using space = createWorkspace();
    const server = await openCopy(space, name, expected, MINUTE_MS);
    for (const session of sessions) await checkSession(server, session, unfinished, tokenOf(session, server));
    await checkAudit(server, audit.head);

    const open = repeat.session_id;
    await eventually('the end of what ran and of what waited', async () => {
      const all = await listOf(server, `/v1/sessions/${open}/executions?limit=1000`, server.key);
      return all.every(({ ended_at }) => ended_at !== null);
    });
    const ends = (await server.events(open)).filter(({ type }) => isTerminalEvent(type));
    for (const execution of unfinished)
      assert.equal(
        ends.filter(({ data }) => data['execution_id'] === execution).map(({ type }) => type),
        ['execution_completed'],
        execution,
      );
    const repeated = await server.execute(open, repeat.body, 'wait=20');
    assert.equal([repeated.status, repeated.body.execution_id], [200, repeat.execution_id]);
    const { client_token: token } = expected.client;
    assert.is((await server.call('GET', `/v1/sessions/${open}`, { token })).status, 200);
    const joinBy = (share: string) =>
      server.call('POST', '/v1/join', { token: null, body: { token: share, client: { type: 'web' } } });
    assert.is((await joinBy(expected.share.token)).status, 201);
    assert.is((await joinBy(expected.revoked_share_token)).status, 401);
    assert.is((await server.call('GET', '/v1/sessions', { token: keys.revoked })).status, 401);

    for (const session of sessions.filter(({ status }) => ['active', 'suspended'].includes(status))) {
      const key = tokenOf(session, server);
      const fresh = await server.execute(session.session_id, { command: 'no-op' }, 'wait=20', key);
      assert.equal([fresh.status, fresh.body.status], [200, 'completed'], fresh.text);
      const gone = await server.call('DELETE', `/v1/sessions/${session.session_id}`, { token: key });
      assert.equal([gone.status, gone.body.status], [200, 'closed'], gone.text);
    }
    const { records } = await checkAudit(server, audit.head);
    assert.ok(records > audit.records, 'the chain goes on');
    assert.is(await server.stop(), 0);
  });

  test(`${name}: its times are known, so that it goes when it is old and not before`, async () => {
    await using space = createWorkspace();
    const directory = join(space.directory, 'data');
    unpack(join(import.meta.dirname, name, 'data.json'), directory);
    const made = Date.parse(expected.made_at);
    const journal = await createSqliteJournal({ directory });
    const early = { before: made - 60 * MINUTE_MS, auditBefore: made - 60 * MINUTE_MS };
    assert.equal((await pruneAll(journal, early)).counts, { sessions: 0, actors: 0, events: 0, records: 0 });
    const { counts, unlinked } = await pruneAll(journal, { before: made, auditBefore: made });
    const over = sessions.filter(({ status }) => ['closed', 'expired'].includes(status));
    assert.is(counts.sessions, over.length);
    assert.is(counts.records, audit.records);
    const executions = sessions.flatMap((session) => session.executions.map(({ execution_id }) => execution_id));
    assert.equal(unlinked, executions.filter((id) => !unfinished.has(id)).toSorted());
    for (const session of sessions) {
      const { seq, actors } = await journal.load(session.session_id as never);
      const { first } = await journal.reads.events(session.session_id as never, { after: 0, limit: 1 });
      assert.equal([seq, first], over.includes(session) ? [0, 1] : [session.seq, session.seq + 1]);
      assert.is(actors.length > 0, !over.includes(session));
    }
    const [n, mac] = audit.head.split(':');
    assert.is((await journal.reads.verifyAudit({ n: Number(n), mac: mac as string })).valid, true);
    await journal.close();
  });
}

test.run();
