import { InvalidArgumentError } from 'commander';

/** Values of options as they were typed; what does not fit is wrong usage. */

export const wholeNumber = (text: string): number => {
  if (!/^\d{1,15}$/.test(text)) throw new InvalidArgumentError('Expected a whole number.');
  return Number(text);
};

export const seconds = (text: string): number => {
  if (!(Number(text) > 0)) throw new InvalidArgumentError('Expected a number of seconds.');
  return Number(text);
};

const UNITS = { s: 1, m: 60, h: 3600, d: 86_400 } as const;

/** `30s`, `15m`, `2h`, `7d`, or a bare number of seconds; in seconds. */
export const duration = (text: string): number => {
  const [, count = '0', unit = 's'] = /^(\d{1,9})([smhd])?$/.exec(text) ?? [];
  if (Number(count) === 0) throw new InvalidArgumentError('Expected a time like 30s, 15m, 2h, 7d, or seconds.');
  return Number(count) * UNITS[unit as keyof typeof UNITS];
};

/** Every use of an option, in order. */
export const collect = (text: string, before: readonly string[] = []): readonly string[] => [...before, text];

/** Words separated by commas. */
export const commaSeparated = (text: string): readonly string[] => text.split(',').map((word) => word.trim());

/** Words of a closed list, separated by commas. */
export const someOf =
  <Word extends string>(words: readonly Word[]) =>
  (text: string): readonly Word[] => {
    const named = text.split(',').map((word) => word.trim());
    const known = words.filter((word) => named.includes(word));
    if (named.some((word) => !known.includes(word as Word)))
      throw new InvalidArgumentError(`Expected some of ${words.join(', ')}, separated by commas.`);
    return known;
  };
