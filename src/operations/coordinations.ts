import { z } from 'zod';
import { idSchema } from '../../machines/id-schema.ts';
import { QUESTION_LIMITS } from '../../machines/question-limits.ts';
import { coordinationSchema, questionFields } from '../../machines/question-schema.ts';
import { waitSchema } from './executions.ts';
import { defineOperation } from './operation.ts';
import { PAGE_QUERY, pageFields, pageOf } from './page.ts';

export const coordinationsCreate = defineOperation({
  name: 'coordinations.create',
  summary: 'Asks the people of a session a question that ends in exactly one outcome; its rules are fixed here',
  input: z.strictObject({ session_id: idSchema('session'), ...questionFields }),
  output: coordinationSchema,
  sight: 'session',
  right: 'write',
  http: {
    method: 'POST',
    path: '/v1/sessions/{session_id}/coordinations',
    answers: { 201: coordinationSchema },
    location: ({ coordination_id }) => `/v1/coordinations/${String(coordination_id)}`,
  },
  errors: ['security_violation', 'not_found', 'conflict', 'read_only'],
});

const coordinationPageSchema = pageOf(coordinationSchema);

export const coordinationsList = defineOperation({
  name: 'coordinations.list',
  summary: 'Lists the questions of a session in order of id, those with an outcome too',
  input: z.strictObject({ session_id: idSchema('session'), ...pageFields }),
  output: coordinationPageSchema,
  sight: 'session',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/sessions/{session_id}/coordinations',
    query: PAGE_QUERY,
    answers: { 200: coordinationPageSchema },
  },
  errors: ['security_violation', 'not_found'],
});

export const coordinationsGet = defineOperation({
  name: 'coordinations.get',
  summary: 'Shows a question with its votes; with `wait`, as soon as it has its outcome',
  input: z.strictObject({ coordination_id: idSchema('coordination'), wait: waitSchema.optional() }),
  output: coordinationSchema,
  sight: 'coordination',
  right: 'read',
  http: {
    method: 'GET',
    path: '/v1/coordinations/{coordination_id}',
    query: { wait: 'number' },
    prefer: true,
    answers: { 200: coordinationSchema },
  },
  errors: ['security_violation', 'not_found'],
});

export const coordinationsCancel = defineOperation({
  name: 'coordinations.cancel',
  summary: 'Takes a question back',
  input: z.strictObject({ coordination_id: idSchema('coordination') }),
  output: coordinationSchema,
  sight: 'coordination',
  right: 'owner_or_requester',
  http: { method: 'DELETE', path: '/v1/coordinations/{coordination_id}', answers: { 200: coordinationSchema } },
  errors: ['security_violation', 'not_found', 'already_decided', 'read_only'],
});

export const coordinationsVote = defineOperation({
  name: 'coordinations.vote',
  summary: 'Confirms or rejects, for who is eligible; the same vote again is answered alike',
  input: z.strictObject({
    coordination_id: idSchema('coordination'),
    vote: z.enum(['confirm', 'reject']),
    comment: z.string().max(QUESTION_LIMITS.comment, `at most ${QUESTION_LIMITS.comment} characters`).optional(),
  }),
  output: coordinationSchema,
  sight: 'coordination',
  right: 'write',
  http: {
    method: 'POST',
    path: '/v1/coordinations/{coordination_id}/votes',
    answers: { 200: coordinationSchema },
  },
  errors: ['security_violation', 'not_found', 'conflict', 'already_decided', 'read_only'],
});
