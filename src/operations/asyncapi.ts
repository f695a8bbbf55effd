import { EVENT_TYPES, type EventType } from '../../machines/event-type.ts';
import { problemSchema } from '../../machines/error-schema.ts';
import { eventSchema } from '../../machines/event-schema.ts';
import { canTopic, eventTopic, inboxTopic, repliesTopic, requestsTopic, stateTopic } from '../../machines/topic.ts';
import { createSchemaWriter, type Json, type SchemaWriter } from './json-schema.ts';
import type { Operation } from './operation.ts';
import { canSchema, sessionStateSchema } from './sessions.ts';
import { OPERATION_TABLE } from './table.ts';

const SESSION = '{session_id}' as never;
const CLIENT = '{client_id}' as never;

const PARAMETERS: Json = {
  session_id: { description: 'The session' },
  client_id: { description: 'The client, which is the MQTT user name' },
  type: { description: 'The type of the event', enum: EVENT_TYPES },
  subject: { description: 'The id of what the event is about: the session itself where nothing else fits' },
  shard: { description: 'A number; which one, follows from the session' },
  kind: { description: 'The kind of the actor: `session`, `client`, `execution` and others' },
  id: { description: 'The id of the actor' },
};

const channel = (address: string, title: string, description: string, messages: readonly string[]): Json => {
  const names = [...address.matchAll(/\{(\w+)\}/g)].map(([, name]) => name as string);
  return {
    address,
    title,
    description,
    parameters: Object.fromEntries(names.map((name) => [name, PARAMETERS[name]])),
    messages: Object.fromEntries(messages.map((name) => [name, { $ref: `#/components/messages/${name}` }])),
  };
};

const message = (name: string, title: string, payload: Json, more: Json = {}): Json => ({
  name,
  title,
  contentType: 'application/json',
  payload,
  ...more,
});

/** Request and response belong together by it (JSON-RPC 2.0, section 5). */
const CORRELATION = { correlationId: { location: '$message.payload#/id' } };
const RPC_ID = { oneOf: [{ type: 'string', minLength: 1, maxLength: 200 }, { type: 'integer' }] };

const rpc = (properties: Json, required: readonly string[]): Json => ({
  type: 'object',
  properties: { jsonrpc: { const: '2.0' }, ...properties },
  required: ['jsonrpc', 'id', ...required],
});

/** Its parameters; the session is the client's own where none is named. */
const paramsOf = ({ input, sight }: Operation, schemas: SchemaWriter): { params: Json; isRequired: boolean } => {
  const params = schemas.of(input, 'input') as { required?: string[] };
  const { required = [] } = params;
  const needed = sight === 'session' ? required.filter((name) => name !== 'session_id') : required;
  return { params: { ...params, required: needed }, isRequired: needed.length > 0 };
};

const requestName = (name: string): string => `${name}.request`;
const resultName = (name: string): string => `${name}.result`;
const ERROR = 'error';

const requestMessages = (operation: Operation, schemas: SchemaWriter): Json => {
  const { name, summary, output } = operation;
  const { params, isRequired } = paramsOf(operation, schemas);
  return {
    [requestName(name)]: message(
      requestName(name),
      summary,
      rpc({ id: RPC_ID, method: { const: name }, params }, isRequired ? ['method', 'params'] : ['method']),
      CORRELATION,
    ),
    [resultName(name)]: message(
      resultName(name),
      `The result of ${name}`,
      rpc({ id: RPC_ID, result: schemas.of(output, 'output') }, ['result']),
      CORRELATION,
    ),
  };
};

/** `id` is null where the request had none that could be read. */
const errorMessage = (schemas: SchemaWriter): Json => {
  const error = {
    type: 'object',
    properties: { code: { type: 'integer' }, message: { type: 'string' }, data: schemas.of(problemSchema, 'output') },
    required: ['code', 'message', 'data'],
  };
  return message(
    ERROR,
    'A request was refused or failed',
    rpc({ id: { oneOf: [...RPC_ID.oneOf, { type: 'null' }] }, error }, ['error']),
    CORRELATION,
  );
};

const eventMessage = (type: EventType, schemas: SchemaWriter): Json =>
  message(type, `The event ${type}`, {
    allOf: [schemas.of(eventSchema, 'output'), { type: 'object', properties: { type: { const: type } } }],
  });

const refs = (of: string, messages: readonly string[]): Json[] =>
  messages.map((name) => ({ $ref: `#/channels/${of}/messages/${name}` }));
const QOS_1 = { bindings: { mqtt: { qos: 1, retain: false, bindingVersion: '0.2.0' } } };

