import { z } from 'zod';

/** Fields that more than one part of the configuration has; their messages say what was expected. */
export const text = z.string('a text').min(1, 'a text that is not empty');

export const whole = (from: number, to = Number.MAX_SAFE_INTEGER) => {
  const expected =
    to === Number.MAX_SAFE_INTEGER ? `a whole number from ${from}` : `a whole number from ${from} to ${to}`;
  return z.int(expected).min(from, expected).max(to, expected);
};

/** `field` of a strict object: zod names unknown keys in its own words, which do not say what to do. */
export const strict = <Shape extends z.ZodRawShape>(shape: Shape) =>
  z.strictObject(shape, {
    error: ({ code }) => (code === 'unrecognized_keys' ? `only ${Object.keys(shape).join(', ')}` : 'an object'),
  });
