import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { ConfigError } from '../../../src/config/config-error.ts';
import { loadConfig, type Config, type ConfigSources } from '../../../src/config/config.ts';

const base = mkdtempSync(join(tmpdir(), 'arbor-config-'));
let number = 0;

/** A directory of its own with these files. */
const place = (files: Readonly<Record<string, string>> = {}): string => {
  const cwd = join(base, String((number += 1)));
  mkdirSync(join(cwd, 'src'), { recursive: true });
  for (const [name, text] of Object.entries(files)) writeFileSync(join(cwd, name), text);
  return cwd;
};

const load = (cwd: string, sources: ConfigSources = {}): Promise<Config> => loadConfig({ env: {}, ...sources, cwd });

const failure = async (cwd: string, sources: ConfigSources = {}): Promise<ConfigError> => {
  try {
    await load(cwd, sources);
  } catch (error) {
    if (!(error instanceof ConfigError)) throw error;
    assert.not.match(error.message, '\n');
    return error;
  }
  throw new Error('accepted');
};

const withFile = (config: string): string => place({ 'arbor.config.js': `export default ${config};` });

const test = suite('configuration');
test.after(() => rmSync(base, { recursive: true, force: true }));

test('has the defaults of the contract', async () => {
  const cwd = place();
  const config = await load(cwd);
  assert.equal([config.file, config.data, config.roots, config.commands], [null, join(cwd, '.arbor'), [cwd], []]);
  assert.equal(
    [config.http, config.mqtt],
    [
      { host: '127.0.0.1', port: 7070 },
      { host: '127.0.0.1', port: 1883 },
    ],
  );
  assert.equal([config.retentionMs, config.drainMs, config.limits.graceMs], [604_800_000, 30_000, 60_000]);
  assert.equal([config.limits.bodyBytes, config.limits.queuedExecutions], [1_048_576, 100_000]);
  assert.ok(config.agents.threads >= 2);
  assert.equal(readdirSync(cwd), ['src']);
});

test('is frozen all through', async () => {
  const config = await load(place());
  for (const part of [config, config.http, config.roots, config.limits, config.log]) assert.ok(Object.isFrozen(part));
});

test('flags come before variables, variables before the file, the file before defaults', async () => {
  const cwd = withFile(
    `{ http: '127.0.0.3:3', mqtt: '127.0.0.3:3', data: 'file', log: { level: 'warn' }, agents: { threads: 3 } }`,
  );
  const env = { ARBOR_HTTP: '127.0.0.2:2', ARBOR_MQTT: '127.0.0.2:2', ARBOR_LOG_LEVEL: '', ARBOR_AGENT_THREADS: '5' };
  const config = await load(cwd, { flags: { http: '[::1]:1' }, env });
  assert.equal(config.http, { host: '::1', port: 1 });
  assert.equal(config.mqtt, { host: '127.0.0.2', port: 2 });
  assert.equal([config.data, config.log.level, config.agents.threads], [join(cwd, 'file'), 'warn', 5]);
  assert.is(config.shards.workers, 2);
});

test('a flag that was not given counts for nothing', async () => {
  const cwd = withFile(`{ http: 'localhost:0' }`);
  const flags = { http: undefined, data: undefined, config: undefined };
  assert.equal((await load(cwd, { flags })).http, { host: 'localhost', port: 0 });
});

test('paths are relative to the file in a file, else to the working directory', async () => {
  const cwd = place();
  const elsewhere = place({
    'a.ts': '',
    'my.config.ts': `type Level = 'info'; const level: Level = 'info';
      export default { data: './d', roots: ['.', 'src'], commands: ['a.ts'], log: { level }, retention: 60 };`,
  });
  const config = await load(cwd, { flags: { config: join('..', elsewhere.slice(base.length + 1), 'my.config.ts') } });
  assert.equal([config.file, config.data], [join(elsewhere, 'my.config.ts'), join(elsewhere, 'd')]);
  assert.equal(config.roots, [elsewhere, join(elsewhere, 'src')]);
  assert.equal(config.commands, [pathToFileURL(join(elsewhere, 'a.ts')).href]);
  assert.is(config.retentionMs, 60_000);
  const env = { ARBOR_CONFIG: join(elsewhere, 'my.config.ts'), ARBOR_ROOTS: 'src', ARBOR_DATA: 'e' };
  const fromEnv = await load(cwd, { env });
  assert.equal([fromEnv.roots, fromEnv.data], [[join(cwd, 'src')], join(cwd, 'e')]);
});

test('finds arbor.config in each form, also as a function', async () => {
  for (const name of ['arbor.config.js', 'arbor.config.mjs', 'arbor.config.ts']) {
    const cwd = place({ [name]: 'export default () => ({ shards: { workers: 7 } });' });
    assert.is((await load(cwd)).shards.workers, 7, name);
  }
});

