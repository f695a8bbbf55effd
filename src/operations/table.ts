import type { z } from 'zod';
import { auditList, auditVerify } from './audit.ts';
import { capabilitiesList, capabilitiesRevoke } from './capabilities.ts';
import { clientsLeave, clientsList, clientsRegister } from './clients.ts';
import { commandsExecute, commandsList } from './commands.ts';
import {
  coordinationsCancel,
  coordinationsCreate,
  coordinationsGet,
  coordinationsList,
  coordinationsVote,
} from './coordinations.ts';
import { exportsCreate } from './exports.ts';
import { eventsList } from './events.ts';
import { artifactsGet, executionsCancel, executionsGet, executionsList } from './executions.ts';
import type { Operation } from './operation.ts';
import { keysCreate, keysList, keysRevoke } from './keys.ts';
import { sessionsClose, sessionsCreate, sessionsGet, sessionsJoin, sessionsList } from './sessions.ts';
import { sharesCreate, sharesList, sharesRevoke } from './shares.ts';
import {
  deliveriesList,
  deliveriesRedeliver,
  webhooksCreate,
  webhooksDelete,
  webhooksList,
  webhooksRotate,
} from './webhooks.ts';

/** The one table of operations (contract, section 2): bindings and documents are made from it. */
export const OPERATION_TABLE = {
  'sessions.create': sessionsCreate,
  'sessions.list': sessionsList,
  'sessions.get': sessionsGet,
  'sessions.close': sessionsClose,
  'sessions.join': sessionsJoin,
  'clients.register': clientsRegister,
  'clients.list': clientsList,
  'clients.leave': clientsLeave,
  'commands.list': commandsList,
  'commands.execute': commandsExecute,
  'executions.list': executionsList,
  'executions.get': executionsGet,
  'executions.cancel': executionsCancel,
  'exports.create': exportsCreate,
  'artifacts.get': artifactsGet,
  'events.list': eventsList,
  'shares.create': sharesCreate,
  'shares.list': sharesList,
  'shares.revoke': sharesRevoke,
  'coordinations.create': coordinationsCreate,
  'coordinations.list': coordinationsList,
  'coordinations.get': coordinationsGet,
  'coordinations.cancel': coordinationsCancel,
  'coordinations.vote': coordinationsVote,
  'webhooks.create': webhooksCreate,
  'webhooks.list': webhooksList,
  'webhooks.delete': webhooksDelete,
  'webhooks.rotate': webhooksRotate,
  'deliveries.list': deliveriesList,
  'deliveries.redeliver': deliveriesRedeliver,
  'capabilities.list': capabilitiesList,
  'capabilities.revoke': capabilitiesRevoke,
  'audit.list': auditList,
  'audit.verify': auditVerify,
  'keys.create': keysCreate,
  'keys.list': keysList,
  'keys.revoke': keysRevoke,
} as const;

export type OperationName = keyof typeof OPERATION_TABLE;
/** What a caller gives. */
export type InputOf<Name extends OperationName> = z.input<(typeof OPERATION_TABLE)[Name]['input']>;
/** What the operation works with: checked, defaults filled in. */
export type CheckedInputOf<Name extends OperationName> = z.output<(typeof OPERATION_TABLE)[Name]['input']>;
/** What a caller gets. */
export type OutputOf<Name extends OperationName> = z.output<(typeof OPERATION_TABLE)[Name]['output']>;

export const operationNames = Object.keys(OPERATION_TABLE) as readonly OperationName[];

/** The operation of a name from outside; null where there is none. */
export const operationOf = (name: string): Operation | null =>
  Object.hasOwn(OPERATION_TABLE, name) ? (OPERATION_TABLE[name as OperationName] as Operation) : null;
