import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';
import { suite } from 'uvu';
import * as assert from 'uvu/assert';
import { DEFAULT_GRANTS } from '../../../machines/capability.ts';
import { ConfigError } from '../../../src/config/config-error.ts';
import { createAddressCheck } from '../../../src/gateway/address-check.ts';
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
  assert.is(config.auditRetentionMs, 365 * 86_400_000);
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

test('webhooks reach public addresses alone unless a file allows more', async () => {
  assert.equal((await load(place())).webhooks, { allow: [] });
  const allow = ['127.0.0.1/32', '10.0.0.0/8', '::1/128', 'fd00::/8', '::ffff:10.0.0.0/104'];
  assert.equal((await load(withFile(`{ webhooks: { allow: ${JSON.stringify(allow)} } }`))).webhooks, { allow });
  createAddressCheck({ allow });
  const { message } = await failure(withFile(`{ webhooks: { allow: ['10.0.0.1'] } }`));
  assert.match(message, 'expected a range of addresses, for example 127.0.0.1/32');
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
    [`{ webhooks: { alow: [] } }`, 'webhooks.alow'],
    [`{ webhooks: { allow: '127.0.0.1/32' } }`, 'webhooks.allow'],
    ...['127.0.0.1', '127.1/8', 'localhost/32', '10.0.0.0/33', 'fd00::/129', '::1', ''].map(
      (range): [string, string] => [`{ webhooks: { allow: ['::1/128', '${range}'] } }`, 'webhooks.allow.1'],
    ),
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

test('the policy of the contract holds unless a file says otherwise, type by type', async () => {
  const { grants, principalRateLimit } = await load(place());
  assert.equal(grants, DEFAULT_GRANTS);
  assert.equal(
    grants.cli.map(({ constraints }) => constraints),
    [{ rate_limit: 1_000 }, { rate_limit: 100 }],
  );
  assert.equal(grants.web[0]?.constraints, { rate_limit: 500, max_concurrent: 10 });
  assert.equal(grants.api[0]?.constraints, { rate_limit: 10_000, require_webhook: true });
  assert.equal(principalRateLimit, {});
  const replaced = await load(
    withFile(`{ policy: {
      web: [{ resource_type: 'web_operations', operations: ['read'], constraints: { max_risk: 'low', rate_limit: 5 } }],
      principal_rate_limit: { web: 7 },
    } }`),
  );
  assert.equal(replaced.grants, {
    ...DEFAULT_GRANTS,
    web: [
      {
        resource_type: 'web_operations',
        operations: ['read'],
        scope: ['*'],
        constraints: { max_risk: 'low', rate_limit: 5 },
      },
    ],
  });
  assert.equal(replaced.principalRateLimit, { web: 7 });
});

const grant = (more: string): string =>
  `{ policy: { cli: [{ resource_type: 'cli_operations', operations: ['read'], ${more} }] } }`;

test('a policy that is wrong anywhere is named, whatever is wrong with it', async () => {
  const cases: [string, string, string][] = [
    [grant(`constraints: { rate_limits: 5 }`), 'policy.cli.0.constraints.rate_limits', 'is no field'],
    [grant(`constraints: { rate_limit: 0 }`), 'policy.cli.0.constraints.rate_limit', 'expected'],
    [grant(`constraints: { rate_limit: '5' }`), 'policy.cli.0.constraints.rate_limit', 'expected number'],
    [grant(`constraints: { max_risk: 'huge' }`), 'policy.cli.0.constraints.max_risk', 'expected one of'],
    [grant(`constraints: { expires_at: 'soon' }`), 'policy.cli.0.constraints.expires_at', 'expected'],
    [grant(`scope: []`), 'policy.cli.0.scope', 'expected at least one pattern'],
    [grant(`scope: ['a*b']`), 'policy.cli.0.scope.0', 'expected a name, or the beginning of names and *'],
    [grant(`scop: ['*']`), 'policy.cli.0.scop', 'is no field; expected only'],
    [`{ policy: { cli: [] } }`, 'policy.cli', 'expected at least one grant'],
    [`{ policy: { cli: [{ resource_type: 'cli', operations: ['read'] }] } }`, 'policy.cli.0.resource_type', 'expected'],
    [`{ policy: { api: [{ resource_type: 'mcp_tool', operations: [] }] } }`, 'policy.api.0.operations', 'expected'],
    [`{ policy: { fax: [] } }`, 'policy.fax', 'is no field; expected only cli, web, api, principal_rate_limit'],
    [`{ policy: { principal_rate_limit: { cli: 0 } } }`, 'policy.principal_rate_limit.cli', 'expected a whole number'],
    [`{ policy: { principal_rate_limit: { all: 1 } } }`, 'policy.principal_rate_limit.all', 'is no field'],
  ];
  for (const [config, field, said] of cases) {
    const { field: named, message } = await failure(withFile(config));
    assert.is(named, field, config);
    assert.ok(message.startsWith(`${field} in arbor.config.js: ${said}`), message);
  }
});

const KEYS = `{"keys":[{"kty":"OKP","crv":"Ed25519","x":"11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo","kid":"a"}]}`;
const ISSUER = `issuer: 'https://login.example', audience: 'arbor'`;

test('an issuer of JWTs has its keys at an address or in a file, and defaults for the rest', async () => {
  assert.is((await load(place())).auth, null);
  const { auth } = await load(withFile(`{ auth: { ${ISSUER}, jwks_uri: 'https://login.example/keys' } }`));
  assert.equal(auth, {
    issuer: 'https://login.example',
    audience: ['arbor'],
    algorithms: ['EdDSA', 'ES256', 'RS256', 'PS256'],
    keys: { uri: 'https://login.example/keys' },
    clockTolerance: 5,
    maxAge: null,
  });
  const cwd = place({
    'keys.json': KEYS,
    'arbor.config.js': `export default { auth: { issuer: 'i', audience: ['a', 'b'], jwks: 'keys.json',
      algorithms: ['ES512'], clock_tolerance: 0, max_age: 60 } };`,
  });
  const more = (await load(place(), { flags: { config: join(cwd, 'arbor.config.js') } })).auth;
  assert.equal([more?.audience, more?.algorithms, more?.clockTolerance, more?.maxAge], [['a', 'b'], ['ES512'], 0, 60]);
  assert.equal(more?.keys, { set: JSON.parse(KEYS) });
});

test('an issuer that could not be believed is named', async () => {
  const uri = `jwks_uri: 'https://login.example/keys'`;
  const cases: [string, string][] = [
    [ISSUER, 'auth.jwks_uri'],
    [`${ISSUER}, ${uri}, jwks: 'keys.json'`, 'auth.jwks_uri'],
    [`${ISSUER}, jwks_uri: 'http://login.example/keys'`, 'auth.jwks_uri'],
    [`${ISSUER}, jwks_uri: 'https://me:secret@login.example/keys'`, 'auth.jwks_uri'],
    [`${ISSUER}, jwks_uri: 'keys'`, 'auth.jwks_uri'],
    [`${ISSUER}, jwks: 'absent.json'`, 'auth.jwks'],
    [`${ISSUER}, jwks: 'text.json'`, 'auth.jwks'],
    [`${ISSUER}, jwks: 'private.json'`, 'auth.jwks'],
    [`${ISSUER}, jwks: 'secret.json'`, 'auth.jwks'],
    [`${ISSUER}, jwks: 'empty.json'`, 'auth.jwks'],
    [`audience: 'a', ${uri}`, 'auth.issuer'],
    [`issuer: 'i', ${uri}`, 'auth.audience'],
    [`issuer: 'i', audience: [], ${uri}`, 'auth.audience'],
    [`${ISSUER}, ${uri}, algorithms: ['HS256']`, 'auth.algorithms.0'],
    [`${ISSUER}, ${uri}, algorithms: ['none']`, 'auth.algorithms.0'],
    [`${ISSUER}, ${uri}, algorithms: []`, 'auth.algorithms'],
    [`${ISSUER}, ${uri}, clock_tolerance: 301`, 'auth.clock_tolerance'],
    [`${ISSUER}, ${uri}, max_age: 0`, 'auth.max_age'],
    [`${ISSUER}, ${uri}, jwk: 'x'`, 'auth.jwk'],
  ];
  for (const [auth, field] of cases) {
    const cwd = place({
      'keys.json': KEYS,
      'text.json': 'no JSON',
      'private.json': KEYS.replace('"kid"', '"d":"c2VjcmV0","kid"'),
      'secret.json': '{"keys":[{"kty":"oct","k":"c2VjcmV0"}]}',
      'empty.json': '{"keys":[]}',
      'arbor.config.js': `export default { auth: { ${auth} } };`,
    });
    const { field: named, message } = await failure(cwd);
    assert.is(named, field, auth);
    assert.ok(message.startsWith(`${field} in arbor.config.js: `), message);
    assert.not.match(message, 'c2VjcmV0');
  }
});

test.run();
