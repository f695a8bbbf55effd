import { ProblemError } from '../../machines/error.ts';
import type { Call } from '../../src/client/client.ts';
import type { HttpClient } from '../../src/client/http.ts';
import type { Action, History, PlainAction } from './actions.ts';
import { HOOK } from './receiver.ts';
import { createRoom, type Member, type Room } from './room.ts';

/** Long enough for whatever has a deadline to come to its end: the longest timeout, and then a delivery that was put off. */
const SETTLE_MS = 240_000;

const pick = <T>(all: readonly T[], choice: number): T | undefined => all[choice % Math.max(1, all.length)];

/** Who acts: the owner with a key, or one of the members that are there. */
const actorOf = (
  room: Room,
  who: number,
): { readonly by: string; readonly call: Call; readonly member: Member | null; readonly http: HttpClient } => {
  // Every other time a guest, where there is one: they are who is limited.
  const present = room.members.filter(({ ended }) => ended === null);
  const guests = present.filter(({ share }) => share !== null);
  const member = who % 4 === 0 ? undefined : pick(who % 2 === 1 && guests.length > 0 ? guests : present, who >> 1);
  return member === undefined
    ? { by: 'owner', call: room.owner.call, member: null, http: room.owner }
    : { by: member.client_id, call: member.http.call, member, http: member.http };
};

const executionsOf = (room: Room): readonly string[] =>
  room.asked.flatMap(({ what, answer }) =>
    what === 'commands.execute' && answer !== null ? [answer['execution_id'] as string] : [],
  );

/** The questions that somebody knows of. */
const questionsOf = (room: Room): readonly string[] =>
  room.asked.flatMap(({ answer }) =>
    typeof answer?.['coordination_id'] === 'string' ? [answer['coordination_id']] : [],
  );

/** Waits a little for a moment in which the worker has just said something: there is most to lose. */
const killWorker = async (room: Room, worker: number): Promise<void> => {
  for (let steps = 0; steps < 40 && !room.server().threads.hasWords(worker); steps++) await room.step(1);
  room.server().threads.killWorker(worker);
};

const act = (room: Room, action: Action): void | Promise<void> => {
  switch (action.do) {
    case 'steps':
      return room.step(action.count);
    case 'advance':
      return room.world.advance(action.ms);
    case 'wall':
      return room.world.moveWall(action.ms);
    case 'fail':
      room.faults.failing += action.writes;
      return;
    case 'unknown':
      room.faults.unknown += action.writes;
      return;
    case 'full':
      room.faults.full = true;
      return;
    case 'slow':
      return room.server().threads.slowStore(true);
    case 'recover':
      return room.recover();
    case 'kill':
      return room.kill();
    case 'worker':
      return killWorker(room, action.which);
    case 'crash':
      return room.server().up()?.handlers.crash(action.which);
    case 'break':
      return room.server().broker.breakOne(action.which);
    case 'stall':
      return room.server().broker.stallOne(action.which);
    case 'double':
      return room.server().broker.doubleOne(action.which);
    case 'input':
      return room.server().threads.doubleInput(action.which);
    case 'execute': {
      const { by: name, call, member } = actorOf(room, action.who);
      const session = member?.session ?? (pick(room.sessions, action.session) as string);
      const { command, timeout, priority, wait, key } = action;
      // The same key stands for the same body.
      const body =
        key === null
          ? { command, args: action.script, timeout, priority }
          : { command: 'work', args: { ms: key * 50 }, timeout: 120, priority: 0 };
      const input = { session_id: session, ...body, ...(key === null ? {} : { idempotency_key: `key-${key}` }) };
      const ask = action.mqtt && member !== null ? member.mqtt.call : call;
      return room.ask(
        { what: 'commands.execute', by: name, session, input },
        () => ask('commands.execute', { ...input, wait } as never) as never,
      );
    }
    case 'share': {
      const { by: name, http, member } = actorOf(room, action.who);
      const session = member?.session ?? (pick(room.sessions, action.which) as string);
      const { limits: constraints } = action;
      return room.ask(
        { what: 'shares.create', by: name, session, input: { constraints } },
        () => http.shares.create({ session_id: session, constraints } as never) as never,
        (made) => keepShare(room, session, constraints, made),
      );
    }
    default:
      return actPlainly(room, action);
  }
};

