/** Names of fields that hold secrets wherever they stand (contract, promise 17). */
export const SENSITIVE_NAMES = [
  'authorization',
  'cookie',
  'password',
  'passwd',
  'passphrase',
  'secret',
  'client_secret',
  'token',
  'access_token',
  'refresh_token',
  'api_key',
  'private_key',
  'credentials',
] as const;

/** What stands in the place of a secret. */
export const MASK = '[redacted]';

/** `API-Key`, `apiKey` and `api_key` are one name. */
const folded = (name: string): string => name.toLowerCase().replaceAll(/[-_]/g, '');

const SENSITIVE: readonly string[] = SENSITIVE_NAMES.map(folded);

/** `github_token` is a token; `tokens` and `tokenizer` are none. */
const isSensitive = (name: string): boolean => SENSITIVE.some((ending) => name.endsWith(ending));

/**
 * A JSON value as it may be shown: the values of sensitive fields, and of those that `names` names besides, are masked at
 * every depth. Numbers and booleans go as well: what is secret is not the type.
 */
export const masked = (value: unknown, names: readonly string[] = []): unknown => {
  const further = new Set(names.map(folded));
  const show = (part: unknown): unknown => {
    if (typeof part !== 'object' || part === null) return part;
    if (Array.isArray(part)) return part.map(show);
    return Object.fromEntries(
      Object.entries(part).map(([name, inner]) => {
        const plain = folded(name);
        return [name, isSensitive(plain) || further.has(plain) ? MASK : show(inner)];
      }),
    );
  };
  return show(value);
};

/** Whether an object is a schema node of a field whose author marked it `.meta({ secret: true })`. */
const isMarked = (node: unknown): boolean =>
  typeof node === 'object' && node !== null && 'secret' in node && node.secret === true;

/** The names of the fields that a JSON Schema marks as secret, at any depth. */
export const markedSecret = (schema: unknown): readonly string[] => {
  const names = new Set<string>();
  const walk = (node: unknown): void => {
    if (typeof node !== 'object' || node === null) return;
    if ('properties' in node && typeof node.properties === 'object' && node.properties !== null)
      for (const [name, inner] of Object.entries(node.properties)) if (isMarked(inner)) names.add(name);
    for (const inner of Object.values(node)) walk(inner);
  };
  walk(schema);
  return [...names];
};
