import { env } from 'node:process';
// Outside of this repository: `from 'arbor-gateway/client'`.
import { connect } from '../../src/client/index.ts';

const session = await connect({ url: env['ARBOR_URL'] ?? 'http://127.0.0.1:7070', token: env['ARBOR_TOKEN'] ?? '' });
const { execution_id } = await session.execute('analyze', { path: '.' });

for await (const { seq, type, data } of session.followExecution(execution_id))
  console.log(seq, type, data['progress'] ?? '');

console.log(await session.result(execution_id));
await session.leave();
