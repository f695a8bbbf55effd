import { decodeHttpRequest, pathFields } from '../../src/operations/http-request.ts';
import { statusOf, type Operation } from '../../src/operations/operation.ts';
import { OPERATION_TABLE, type OperationName } from '../../src/operations/table.ts';
import type { Fetch } from '../../src/client/http-fetch.ts';
import type { CallResult } from '../../src/gateway/call.ts';
import type { GatewayCore } from '../../src/gateway/core.ts';
import { ANONYMOUS } from '../../src/gateway/principals.ts';
import { problem } from '../../machines/error.ts';
import type { Channel } from './channels.ts';

interface Route {
  readonly name: OperationName;
  readonly operation: Operation;
  readonly pattern: RegExp;
  readonly fields: readonly string[];
}

const routes: readonly Route[] = (Object.entries(OPERATION_TABLE) as unknown as [OperationName, Operation][])
  .filter(([, operation]) => operation.bindings.includes('http'))
  .map(([name, operation]) => ({
    name,
    operation,
    pattern: new RegExp(`^${operation.http.path.replace(/\{\w+\}/g, '([^/]+)')}$`),
    fields: pathFields(operation),
  }));

/** What a server in the simulation does with a request: as the HTTP binding, without its sockets. */
const answer = async ({ calls, principals, context }: GatewayCore, url: URL, init: RequestInit): Promise<Response> => {
  const route = routes.find(
    ({ operation, pattern }) => operation.http.method === init.method && pattern.test(url.pathname),
  );
  if (route === undefined) throw new Error(`no route for ${init.method} ${url.pathname}`);
  const { name, operation, pattern, fields } = route;
  const headers = new Headers(init.headers);
  const token = /^Bearer (.+)$/.exec(headers.get('authorization') ?? '')?.[1];
  const identity = token === undefined ? null : await principals.authenticate(token, 'sim');
  const isAllowed = identity !== null || (token === undefined && operation.right === 'share_token');
  const values = pattern.exec(url.pathname)?.slice(1) ?? [];
  const input = decodeHttpRequest(operation, {
    params: Object.fromEntries(fields.map((field, index) => [field, values[index]])),
    query: Object.fromEntries(url.searchParams),
    prefer: headers.get('prefer') ?? undefined,
    body: typeof init.body === 'string' ? JSON.parse(init.body) : {},
  });
  const result: CallResult = isAllowed
    ? await calls.call(name, input, {
        identity: identity ?? ANONYMOUS,
        address: 'sim',
        requestId: context.system.newId('request'),
        signal: () => init.signal ?? new AbortController().signal,
      })
    : { ok: false, problem: problem('unauthenticated', 'expected a key or a token') };
  if (!result.ok) return new Response(JSON.stringify(result.problem), { status: result.problem.status });
  if ('file' in result) throw new Error('there are no files here');
  if ('json' in result) return new Response(result.json);
  return new Response(JSON.stringify(result.body), { status: statusOf(operation, result.body) });
};

/** `fetch` to whatever server there is; what was sent to one that died is answered by nobody. */
export const simFetch =
  (
    place: () => { readonly core: GatewayCore; readonly toServer: Channel; readonly lost: Set<() => void> } | null,
    toClient: Channel,
  ): Fetch =>
  (url, init) => {
    const { promise, resolve, reject } = Promise.withResolvers<Response>();
    const broken = (): void => toClient.send(() => reject(new TypeError('fetch failed')));
    const at = place();
    if (at === null) broken();
    else {
      at.lost.add(broken);
      at.toServer.send(() => {
        void answer(at.core, new URL(url), init).then(
          (response) => {
            at.lost.delete(broken);
            toClient.send(() => resolve(response));
          },
          (error: unknown) => {
            at.lost.delete(broken);
            toClient.send(() => reject(error as Error));
          },
        );
      });
      init.signal?.addEventListener('abort', () => {
        at.lost.delete(broken);
        reject(init.signal?.reason as Error);
      });
    }
    return promise;
  };