const actPlainly = (room: Room, { do: what, who, which }: PlainAction): void => {
  const { by: name, http, member } = actorOf(room, who);
  const session = member?.session ?? (pick(room.sessions, which) as string);
  const execution_id = pick(executionsOf(room), which);
  const share = pick(room.shares, which);
  const ask = (
    operation: string,
    input: Record<string, unknown>,
    call: () => Promise<unknown>,
    then?: (answer: never) => void,
  ): void => room.ask({ what: operation, by: name, session, input }, call as never, then as never);
  switch (what) {
    case 'ask': {
      // By the owner, whose capability is not counted: what guests are charged, the laws of limits count by executions.
      const question = {
        operation: 'deploy',
        description: 'Now?',
        required_confirmations: 1 + (which % 2),
        distinct: which % 3 === 0 ? 'client' : 'principal',
        veto: which % 5 === 0,
        requester_may_vote: true,
        timeout: 1 + which,
      } as const;
      return room.ask(
        { what: 'coordinations.create', by: 'owner', session, input: question },
        () => room.owner.coordinations.create({ session_id: session, ...question }) as never,
      );
    }
    case 'vote': {
      const coordination_id = pick(questionsOf(room), which);
      const vote = which % 4 === 0 ? 'reject' : 'confirm';
      const call = who % 3 === 0 && member !== null ? member.mqtt.call : http.call;
      if (coordination_id !== undefined)
        ask('coordinations.vote', { coordination_id, vote }, () =>
          call('coordinations.vote', { coordination_id, vote }),
        );
      return;
    }
    case 'cancel':
      if (execution_id !== undefined)
        ask('executions.cancel', { execution_id }, () => http.executions.cancel({ execution_id }));
      return;
    case 'get':
      if (execution_id !== undefined)
        ask('executions.get', { execution_id }, () => http.executions.get({ execution_id, wait: 1 }));
      return;
    case 'list':
      return ask('events.list', { session }, () => http.events.list({ session_id: session, after: which, limit: 5 }));
    case 'leave':
      if (member !== null)
        ask('clients.leave', {}, () => http.clients.leave({ session_id: session, client_id: member.client_id }));
      return;
    case 'register':
      return ask(
        'clients.register',
        {},
        () => room.owner.clients.register({ session_id: session, client: { type: 'cli' } }),
        (made) => room.follow(made, null),
      );
    case 'intrude':
      // Not the owner's business: what it may not do is told in the session.
      return ask('sessions.close', {}, () =>
        member === null
          ? Promise.reject(new ProblemError('conflict', 'nobody'))
          : member.share === null
            ? http.sessions.get({ session_id: session })
            : http.sessions.close({ session_id: session }),
      );
    case 'join':
      if (share !== undefined)
        room.ask(
          { what: 'sessions.join', by: 'guest', session: share.session, input: { share: share.share_id } },
          () => room.stranger.sessions.join({ token: share.token, client: { type: 'api' } }) as never,
          (made) => room.follow(made as never, share.share_id),
        );
      return;
    case 'unshare':
      if (share !== undefined)
        ask('shares.revoke', { share_id: share.share_id }, () =>
          room.owner.shares.revoke({ share_id: share.share_id }),
        );
      return;
    case 'revoke':
      if (share !== undefined)
        ask('capabilities.revoke', { capability_id: share.capability_id }, () =>
          room.owner.capabilities.revoke({ capability_id: share.capability_id }),
        );
      return;
    case 'close':
      // The first session stays, so that something goes on.
      if (room.sessions.length > 1)
        ask('sessions.close', {}, () => room.owner.sessions.close({ session_id: room.sessions.at(-1) as string }));
      return;
  }
};

const keepShare = (room: Room, session: string, limits: Readonly<Record<string, unknown>>, made: unknown): void => {
  const { share_id, token, capability } = made as { share_id: string; token: string; capability: { id: string } };
  room.shares.push({ share_id, token, capability_id: capability.id, session, limits });
};

const SESSIONS = 2;

/** Plays a history to its end; the room stays to be looked at until `end`. */
export const play = async ({ seed, actions }: History): Promise<Room> => {
  const room = createRoom(seed);
  try {
    await room.settle(200);
    for (let each = 0; each < SESSIONS; each++)
      room.ask(
        { what: 'sessions.create', by: 'owner', session: '', input: {} },
        // The one that may be closed has a webhook.
        () =>
          room.owner.sessions.create({
            client: { type: 'cli' },
            ...(each === SESSIONS - 1 ? { webhook_url: HOOK } : {}),
          }) as never,
        (made) => {
          room.sessions.push((made as never as { session_id: string }).session_id);
          room.follow(made as never, null);
        },
      );
    await room.settle(200);
    // A guest whose budget is small, and who may hand on what is left of it.
    const [session_id = ''] = room.sessions;
    const constraints = { may_share: true, max_operations: 3 };
    room.ask(
      { what: 'shares.create', by: 'owner', session: session_id, input: { constraints } },
      () => room.owner.shares.create({ session_id, constraints }) as never,
      (made) => keepShare(room, session_id, constraints, made),
    );
    await room.settle(200);
    actPlainly(room, { do: 'join', who: 0, which: 0 });
    await room.settle(200);
    for (const action of actions) await act(room, action);
    room.recover();
    await room.settle(2_000);
    // By the clock of the server that is up now, which may be ahead of the wall.
    room.quietSince = Math.max(room.world.now(), room.disk.latest, room.server().up()?.ring.now() ?? 0);
    await room.settle(SETTLE_MS);
    return room;
  } catch (error) {
    room.end();
    throw error;
  }
};