test('limits have the names of the contract and reach the gateway in its own', async () => {
  const { limits, drainMs } = await load(
    withFile(
      '{ limits: { body_bytes: 2048, queued_executions: 2, streams: 3, in_flight: 4, failed_logins: 5, grace: 0.5, drain: 7 } }',
    ),
  );
  assert.equal(
    [
      limits.bodyBytes,
      limits.queuedExecutions,
      limits.streams,
      limits.inFlight,
      limits.failedLogins,
      limits.graceMs,
      drainMs,
    ],
    [2048, 2, 3, 4, 5, 500, 7000],
  );
  assert.is(limits.heartbeatMs, 15_000);
});

test('reads and writes nothing else', async () => {
  const cwd = place({
    'arbor.config.ts': 'export default { log: { level: "warn" } };',
    '.env': 'ARBOR_HTTP=127.0.0.9:9\nARBOR_TEST_LEAK=1',
    '.arborrc': 'data=rc',
    'package.json': '{ "type": "module", "arbor": { "data": "package" } }',
  });
  const before = readdirSync(cwd, { recursive: true })
    .map(String)
    .toSorted((a, b) => (a < b ? -1 : 1));
  const config = await loadConfig({ cwd });
  assert.equal([config.http.port, config.data, config.log.level], [7070, join(cwd, '.arbor'), 'warn']);
  assert.is(process.env['ARBOR_TEST_LEAK'], undefined);
  assert.equal(
    readdirSync(cwd, { recursive: true })
      .map(String)
      .toSorted((a, b) => (a < b ? -1 : 1)),
    before,
  );
});

test('a wrong flag or variable is named', async () => {
  const cwd = place();
  for (const http of ['x', '7070', 'host:', ':7070', '127.0.0.1:65536', '127.0.0.1:-1', 'http://a:1', '::1:80', '']) {
    const error = await failure(cwd, { flags: { http } });
    assert.is(error.field, '--http', http);
    assert.ok(error.message.startsWith('--http: expected HOST:PORT'), error.message);
  }
  const cases: [ConfigSources, string][] = [
    [{ flags: { mqtt: 'x' } }, '--mqtt'],
    [{ flags: { data: '' } }, '--data'],
    [{ flags: { config: 'absent.ts' } }, '--config'],
    [{ flags: { config: 'src' } }, '--config'],
    [{ env: { ARBOR_LOG_LEVEL: 'loud' } }, 'ARBOR_LOG_LEVEL'],
    [{ env: { ARBOR_MQTT: 'x' } }, 'ARBOR_MQTT'],
    [{ env: { ARBOR_CONFIG: 'absent.ts' } }, 'ARBOR_CONFIG'],
    [{ env: { ARBOR_SHARD_WORKERS: 'two' } }, 'ARBOR_SHARD_WORKERS'],
    [{ env: { ARBOR_SHARD_WORKERS: '65' } }, 'ARBOR_SHARD_WORKERS'],
    [{ env: { ARBOR_AGENT_THREADS: '0' } }, 'ARBOR_AGENT_THREADS'],
    [{ env: { ARBOR_RETENTION: '-1' } }, 'ARBOR_RETENTION'],
    [{ env: { ARBOR_ROOTS: 'src:absent' } }, 'ARBOR_ROOTS'],
    [{ env: { ARBOR_COMMANDS: 'absent.ts' } }, 'ARBOR_COMMANDS'],
  ];
  for (const [sources, field] of cases) {
    const error = await failure(cwd, sources);
    assert.is(error.field, field);
    assert.ok(error.message.startsWith(`${field}: `), error.message);
  }
});

test('a wrong field is named with its file', async () => {
  const cases: [string, string][] = [
    [`{ htttp: 'localhost:1' }`, 'htttp'],
    [`{ limits: { stream: 1 } }`, 'limits.stream'],
    [`{ limits: { streams: '1' } }`, 'limits.streams'],
    [`{ limits: 5 }`, 'limits'],
    [`{ http: 7070 }`, 'http'],
    [`{ roots: [] }`, 'roots'],
    [`{ roots: ['src', 'absent'] }`, 'roots.1'],
    [`{ commands: ['absent.ts'] }`, 'commands.0'],
    [`{ agents: { threads: 1.5 } }`, 'agents.threads'],
    [`{ retention: Infinity }`, 'retention'],
    ['5', 'default'],
    ['null', 'default'],
    ['[]', 'default'],
  ];
  for (const [config, field] of cases) {
    const error = await failure(withFile(config));
    assert.is(error.field, field, config);
    assert.ok(error.message.startsWith(`${field} in arbor.config.js: `), error.message);
  }
});

test('a file that throws, does not parse or exports nothing is named', async () => {
  for (const text of [
    'throw new Error("a\\nb");',
    'export default {',
    'export const a = 1;',
    'export default () => { throw new Error("x"); }',
  ]) {
    const error = await failure(place({ 'arbor.config.mjs': text }));
    assert.match(error.message, 'arbor.config.mjs');
  }
});

test.run();
