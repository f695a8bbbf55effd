/** Secrets that a test has planted, and the search for them in whatever comes out. */
export interface Planted {
  /** Answers the secret itself. */
  plant(name: string, secret: string): string;
  /** Names of the secrets of which something stands in it: the whole, or any 20 characters of the random half. */
  foundIn(output: string | Uint8Array): string[];
}

/** Whatever has 20 characters of a text has one of its blocks of 10 whole; and 10 random ones are nowhere by chance. */
const BLOCK = 10;

const blocksOf = (text: string): string[] => {
  const blocks: string[] = [];
  for (let at = 0; at + BLOCK <= text.length; at += BLOCK) blocks.push(text.slice(at, at + BLOCK));
  return blocks;
};

/** The characters of base64 that do not depend on what stands around the text, for each place it can begin at. */
const base64Of = (text: string): string[] =>
  ['', 'x', 'xx'].map((before) =>
    Buffer.from(before + text)
      .toString('base64')
      .slice(before === '' ? 0 : 4, -4),
  );

/** A text as it comes out by accident: as it is, as bytes in hexadecimal, in base64, or as a list of bytes in JSON. */
const formsOf = (text: string): string[] => {
  const bytes = Buffer.from(text);
  return [...blocksOf(text), bytes.toString('hex'), [...bytes].join(','), ...base64Of(text)];
};

/** The random half of a token is what stands behind its last dot. */
const randomHalf = (secret: string): string => secret.slice(secret.lastIndexOf('.') + 1);

export const createPlanted = (): Planted => {
  const forms = new Map<string, readonly string[]>();
  return {
    plant: (name, secret) => {
      const half = randomHalf(secret);
      if (half.length < 2 * BLOCK) throw new Error(`${name} is too short to be found for certain`);
      forms.set(name, formsOf(half));
      return secret;
    },
    foundIn: (output) => {
      // Every byte is a character of its own, and all that is searched for is ASCII.
      const text = typeof output === 'string' ? output : Buffer.from(output).toString('latin1');
      return [...forms].filter(([, parts]) => parts.some((part) => text.includes(part))).map(([name]) => name);
    },
  };
};
