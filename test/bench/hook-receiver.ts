import { createServer } from 'node:http';

/**
 * A receiver of webhooks in a process of its own, for `fork`: answers 204, or nothing at all while it hangs. It tells its
 * port, and on `count` how many ids it has seen, how often in all, and how long after its event each first call came.
 */
const seen = new Map<string, number>();
const times: number[] = [];
let calls = 0;
let hangs = false;

const server = createServer((request, response) => {
  let body = '';
  request.setEncoding('utf8').on('data', (text: string) => (body += text));
  request.on('end', () => {
    calls += 1;
    if (hangs) return;
    const id = String(request.headers['webhook-id']);
    seen.set(id, (seen.get(id) ?? 0) + 1);
    const { timestamp } = JSON.parse(body) as { timestamp: string };
    if (seen.get(id) === 1) times.push(Date.now() - Date.parse(timestamp));
    response.writeHead(204).end();
  });
});
server.listen(0, '127.0.0.1', () => {
  const address = server.address();
  if (typeof address === 'object') process.send?.({ port: address?.port });
});
process.on('message', (asked: 'count' | 'hang' | 'answer' | 'forget') => {
  if (asked === 'hang') hangs = true;
  if (asked === 'answer') hangs = false;
  if (asked === 'forget') {
    seen.clear();
    times.length = 0;
    calls = 0;
  }
  process.send?.({ ids: seen.size, calls, times: asked === 'count' ? times : [] });
});
