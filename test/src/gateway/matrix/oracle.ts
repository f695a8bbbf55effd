import type { Operation as Verb } from '../../../../machines/capability.ts';
import type { ErrorCode } from '../../../../machines/error.ts';
import type { Binding, Operation, Right } from '../../../../src/operations/operation.ts';

/** Over what an operation is called: its bindings, and the stream of events beside the one over HTTP. */
export type Way = Binding | 'stream';

/** Who calls, as the contract's section 6 sees it. */
export interface Standing {
  /** `dead` are all that are not good, or not any more; `principal` an API key or a JWT. */
  readonly credentials: 'none' | 'dead' | 'principal' | 'client';
  /** Holds the API key of an operator. */
  readonly operator: boolean;
  /** In the session that the call is about. */
  readonly place: 'owner' | 'member' | 'outside';
  /** What its capability, or the root for the owner's key, allows. */
  readonly verbs: readonly Verb[];
  /** Whether the time of its capability is `over`, or a limit of it is reached. */
  readonly state: 'good' | 'over' | 'exhausted' | 'rate_limited';
  readonly mayShare: boolean;
}

export interface Question {
  readonly operation: Pick<Operation, 'name' | 'sight' | 'right' | 'bindings'>;
  readonly way: Way;
  /** What the command that is asked for needs. */
  readonly need: Verb;
  /** Whether the client, the execution or the share that it is about is the caller's own. */
  readonly own: boolean;
  /** Whether it is only checked: nothing is charged, and budgets are not asked. */
  readonly dry: boolean;
}

export type Expected =
  | { readonly answered: true }
  | {
      readonly answered: false;
      readonly status: number;
      readonly code: ErrorCode;
      readonly reason?: string;
    };
type Refusal = Extract<Expected, { answered: false }>;

const ANSWERED: Expected = { answered: true };
const UNAUTHENTICATED: Refusal = { answered: false, status: 401, code: 'unauthenticated' };
const NOT_FOUND: Refusal = { answered: false, status: 404, code: 'not_found' };
const NOT_OFFERED: Refusal = { answered: false, status: 404, code: 'method_not_found' };
const forbidden = (reason: string): Refusal => ({ answered: false, status: 403, code: 'security_violation', reason });
const LIMITED: Refusal = { answered: false, status: 429, code: 'rate_limited', reason: 'rate_limited' };

/** Charged, one each; nothing else (contract, section 6). */
const CHARGED: ReadonlySet<string> = new Set(['commands.execute', 'exports.create', 'coordinations.create']);
export const isCharged = ({ name }: Pick<Operation, 'name'>): boolean => CHARGED.has(name);

const covers = ({ verbs, state }: Standing, verb: Verb): Expected => {
  if (!verbs.includes(verb)) return forbidden('operation');
  return state === 'over' ? forbidden('time') : ANSWERED;
};

/** The column "needs" of the contract's section 2. */
const permits = (right: Right, standing: Standing, { need, own }: Question): Expected => {
  const { credentials, operator, place, mayShare, state } = standing;
  const isOwner = place === 'owner';
  switch (right) {
    case 'principal':
    case 'share_token':
      return credentials === 'client' ? forbidden('principal') : ANSWERED;
    case 'authenticated':
      return ANSWERED;
    case 'operator':
      return operator ? ANSWERED : forbidden('operator');
    case 'read':
    case 'write':
      return covers(standing, right);
    case 'command':
      return covers(standing, need);
    case 'owner':
      return isOwner ? ANSWERED : forbidden('owner');
    case 'owner_or_self':
    case 'owner_or_issuer':
    case 'owner_or_requester':
      return isOwner || own ? ANSWERED : forbidden('owner');
    case 'write_or_starter':
      return isOwner || own ? ANSWERED : covers(standing, 'write');
    case 'owner_or_sharer':
      return isOwner || (mayShare && state !== 'over') ? ANSWERED : forbidden('may_share');
  }
};

/** What a call is answered with, by the decision of the contract's section 6: steps 1, 2, 4 and 8. */
export const expectedOf = (standing: Standing, question: Question): Expected => {
  const { credentials, place, state } = standing;
  const { operation, way } = question;
  const { sight, right } = operation;
  if (credentials === 'dead' || (credentials === 'none' && right !== 'share_token')) return UNAUTHENTICATED;
  if (way === 'mqtt' && !operation.bindings.includes('mqtt')) return NOT_OFFERED;
  if (sight !== 'none' && place === 'outside') return NOT_FOUND;
  const permitted = permits(right, standing, question);
  if (!permitted.answered || question.dry || !isCharged(operation)) return permitted;
  if (state === 'exhausted') return forbidden('exhausted');
  return state === 'rate_limited' ? LIMITED : ANSWERED;
};

/** Whether the caller can have one of its own of what the operation is about, where that makes a difference. */
export const hasOwn = (right: Right, { credentials, place, verbs, mayShare, state }: Standing): boolean => {
  if (credentials !== 'client' || place === 'outside') return false;
  if (right === 'owner_or_self') return true;
  if (right === 'write_or_starter') return verbs.includes('read');
  if (right === 'owner_or_requester') return verbs.includes('write') && state === 'good';
  return right === 'owner_or_issuer' && (place === 'owner' || mayShare);
};

/**
 * Where a refusal leaves its trace: as an event and a record of the session, as a record of the server alone, or merged
 * with others of the same address; an answer, and a limit that is reached for now, leave none.
 */
export type Trace = 'session' | 'server' | 'login' | 'unseen' | 'none';

export const traceOf = (expected: Expected, { sight }: Pick<Operation, 'sight'>): Trace => {
  if (expected.answered) return 'none';
  if (expected.status === 403) return sight === 'none' ? 'server' : 'session';
  if (expected.status === 401) return 'login';
  return expected.code === 'not_found' ? 'unseen' : 'none';
};
