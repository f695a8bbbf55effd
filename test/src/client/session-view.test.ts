import fc from 'fast-check';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import type { Event, EventType } from '../../../machines/event.ts';
import {
  applyEvent,
  createSessionView,
  type ViewedExecution,
  type ViewedSession,
} from '../../../src/client/session-view.ts';

const test = suite('session view');

const METADATA: Event['metadata'] = {
  source: 'test',
  severity: 'info',
  principal: 'ada',
  client_id: null,
  correlation_id: null,
  causation_id: null,
  traceparent: null,
};

const createLog = () => {
  let seq = 0;
  return (type: EventType, data: Record<string, unknown> = {}): Event => {
    seq += 1;
    return {
      id: `evt_${seq}`,
      seq,
      session_id: 'ses_1',
      type,
      timestamp: '2026-01-01T00:00:00.000Z',
      data,
      metadata: METADATA,
    };
  };
};

const viewOf = (events: readonly Event[]): ViewedSession => {
  const view = createSessionView();
  for (const event of events) view.send({ type: 'event', event });
  return view.getSnapshot().context;
};

test('shows who is there', () => {
  const event = createLog();
  const joined = [
    event('session_opened', { owner: 'ada' }),
    event('client_joined', { client_id: 'cli_1', type: 'cli', name: 'one', principal: 'ada' }),
    event('client_joined', { client_id: 'cli_2', type: 'web', name: null, principal: 'bob' }),
    event('client_detached', { client_id: 'cli_1' }),
  ];
  const view = viewOf(joined);
  assert.is(view.owner, 'ada');
  assert.is(view.seq, 4);
  assert.equal(view.clients['cli_1'], {
    client_id: 'cli_1',
    type: 'cli',
    name: 'one',
    principal: 'ada',
    status: 'detached',
  });
  assert.is(view.clients['cli_2']?.status, 'attached');
  const left = viewOf([...joined, event('client_left', { client_id: 'cli_1' })]);
  assert.equal(Object.keys(left.clients), ['cli_2']);
});

test('shows how far an execution is, and how it ended', () => {
  const event = createLog();
  const events = [
    event('execution_queued', { execution_id: 'exe_1', command: 'analyze' }),
    event('execution_started', { execution_id: 'exe_1', attempt: 1 }),
    event('execution_progress', { execution_id: 'exe_1', progress: 40, message: 'reading' }),
    event('execution_output', { execution_id: 'exe_1', stream: 'stdout', chunk: 'x' }),
  ];
  assert.equal(viewOf(events).executions['exe_1'], {
    execution_id: 'exe_1',
    command: 'analyze',
    status: 'running',
    progress: 40,
    message: 'reading',
    attempts: 1,
    error: null,
  });
  const error = { title: 'The command failed' };
  const failed = viewOf([...events, event('execution_failed', { execution_id: 'exe_1', error })]);
  assert.is(failed.executions['exe_1']?.status, 'failed');
  assert.equal(failed.executions['exe_1']?.error, error);
  assert.is(failed.executions['exe_1']?.progress, 40);
});

test('keeps what runs and forgets the oldest of what has ended', () => {
  const event = createLog();
  const events = [event('execution_queued', { execution_id: 'live', command: 'a' })];
  for (let i = 0; i < 80; i += 1) {
    events.push(event('execution_queued', { execution_id: `exe_${i}`, command: 'a' }));
    events.push(event('execution_completed', { execution_id: `exe_${i}` }));
  }
  const { executions } = viewOf(events);
  assert.is(Object.keys(executions).length, 51);
  assert.ok(executions['live']);
  assert.ok(executions['exe_79']);
  assert.is(executions['exe_0'], undefined);
});

test('an execution waits, and goes on with the same attempt', () => {
  const event = createLog();
  const log = [
    event('execution_queued', { execution_id: 'exe_1', command: 'a' }),
    event('execution_started', { execution_id: 'exe_1', attempt: 1 }),
    event('execution_waiting', { execution_id: 'exe_1', until: '2026-01-02T03:04:05.678Z', reason: 'sleep' }),
  ];
  assert.is(viewOf(log).executions['exe_1']?.status, 'waiting');
  const { status, attempts } = viewOf([...log, event('execution_started', { execution_id: 'exe_1', attempt: 1 })])
    .executions['exe_1'] as ViewedExecution;
  assert.equal([status, attempts], ['running', 1]);
});

test('a closed session has no clients', () => {
  const event = createLog();
  const view = viewOf([event('client_joined', { client_id: 'cli_1', type: 'cli' }), event('session_closed')]);
  assert.is(view.status, 'closed');
  assert.equal(view.clients, {});
});

const anyEvent = fc.constantFrom<[EventType, Record<string, unknown>]>(
  ['client_joined', { client_id: 'cli_1', type: 'cli', principal: 'ada' }],
  ['client_left', { client_id: 'cli_1' }],
  ['session_suspended', {}],
  ['session_resumed', {}],
  ['execution_queued', { execution_id: 'exe_1', command: 'a' }],
  ['execution_started', { execution_id: 'exe_1', attempt: 1 }],
  ['execution_progress', { execution_id: 'exe_1', progress: 10 }],
  ['execution_completed', { execution_id: 'exe_1' }],
);

test('an event applied twice, or an old one, changes nothing', () => {
  fc.assert(
    fc.property(fc.array(anyEvent, { minLength: 1, maxLength: 30 }), fc.nat(), (drawn, at) => {
      const event = createLog();
      const events = drawn.map(([type, data]) => event(type, data));
      const view = viewOf(events);
      assert.is(applyEvent(view, events[at % events.length] as Event), view);
      assert.is(view.seq, events.length);
    }),
  );
});

test.run();
