import { appendFileSync } from 'node:fs';
import { setTimeout as pause } from 'node:timers/promises';
import { z } from 'zod';
import { defineCommand, type HandlerContext } from '../../../machines/command.ts';
import { ProblemError } from '../../../machines/error.ts';

const HOUR_MS = 3_600_000;

interface Args {
  readonly do: keyof typeof WAYS;
  readonly path: string;
  readonly ms: number;
}
type Context = HandlerContext<Args>;

const codeOf = (promise: Promise<unknown>): Promise<string> =>
  promise.then(
    () => 'none',
    (error: unknown) => (error instanceof ProblemError ? error.problem.code : String(error)),
  );

/** Each leaves a line in the file, so that a test sees how often it was run. */
const line = ({ args }: Context, text: string): string => {
  appendFileSync(args.path, `${text}\n`);
  return text;
};

const WAYS = {
  /** Three steps and a sleep. */
  plain: async (ctx: Context) => {
    line(ctx, `run ${ctx.attempt}`);
    const one = await ctx.step('one', () => line(ctx, 'one'));
    const two = await ctx.step('two', async () => ({ after: one, text: line(ctx, 'two'), at: Date.now() }));
    await ctx.sleep(ctx.args.ms);
    return [one, two, await ctx.step('three', () => line(ctx, 'three')), Date.now()];
  },
  /** The second fails at first. */
  again: async (ctx: Context) => {
    const nothing = await ctx.step('nothing', () => void line(ctx, 'nothing'));
    const caught = await ctx.step('fails', () => {
      line(ctx, 'fails');
      if (ctx.attempt === 1) throw new Error('not yet');
      return 'at last';
    });
    return [nothing === undefined, caught, ctx.attempt];
  },
  refused: async (ctx: Context) => {
    const { step, sleep } = ctx;
    await step('once', () => 1);
    await step('a', () => 'x'.repeat(16 * 1024 - 2));
    return [
      await codeOf(step('once', () => 2)),
      await codeOf(step('', () => 2)),
      await codeOf(step('x'.repeat(129), () => 2)),
      await codeOf(step('b', () => 'x'.repeat(16 * 1024 - 1))),
      await codeOf(step('c', () => 1n)),
      await codeOf(sleep(-1)),
      await codeOf(sleep(Number.NaN)),
      await codeOf(sleep(31 * 24 * HOUR_MS)),
    ];
  },
  /** Two questions at once, of which one has a time to race with, and one after them. */
  asks: async (ctx: Context) => {
    line(ctx, `run ${ctx.attempt}`);
    const status = async (name: string): Promise<string> =>
      (await ctx.confirm({ description: name, details: { name, token: 't' } }, name)).status;
    const both = await Promise.all([status('left'), status('right')]);
    const third = await Promise.race([
      ctx.confirm({ description: 'third' }).then(({ status: said }) => said),
      ctx.sleep(ctx.args.ms, 'limit').then(() => 'late'),
    ]);
    return [...both, third];
  },
  notAsked: async (ctx: Context) => {
    const { confirm } = ctx;
    const named = (more: object, name?: string) => codeOf(confirm({ description: 'x', ...more } as never, name));
    void confirm({ description: 'x' }, 'once').catch(() => {});
    return [
      await named({}, 'once'),
      await named({}, ''),
      await named({ required_confirmations: 0 }),
      await named({ unheard: 1 }),
      await named({ details: 'x'.repeat(16 * 1024) }),
      await named({ details: 1n }),
    ];
  },
  many: async ({ step }: Context) => {
    for (let n = 0; n < 100; n++) await step(`${n}`, () => n);
    return await codeOf(step('one more', () => 1));
  },
  much: async ({ step }: Context) => {
    for (let n = 0; n < 16; n++) await step(`${n}`, () => 'x'.repeat(16 * 1024 - 2));
    return await codeOf(step('one more', () => 1));
  },
  /** The step is done first; its sleep ends nothing, although it stands first and has ended since. */
  quick: async (ctx: Context) => {
    const first = await Promise.race([
      ctx.sleep(ctx.args.ms, 'limit').then(() => 'late'),
      ctx.step('quick', () => line(ctx, 'quick')).then((text) => text),
    ]);
    await ctx.sleep(ctx.args.ms * 2);
    return [line(ctx, `run: ${first}`), first];
  },
  /** The sleep ends first; on the next run the step is done as well, and the sleep has still won. */
  late: async (ctx: Context) => {
    const slow = ctx.step('slow', async () => {
      await pause(ctx.args.ms * 4);
      return line(ctx, 'slow');
    });
    const first = await Promise.race([slow, ctx.sleep(ctx.args.ms, 'limit').then(() => 'late')]);
    await slow;
    await ctx.sleep(1);
    return [line(ctx, `run: ${first}`), first];
  },
  together: async (ctx: Context) => {
    line(ctx, 'run');
    await Promise.all([ctx.sleep(ctx.args.ms * 3), ctx.sleep(ctx.args.ms), ctx.sleep(ctx.args.ms * 2, 'named')]);
    return 'all';
  },
  /** What it goes on with is not heard. */
  abandoned: async (ctx: Context) => {
    ctx.progress(10, 'before');
    void pause(200).then(() => {
      ctx.progress(90, 'abandoned');
      void ctx.output('abandoned');
      void ctx.step('abandoned', () => line(ctx, 'abandoned'));
      void codeOf(ctx.artifact('abandoned', 'x')).then((why) => line(ctx, `it did go on: ${why}`));
    });
    await ctx.sleep(ctx.args.ms);
    return 'woken';
  },
  /** An artifact in a step is not lost by what comes after. */
  artifact: async (ctx: Context) => {
    const { sha256 } = await ctx.step('write', () => ctx.artifact('note', line(ctx, 'note')));
    const slept = ctx.sleep(ctx.args.ms);
    await ctx.artifact('late', 'x'.repeat(1_000_000));
    await ctx.step('after', () => line(ctx, 'after'));
    await slept;
    return sha256;
  },
  /** The bound is the execution's, not each run's. */
  artifacts: async (ctx: Context) => {
    await ctx.step('write', async () => {
      await Promise.all(Array.from({ length: 100 }, (_, n) => ctx.artifact(`${n}`, 'x')));
    });
    await ctx.sleep(1);
    await ctx.artifact('0', 'y');
    return await codeOf(ctx.artifact('one more', 'x'));
  },
  /** Does not look at its signal, while a step is in flight. */
  deaf: async (ctx: Context) =>
    ctx.step('deaf', async () => {
      line(ctx, 'deaf');
      for (;;) await pause(HOUR_MS);
    }),
  /** Looks at it by what its sleep and its step say. */
  listening: async (ctx: Context) => {
    const heard = codeOf(ctx.sleep(HOUR_MS)).then((code) => line(ctx, `sleep ${code}`));
    await ctx.step('waits', () => pause(HOUR_MS, undefined, { signal: ctx.signal }));
    return await heard;
  },
} as const;

/** Uses what survives a run, in the way that it is asked to. */
export default defineCommand({
  name: 'steps',
  summary: 'Takes steps, and sleeps.',
  args: z.object({
    do: z.enum(Object.keys(WAYS) as [keyof typeof WAYS, ...(keyof typeof WAYS)[]]).default('plain'),
    path: z.string(),
    ms: z.int().nonnegative().default(50),
  }),
  result: z.unknown(),
  retry: { limit: 3, base_ms: 1 },
  run: (ctx) => WAYS[ctx.args.do](ctx),
});