const sends = (of: string, messages: readonly string[], summary: string): Json => ({
  action: 'send',
  channel: { $ref: `#/channels/${of}` },
  summary,
  messages: refs(of, messages),
  ...QOS_1,
});

const receives = ({ name, summary, right }: Operation): Json => ({
  action: 'receive',
  channel: { $ref: '#/channels/requests' },
  summary,
  messages: refs('requests', [requestName(name)]),
  reply: { channel: { $ref: '#/channels/replies' }, messages: refs('replies', [resultName(name), ERROR]) },
  ...QOS_1,
  'x-right': right,
});

const address = (port: string): Json => ({
  host: '{host}:{port}',
  variables: { host: { default: '127.0.0.1' }, port: { default: port } },
  protocolVersion: '3.1.1',
  security: [{ $ref: '#/components/securitySchemes/client' }],
});

/**
 * The AsyncAPI 3.0 document of the MQTT binding (contract, section 3), made from the table of operations, the types of
 * events and the topics. `send` and `receive` are the server's.
 */
export const asyncApiDocument = (version: string): Json => {
  const schemas = createSchemaWriter('draft-7');
  const operations = (Object.values(OPERATION_TABLE) as readonly Operation[]).filter(({ bindings }) =>
    bindings.includes('mqtt'),
  );
  const names = operations.map(({ name }) => name);
  const messages: Json = {
    ...Object.fromEntries(EVENT_TYPES.map((type) => [type, eventMessage(type, schemas)])),
    state: message('state', 'The session at one moment', schemas.of(sessionStateSchema, 'output')),
    can: message('can', 'What is legal for the client now', schemas.of(canSchema, 'output')),
    ...Object.assign({}, ...operations.map((operation) => requestMessages(operation, schemas))),
    [ERROR]: errorMessage(schemas),
    envelope: message('envelope', 'A message to an actor', {
      type: 'object',
      properties: { to: { type: 'object' }, message: { type: 'object' } },
      required: ['to', 'message'],
    }),
  };
  const replies = [...names.map(resultName), ERROR];
  return {
    asyncapi: '3.0.0',
    info: {
      title: 'Arbor Gateway',
      version,
      license: { name: 'Apache-2.0', url: 'https://www.apache.org/licenses/LICENSE-2.0' },
    },
    defaultContentType: 'application/json',
    servers: {
      mqtt: { ...address('1883'), protocol: 'mqtt', title: 'MQTT over TCP' },
      websocket: { ...address('7070'), protocol: 'ws', pathname: '/mqtt', title: 'MQTT over WebSocket' },
    },
    channels: {
      events: channel(
        eventTopic(SESSION, '{type}', '{subject}'),
        'Events',
        'Every event of the session, numbered by `seq`; what was missed is fetched by `events.list`',
        EVENT_TYPES,
      ),
      state: channel(
        stateTopic(SESSION),
        'State',
        'The present state upon SUBSCRIBE, with the retain flag; then changes, at most ten a second',
        ['state'],
      ),
      can: channel(
        canTopic(SESSION, CLIENT),
        'Rights',
        'What is legal for this client now, upon SUBSCRIBE and when it changes; budgets are not looked at',
        ['can'],
      ),
      requests: channel(
        requestsTopic(SESSION, CLIENT),
        'Requests',
        'JSON-RPC 2.0, no notifications and no batches; a repeat of the same id is answered alike',
        names.map(requestName),
      ),
      replies: channel(
        repliesTopic(SESSION, CLIENT),
        'Replies',
        'The responses to the requests of this client',
        replies,
      ),
      actors: channel(
        inboxTopic('{shard}' as never, { session: SESSION, kind: '{kind}' as never, id: '{id}' as never }),
        'Inboxes',
        'What actors are told, for operators; fields that are secret are masked',
        ['envelope'],
      ),
    },
    operations: {
      events: sends('events', EVENT_TYPES, 'Tells the clients that may read what has happened'),
      state: sends('state', ['state'], 'Tells the clients that may read how the session stands'),
      can: sends('can', ['can'], 'Tells a client what it may do'),
      actors: sends('actors', ['envelope'], 'Shows operators what actors are told'),
      ...Object.fromEntries(operations.map((operation) => [operation.name, receives(operation)])),
    },
    components: {
      messages,
      schemas: schemas.components,
      securitySchemes: {
        client: {
          type: 'userPassword',
          description:
            'A client: its id, then its token; the MQTT client id is its id, or that with `:` and a suffix. An operator: its principal, then its API key; the MQTT client id is `op:` and a suffix.',
        },
      },
    },
  };
};
