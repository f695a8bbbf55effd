import { z } from 'zod';

/** The input fields of a paged list: `after` is the `next` of the page before. */
export const pageFields = {
  after: z.string().max(64, 'a cursor of at most 64 characters').optional(),
  limit: z.int('a whole number').min(1, 'a number from 1').max(1000, 'a number up to 1000').default(100),
};

export const PAGE_QUERY = { after: 'text', limit: 'number' } as const;

/** A page of a list (contract, section 2); `next` is null at the end. */
export const pageOf = <Item extends z.ZodType>(item: Item) =>
  z.object({ items: z.array(item), next: z.string().nullable() });
