import type { AuditEntry } from '../../../../machines/audit.ts';
import type { Right } from '../../../../src/operations/operation.ts';
import { cellsOf, faultsOfReply, faultsOfTrace, faultsOfWorld, isTraceless, type Cell } from './cell.ts';
import { inputOf } from './input.ts';
import { traceOf } from './oracle.ts';
import type { Persona } from './persona.ts';
import { createScene, fillersOf, type Caller, type Scene } from './scene.ts';
import type { Stage } from './stage.ts';
import { call, dial, loginOf, type Reply } from './wire.ts';
import { worldOf } from './world.ts';

interface Act {
  readonly scene: Scene;
  readonly caller: Caller;
  /** Of each cell, in order. */
  readonly inputs: readonly Record<string, unknown>[];
}

/** A scene in which the persona has become what it is, with all that the cells are about. */
export const stageAct = async (
  stage: Stage,
  persona: Persona,
  cells: readonly Pick<Cell, 'operation' | 'choice'>[],
): Promise<Act> => {
  const scene = await createScene(stage, persona.ownerByJwt);
  const caller = await persona.enter(scene);
  const inputs: Record<string, unknown>[] = [];
  for (const { operation, choice } of cells)
    inputs.push(await inputOf(operation, fillersOf(scene, caller, choice), choice.dry));
  await persona.fall?.(scene, caller);
  return { scene, caller, inputs };
};

/** With these one sees more than one's session: the share's, and all that the audit has. */
const SEEING: ReadonlySet<Right> = new Set(['share_token', 'operator']);

/** Who has no client, or none any more, cannot log in over MQTT; whoever else is asked there as well. */
const canLogIn = ({ standing }: Persona): boolean => standing.credentials === 'client';

/** Everything that is wrong with how one kind of caller is answered. `onReply` hears of each cell. */
export const faultsOf = async (
  stage: Stage,
  persona: Persona,
  onReply: (cell: Cell, reply: Reply) => void,
): Promise<readonly string[]> => {
  const isInside = persona.standing.place !== 'outside';
  const faults: string[] = [];
  /** What is looked at once all is told. */
  const later: (() => Promise<void>)[] = [];
  const told = { login: 0, unseen: 0 };
  const problems = new Map<string, string>();

  /** In whatever way it was asked, a refusal is the same. */
  const otherwise = ({ question }: Cell, { problem }: Reply): string[] => {
    if (problem === null || problem.code === 'method_not_found') return [];
    // What is left of a limit's time has become less.
    const text = JSON.stringify({ ...problem, retry_after: typeof problem.retry_after });
    const known = problems.get(question) ?? text;
    problems.set(question, known);
    return text === known ? [] : [`${text}, but ${known} in another way`];
  };
  const blame = ({ name }: Cell, ...found: readonly (readonly string[])[]): void =>
    void faults.push(...found.flat().map((fault) => `${name}: ${fault}`));

  /** Of what is out of sight, no answer tells. */
  const betrays = ({ operation: { right } }: Cell, { result }: Reply, { session }: Scene): string[] =>
    isInside || SEEING.has(right) || !result.includes(session.session_id) ? [] : ['it tells of the session'];

  const ask = async (cell: Cell, input: Record<string, unknown>, { caller, scene }: Act): Promise<void> => {
    try {
      const reply = await call(stage, cell.way, cell.operation, input, caller);
      onReply(cell, reply);
      blame(cell, faultsOfReply(cell, reply), otherwise(cell, reply), betrays(cell, reply, scene));
    } catch (error) {
      blame(cell, [`no answer: ${String(error)}`]);
    }
    const trace = traceOf(cell.expected, cell.operation);
    if (trace === 'login' || trace === 'unseen') told[trace] += 1;
  };

  /** Neither as itself nor as a client that is there. */
  const tryLogins = async ({ scene, caller }: Act): Promise<void> => {
    const { client, token } = caller;
    const logins = [
      loginOf({ ...caller, client: scene.session }),
      { clientId: 'somebody', ...(token === null ? {} : { username: 'somebody', password: token }) },
      ...(client === null ? [] : [loginOf(caller)]),
    ];
    for (const login of logins) {
      const connack = await dial(stage, login);
      const code = typeof connack === 'number' ? connack : 0;
      if (code !== 5) faults.push(`${persona.name}: expected 5 to CONNECT, got ${code}`);
    }
    told.login += logins.length;
  };

  /** What leaves no trace is asked in one session, which stays as it was. */
  const askTogether = async (cells: readonly Cell[]): Promise<void> => {
    const act = await stageAct(stage, persona, cells);
    const { session_id } = act.scene.session;
    const before = JSON.stringify(await worldOf(stage, session_id, isInside));
    for (const [index, cell] of cells.entries()) await ask(cell, act.inputs[index] ?? {}, act);
    if (!canLogIn(persona)) await tryLogins(act);
    later.push(async () => {
      if (JSON.stringify(await worldOf(stage, session_id, isInside)) !== before)
        faults.push(`${persona.name}: what was unauthenticated or out of sight has left a trace in the session`);
    });
  };

  /** The whole audit, once all is told. */
  let audited: readonly AuditEntry[] = [];
  /** Refusals that the audit has of a caller outside of any session. */
  const refusalsOf = ({ principal }: Caller): number =>
    audited.filter(
      (entry) => entry.type === 'access_refused' && entry.session_id === null && entry.principal === principal,
    ).length;

  /** The rest is asked in a session of its own. */
  const askApart = async (cell: Cell): Promise<void> => {
    const act = await stageAct(stage, persona, [cell]);
    const { scene, caller, inputs } = act;
    const { session_id } = scene.session;
    const before = await worldOf(stage, session_id, true);
    await ask(cell, inputs[0] ?? {}, act);
    const after = await worldOf(stage, session_id, true);
    blame(cell, faultsOfWorld(cell, before, after, isInside && canLogIn(persona)));
    later.push(async () => {
      blame(cell, faultsOfTrace(cell, before, await worldOf(stage, session_id, true), caller));
      const wanted = traceOf(cell.expected, cell.operation) === 'server' ? 1 : 0;
      const got = refusalsOf(caller);
      if (got !== wanted) blame(cell, [`expected ${wanted} records of the server, got ${got}`]);
    });
  };

  const cells = cellsOf(persona).filter(({ way }) => way !== 'mqtt' || canLogIn(persona));
  await askTogether(cells.filter(isTraceless));
  for (const cell of cells) if (!isTraceless(cell)) await askApart(cell);

  await stage.close();
  audited = stage.on.system.audited();
  for (const look of later) await look();
  for (const [type, count] of [
    ['login_failed', told.login],
    ['not_found', told.unseen],
  ] as const) {
    const counts = audited.map((entry) => (entry.type === type ? Number(entry.data['count']) : 0));
    const got = counts.reduce((sum, each) => sum + each, 0);
    if (got !== count) faults.push(`${persona.name}: expected ${count} times ${type} in the audit, got ${got}`);
  }
  return faults;
};
