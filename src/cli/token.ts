import { createHttpClient } from '../client/index.ts';
import { EXIT } from './errors.ts';
import { renderTable } from './render.ts';
import type { Settings } from './settings.ts';

/**
 * `arbor token create`: makes an API key of a principal. The key alone goes to standard output, once. Resolves with the
 * exit code.
 */
export const createToken = async (
  settings: Settings,
  principal: string,
  flags: { readonly operator?: boolean; readonly json?: boolean },
): Promise<number> => {
  const created = await createHttpClient(settings).keys.create({ principal, operator: flags.operator ?? false });
  const { key_id, api_key, operator } = created;
  if (flags.json) process.stdout.write(`${JSON.stringify(created)}\n`);
  else {
    process.stdout.write(`${api_key}\n`);
    process.stderr.write(
      `${key_id} of ${created.principal}${operator ? ', an operator' : ''}; the key is shown this once\n` +
        `use it as ARBOR_TOKEN; end it with: arbor token revoke ${key_id}\n`,
    );
  }
  return EXIT.ok;
};

/** `arbor token list`: lists the API keys, revoked ones too. Resolves with the exit code. */
export const listTokens = async (settings: Settings, flags: { readonly json?: boolean }): Promise<number> => {
  const { items } = await createHttpClient(settings).keys.list({});
  if (flags.json) process.stdout.write(`${JSON.stringify(items)}\n`);
  else if (items.length === 0) process.stderr.write('no keys\n');
  else
    process.stdout.write(
      `${renderTable(
        items.map((key) => ({ ...key, operator: key.operator ? 'yes' : 'no' })),
        ['key_id', 'principal', 'operator', 'created_at', 'revoked_at'],
      )}\n`,
    );
  return EXIT.ok;
};
