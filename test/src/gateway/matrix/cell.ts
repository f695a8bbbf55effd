import { COMMON_ERRORS, type Operation } from '../../../../src/operations/operation.ts';
import { operationNames, operationOf } from '../../../../src/operations/table.ts';
import { gatewayCommands, testCommands } from '../../../support/gateway.ts';
import { DRY, fieldsOf } from './input.ts';
import { expectedOf, hasOwn, isCharged, traceOf, type Expected, type Way } from './oracle.ts';
import type { Persona } from './persona.ts';
import type { Caller, Choice } from './scene.ts';
import type { Reply } from './wire.ts';
import { eventsSince, recordsSince, type World } from './world.ts';

/** One call of one kind of caller, and what the contract says to it. */
export interface Cell {
  readonly name: string;
  /** The same call, in whatever way it is made. */
  readonly question: string;
  readonly operation: Operation;
  readonly way: Way;
  readonly choice: Choice;
  readonly expected: Expected;
}

/** In which ways an operation is called: those that it does not offer are answered as well. */
export const waysOf = ({ bindings, http }: Operation): readonly Way[] => [
  ...(bindings.includes('http') ? (['http'] as const) : []),
  ...(http.stream ? (['stream'] as const) : []),
  'mqtt',
];

/**
 * Commands that differ in what they need, where the operation runs whichever it is told; the one that it stands for; else
 * one that nobody looks at.
 */
const commandsOf = (operation: Operation): readonly string[] => {
  if (operation.right !== 'command') return ['help'];
  return fieldsOf(operation).all.includes('command') ? [...testCommands.keys()] : ['export'];
};

export const OPERATIONS: readonly Operation[] = operationNames.map((name) => operationOf(name) as Operation);

/** What makes a difference to the answer: whose what it is about is, what a command needs, whether it is only checked. */
const choicesOf = (operation: Operation, { standing }: Persona): readonly Choice[] => {
  const whose = hasOwn(operation.right, standing) ? [false, true] : [false];
  const checks = fieldsOf(operation).all.includes(DRY) ? [false, true] : [false];
  return whose.flatMap((own) =>
    commandsOf(operation).flatMap((command) => checks.map((dry) => ({ own, command, dry }))),
  );
};

export const cellsOf = (persona: Persona): readonly Cell[] =>
  OPERATIONS.flatMap((operation) =>
    choicesOf(operation, persona).flatMap((choice) => {
      const need = gatewayCommands.get(choice.command)?.facts.operation ?? 'read';
      const question = [
        operation.name,
        ...(choice.own ? ['of its own'] : []),
        ...(operation.right === 'command' ? [need] : []),
        ...(choice.dry ? ['to check'] : []),
      ].join(' ');
      return waysOf(operation).map(
        (way): Cell => ({
          name: `${persona.name}, ${question}, ${way}`,
          question,
          operation,
          way,
          choice,
          expected: expectedOf(persona.standing, { operation, way, need, own: choice.own, dry: choice.dry }),
        }),
      );
    }),
  );

/** Whether it leaves the session as it was to the last bit, so that others of its kind may be asked in the same one. */
export const isTraceless = ({ expected, operation }: Cell): boolean =>
  ['login', 'unseen'].includes(traceOf(expected, operation)) ||
  (!expected.answered && expected.code === 'method_not_found');

const shownAs = (expected: Expected): string =>
  expected.answered ? 'an answer' : `${expected.status} ${expected.code} ${expected.reason ?? ''}`.trim();

/** What of an answer is not as expected. */
export const faultsOfReply = ({ expected, operation }: Cell, { problem, shown, astray }: Reply): string[] => {
  const wanted = shownAs(expected);
  const { status, code, reason } = problem ?? {};
  const got = shownAs(problem === null ? { answered: true } : { answered: false, status, code, reason });
  if (wanted !== got) return [`expected ${wanted}, got ${got}: ${shown.slice(0, 300)}`];
  const declared: readonly string[] = [...operation.errors, ...COMMON_ERRORS, 'method_not_found'];
  return [
    ...(astray === null ? [] : [astray]),
    ...(problem === null || declared.includes(code) ? [] : [`${code} is not among the errors of the operation`]),
  ];
};

/** What a call has done to its session that it should not have; its events and records are told later. */
export const faultsOfWorld = (
  { expected, operation, choice }: Cell,
  before: World,
  after: World,
  metered: boolean,
): string[] => {
  if (!expected.answered || choice.dry)
    return after.actors.join('\n') === before.actors.join('\n') ? [] : ['it changed something'];
  const charged = after.used - before.used;
  if (isCharged(operation)) return metered && charged < 1 ? ['nothing was charged'] : [];
  return charged > 0 ? [`${charged} charged`] : [];
};

/** Which traces in its session are not those that a call should have left, once all are told. */
export const faultsOfTrace = (
  { expected, operation }: Cell,
  before: World,
  after: World,
  { principal, client }: Caller,
): string[] => {
  const trace = traceOf(expected, operation);
  const events = eventsSince(after, before);
  // That a command of high risk was refused is told besides, merged.
  const records = recordsSince(after, before).filter(({ type }) => type !== 'command_refused');
  const reason = expected.answered ? undefined : expected.reason;
  const fact = { principal, client_id: client?.client_id ?? null, operation: operation.name, reason, count: 1 };
  const { principal: _, client_id: __, ...data } = fact;
  const wanted = JSON.stringify(
    trace === 'session' ? [[fact], [['access_refused', fact.principal, fact.client_id, data]]] : [[], []],
  );
  const isViolation = ({ type }: { type: string }): boolean =>
    type === 'security_violation' || type === 'access_refused';
  // An answered call may leave what it likes, but for what tells of a refusal.
  const told = expected.answered ? events.filter(isViolation) : events;
  const recorded = expected.answered ? records.filter(isViolation) : records;
  const got = JSON.stringify([
    told.map(({ type, data: what }) => (type === 'security_violation' ? what : type)),
    recorded.map((record) => [record.type, record.principal, record.client_id, record.data]),
  ]);
  return wanted === got ? [] : [`expected the traces ${wanted}, got ${got}`];
};
